//! Terminal mode: what runs stands at the bottom, what was said scrolls above.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use monkeyci_api::{LogFrame, LogStream};
use monkeyci_build::{Event, EventBody};
use monkeyci_controller::{BuildReport, Observer};

use super::Display;
use super::hints::Hints;
use super::inside::Inside;
use super::lines::{Line, LineCutter, Style};
use super::seen::Seen;
use crate::text::{colours, harmless, print_line};

/// Running jobs at the bottom of the terminal.
pub struct Tty {
    style: Style,
    hints: Hints,
    screen: MultiProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cutter: LineCutter,
    running: HashMap<String, ProgressBar>,
    seen: Seen,
    /// How far the build is, below the jobs that run.
    counts: Option<ProgressBar>,
}

impl Tty {
    pub fn new(hints: Hints) -> Self {
        Self {
            hints,
            style: Style { colours: colours(&std::io::stderr()) },
            screen: MultiProgress::new(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self, text: &str) {
        // Above the running jobs; on something that is no terminal, just out.
        if self.screen.is_hidden() {
            print_line(text);
        } else {
            let _ = self.screen.println(text);
        }
    }

    fn print_log(&self, job: Option<&str>, lines: Vec<String>) {
        for line in lines {
            if let Some(job) = job {
                self.state().seen.line(job, &line);
            }
            let text = format!("| {}", harmless(&line, self.style.colours));
            self.print(&self.style.prefixed(&Line { job: Some(job.unwrap_or("define").to_owned()), text }));
        }
    }

    /// Shows how far the build is.
    fn count(&self, event: &Event) {
        let mut state = self.state();
        let before = state.seen.counts();
        state.seen.event(event);
        let counts = state.seen.counts();
        if counts == before {
            return;
        }
        let bar = state.counts.get_or_insert_with(|| {
            let bar = self.screen.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        bar.set_message(counts);
    }

    fn bar(&self, job: &str) -> ProgressBar {
        let bar = ProgressBar::new_spinner();
        let counts = self.state().counts.clone();
        let bar = match &counts {
            Some(counts) => self.screen.insert_before(counts, bar),
            None => self.screen.add(bar),
        };
        let template = if self.style.colours {
            "{spinner:.cyan} {prefix} {msg:.dim} {elapsed}"
        } else {
            "{spinner} {prefix} {msg} {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(job.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }
}

impl Observer for Tty {
    fn event(&self, build: &str, event: &Event) {
        self.count(event);
        match &event.body {
            EventBody::JobStarted { job, .. } => {
                let bar = self.bar(job);
                let mut state = self.state();
                // Nothing has to be made ready for an action.
                bar.set_message(if state.seen.is_container(job) { "starts" } else { "runs" });
                state.running.insert(job.clone(), bar);
                return;
            }
            EventBody::JobRunning { job, .. } => {
                if let Some(bar) = self.state().running.get(job) {
                    bar.set_message("runs");
                }
                return;
            }
            EventBody::JobHeld { job, .. } | EventBody::JobContinued { job, .. } => {
                if let Some(bar) = self.state().running.get(job) {
                    let is_held = matches!(event.body, EventBody::JobHeld { .. });
                    bar.set_message(if is_held { "is held" } else { "runs" });
                }
            }
            EventBody::JobEnded { job, .. } | EventBody::JobRetried { job, .. } => {
                let (bar, rest) = {
                    let mut state = self.state();
                    (state.running.remove(job), state.cutter.finish(Some(job)))
                };
                if let Some(bar) = bar {
                    bar.finish_and_clear();
                }
                self.print_log(Some(job), rest);
            }
            EventBody::ScriptDefined { .. } | EventBody::BuildFailed { .. } => {
                let rest = self.state().cutter.finish(None);
                self.print_log(None, rest);
            }
            _ => {}
        }
        if let Some(line) = self.style.event(event) {
            self.print(&self.style.prefixed(&line));
        }
        if let Some(text) = self.hints.event(build, event) {
            let job = event.body.job().map(str::to_owned);
            self.print(&self.style.prefixed(&Line { job, text }));
        }
    }

    fn log(&self, _build: &str, job: Option<&str>, frame: &LogFrame) {
        // `logs --service` shows it: a service may write far more than its job.
        if frame.stream == LogStream::Service {
            return;
        }
        let lines = self.state().cutter.push(job, frame);
        self.print_log(job, lines);
    }

    fn progress(&self, _build: &str, job: &str, message: &str) {
        if let Some(bar) = self.state().running.get(job) {
            bar.set_message(harmless(message, false));
        }
    }
}

impl Display for Tty {
    fn observer(self: Arc<Self>) -> Arc<dyn Observer> {
        self
    }

    fn note(&self, message: &str) {
        self.print(message);
    }

    fn summary(&self, report: &BuildReport) {
        let _ = self.screen.clear();
        let seen = &self.state().seen;
        let before = seen.last_lines(self.style, report, Inside::Nothing);
        let text = format!("{before}{}{}", self.style.summary(report), seen.after(report, &self.hints));
        print_line(text.trim_end());
    }
}
