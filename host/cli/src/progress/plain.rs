//! Plain mode: lines on stdout, each with its job in front.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use monkeyci_api::{LogFrame, LogStream};
use monkeyci_build::{Event, EventBody};
use monkeyci_controller::{BuildReport, Observer};

use super::Display;
use super::hints::Hints;
use super::inside::Inside;
use super::lines::{Line, LineCutter, Style};
use super::seen::Seen;
use crate::text::{colours, harmless, print_text};

/// Lines on stdout.
pub struct Plain {
    style: Style,
    hints: Hints,
    inside: Inside,
    cutter: Mutex<LineCutter>,
    seen: Mutex<Seen>,
}

impl Plain {
    pub fn new(hints: Hints) -> Self {
        let style = Style { colours: colours(&std::io::stdout()) };
        let inside = Inside::of(|name| std::env::var(name).ok());
        Self { style, hints, inside, cutter: Mutex::default(), seen: Mutex::default() }
    }

    fn print(&self, line: &Line) {
        // A reader that has gone (`| head`) is no reason to end the build.
        let _ = writeln!(std::io::stdout(), "{}", self.style.prefixed(line));
    }

    fn print_log(&self, job: Option<&str>, lines: Vec<String>) {
        for line in lines {
            if let Some(job) = job {
                self.seen().line(job, &line);
            }
            let text = format!("| {}", harmless(&line, self.style.colours));
            self.print(&Line { job: Some(job.unwrap_or("define").to_owned()), text });
        }
    }

    fn cutter(&self) -> std::sync::MutexGuard<'_, LineCutter> {
        self.cutter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Plain {
    fn event(&self, build: &str, event: &Event) {
        let ended = match &event.body {
            // The next attempt begins with a line of its own.
            EventBody::JobEnded { job, .. } | EventBody::JobRetried { job, .. } => Some(Some(job.as_str())),
            EventBody::ScriptDefined { .. } | EventBody::BuildFailed { .. } => Some(None),
            _ => None,
        };
        if let Some(job) = ended {
            let rest = self.cutter().finish(job);
            self.print_log(job, rest);
        }
        self.seen().event(event);
        if let Some(line) = self.style.event(event) {
            self.print(&line);
        }
        if let Some(text) = self.hints.event(build, event) {
            self.print(&Line { job: event.body.job().map(str::to_owned), text });
        }
    }

    fn log(&self, _build: &str, job: Option<&str>, frame: &LogFrame) {
        // `logs --service` shows it: a service may write far more than its job.
        if frame.stream == LogStream::Service {
            return;
        }
        let lines = self.cutter().push(job, frame);
        self.print_log(job, lines);
    }

    fn progress(&self, _build: &str, job: &str, message: &str) {
        let text = self.style.paint("2", &harmless(message, false));
        self.print(&Line { job: Some(job.to_owned()), text });
    }
}

impl Display for Plain {
    fn observer(self: Arc<Self>) -> Arc<dyn Observer> {
        self
    }

    fn note(&self, message: &str) {
        self.print(&Line { job: None, text: message.to_owned() });
    }

    fn summary(&self, report: &BuildReport) {
        let seen = self.seen();
        let before = seen.last_lines(self.style, report, self.inside);
        print_text(&format!("{before}{}{}", self.style.summary(report), seen.after(report, &self.hints)));
    }
}
