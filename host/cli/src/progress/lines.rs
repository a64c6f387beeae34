//! The words for events, and lines out of pieces of logs: what plain mode and the terminal share.

use std::collections::HashMap;

use monkeyci_api::{LogFrame, LogStream};
use monkeyci_build::{BuildStatus, Event, EventBody, JobKind, Source, Status};
use monkeyci_controller::BuildReport;

use crate::text::{duration, harmless};

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub colours: bool,
}

/// A line for people: of a job, or of the build.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub job: Option<String>,
    pub text: String,
}

impl Style {
    pub fn paint(self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The line with its job in front. Each job has one of six colours.
    pub fn prefixed(self, line: &Line) -> String {
        match &line.job {
            Some(job) => {
                let sum: u32 = job.bytes().map(u32::from).sum();
                let colour = 31 + sum % 6;
                format!("{} {}", self.paint(&colour.to_string(), &format!("[{job}]")), line.text)
            }
            None => line.text.clone(),
        }
    }

    /// A status, in its colour.
    pub fn status(self, status: Status) -> String {
        let (code, word) = match status {
            Status::Success => ("32", "success"),
            Status::Failure => ("31", "failure"),
            Status::Error => ("31", "error"),
            Status::Skipped => ("33", "skipped"),
            Status::Cancelled => ("33", "cancelled"),
            Status::Pending | Status::Queued | Status::Running => ("36", "not ended"),
        };
        self.paint(code, word)
    }

    /// What an event says to people; nothing for those that only programs care for.
    pub fn event(self, event: &Event) -> Option<Line> {
        let line = |job: Option<&String>, text: String| Some(Line { job: job.cloned(), text });
        match &event.body {
            EventBody::BuildTriggered { build, .. } => line(None, format!("build {build}")),
            EventBody::BuildCheckedOut { source } => line(None, checked_out(source)),
            EventBody::ScriptLoaded { size, cached, .. } => {
                let how = if *cached { "from the compile cache" } else { "compiled" };
                line(None, format!("script of {} KiB loaded, {how}", size.div_ceil(1024)))
            }
            EventBody::ScriptDefined { jobs } => {
                let containers = jobs.iter().filter(|job| matches!(job.kind, JobKind::Container(_))).count();
                let actions = count(jobs.len() - containers, "action job");
                line(None, format!("{actions}, {}", count(containers, "container job")))
            }
            EventBody::JobStarted { job } => line(Some(job), self.paint("2", "started")),
            EventBody::JobRunning { job } => line(Some(job), self.paint("2", "its command runs")),
            EventBody::JobEnded { job, ending } => {
                let status = ending.status();
                let why = if status == Status::Success { String::new() } else { format!(": {ending}") };
                line(Some(job), format!("{}{}", self.status(status), harmless(&why, false)))
            }
            EventBody::ArtifactSaved { job, id, size, .. } => {
                line(Some(job), self.paint("2", &format!("artifact {id} saved, {} KiB", size.div_ceil(1024))))
            }
            EventBody::ScriptEvent { job, name, payload } => {
                let text = format!("event {name} {payload}");
                line(job.as_ref(), self.paint("2", &harmless(&text, false)))
            }
            EventBody::CancelRequested { .. } => line(None, "the build is being cancelled".to_owned()),
            EventBody::BuildFailed { .. } | EventBody::ScriptReport { .. } | EventBody::BuildEnded { .. } => None,
        }
    }

    /// How the build ended, for its last lines.
    pub fn summary(self, report: &BuildReport) -> String {
        let mut text = String::from("\n");
        let width = report.jobs.iter().map(|job| job.job.chars().count()).max().unwrap_or(0);
        for job in &report.jobs {
            let status = job.ending.status();
            let padding = " ".repeat(9usize.saturating_sub(plain_status_len(status)));
            let took = job.duration_ms.map(duration).unwrap_or_default();
            let why = if status == Status::Success {
                String::new()
            } else {
                harmless(&format!("  {}", job.ending.to_string().lines().next().unwrap_or_default()), false)
            };
            let row = format!("  {:width$}  {}{padding}  {took:>8}{why}", job.job, self.status(status));
            text.push_str(row.trim_end());
            text.push('\n');
        }
        for message in &report.reports {
            for line in message.lines() {
                text.push_str(&format!("  report: {}\n", harmless(line, false)));
            }
        }
        if let Some(failure) = &report.failure {
            for line in failure.lines() {
                text.push_str(&format!("{} {}\n", self.paint("31", "error:"), harmless(line, false)));
            }
        }
        if let Some(kept) = &report.kept {
            text.push_str(&format!("kept: {} and the containers named above\n", kept.display()));
        }
        let (code, word) = match report.status {
            BuildStatus::Success => ("32", "succeeded"),
            BuildStatus::Failure => ("31", "failed"),
            BuildStatus::BadScript => ("31", "failed: the script is broken"),
            BuildStatus::Error => ("31", "failed for a reason that is not its own"),
            BuildStatus::Cancelled => ("33", "was cancelled"),
        };
        let jobs = format!(" ({})", count(report.jobs.len(), "job"));
        text.push_str(&format!("build {} after {}{jobs}\n", self.paint(code, word), duration(report.duration_ms)));
        text
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn plain_status_len(status: Status) -> usize {
    Style { colours: false }.status(status).len()
}

fn checked_out(source: &Source) -> String {
    let Some(commit) = &source.commit else { return "checked out: not a git repository".to_owned() };
    let name = source.tag.as_ref().or(source.branch.as_ref());
    let at = name.map_or_else(String::new, |name| format!("{name} at "));
    let message = source.message.as_deref().and_then(|message| message.lines().next()).unwrap_or_default();
    harmless(&format!("checked out {at}{:.10}: {message}", commit), false)
}

/// Cuts logs into lines. Output without a line's end is shown when it has become long, or when its job ends.
#[derive(Debug, Default)]
pub struct LineCutter {
    open: HashMap<(Option<String>, bool), Vec<u8>>,
}

/// A line longer than this is shown in pieces.
const LONGEST: usize = 8 * 1024;

impl LineCutter {
    /// The lines that `frame` completes.
    pub fn push(&mut self, job: Option<&str>, frame: &LogFrame) -> Vec<String> {
        let open = self.open.entry((job.map(str::to_owned), frame.stream == LogStream::Stderr)).or_default();
        let mut lines = Vec::new();
        for &byte in &frame.bytes {
            // A lone carriage return starts a line over: progress bars do it. Each state of them is a line here.
            if byte == b'\n' || byte == b'\r' || open.len() >= LONGEST {
                if !(open.is_empty() && byte == b'\r') {
                    lines.push(String::from_utf8_lossy(open).into_owned());
                    open.clear();
                }
                if byte == b'\n' || byte == b'\r' {
                    continue;
                }
            }
            open.push(byte);
        }
        lines
    }

    /// What is left of a job's output.
    pub fn finish(&mut self, job: Option<&str>) -> Vec<String> {
        let keys = [(job.map(str::to_owned), false), (job.map(str::to_owned), true)];
        keys.into_iter()
            .filter_map(|key| self.open.remove(&key))
            .filter(|open| !open.is_empty())
            .map(|open| String::from_utf8_lossy(&open).into_owned())
            .collect()
    }
}
