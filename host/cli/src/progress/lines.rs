//! The words for events, and lines out of pieces of logs: what plain mode and the terminal share.

use std::collections::HashMap;

use monkeyci_api::{LogFrame, LogStream};
use monkeyci_build::{Ending, Event, EventBody, JobKind, Results, Selection, Source, Status};
use monkeyci_controller::BuildReport;

use crate::text::{self, duration, harmless};

/// A monorepo may remove hundreds of jobs from each build.
const SHOWN_REMOVED: usize = 50;

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
        let (code, word) = if status.is_final() { text::status(status) } else { ("36", "not ended") };
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
            EventBody::ScriptDefined { jobs, removed, .. } => {
                let containers = jobs.iter().filter(|job| matches!(job.kind, JobKind::Container(_))).count();
                let actions = count(jobs.len() - containers, "action job");
                let mut text = format!("{actions}, {}", count(containers, "container job"));
                for (job, reason) in removed.iter().take(SHOWN_REMOVED) {
                    text.push_str(&format!("\n{}", self.removed(job, reason)));
                }
                if removed.len() > SHOWN_REMOVED {
                    text.push_str(&format!("\n… and {} more removed", removed.len() - SHOWN_REMOVED));
                }
                line(None, text)
            }
            EventBody::JobStarted { job, .. } => line(Some(job), self.paint("2", "started")),
            EventBody::JobRunning { job, .. } => line(Some(job), self.paint("2", "its command runs")),
            EventBody::JobHeld { job, held, limit_ms, .. } => {
                let text = format!(
                    "held: {}; its containers stay as they are until it is let go on, or its time limit of {} is over",
                    one_line(&held.to_string()),
                    duration(*limit_ms)
                );
                line(Some(job), self.paint("33", &text))
            }
            EventBody::JobContinued { job, by, .. } => line(Some(job), harmless(&format!("{by} lets it go on"), false)),
            EventBody::JobEnded { job, ending, .. } => {
                let why = why(ending).map_or_else(String::new, |why| format!(": {}", one_line(&why)));
                line(Some(job), format!("{}{why}", self.status(ending.status())))
            }
            EventBody::ArtifactSaved { job, id, size, .. } => {
                line(Some(job), self.paint("2", &format!("artifact {id} saved, {} KiB", size.div_ceil(1024))))
            }
            EventBody::ScriptEvent { job, name, payload, .. } => {
                let text = format!("event {name} {}", beginning(payload));
                line(job.as_ref(), self.paint("2", &harmless(&text, false)))
            }
            EventBody::JobsSubmitted { by, jobs, .. } => {
                let ids: Vec<_> = jobs.iter().map(|job| job.id.as_str()).collect();
                line(Some(by), format!("adds {}: {}", count(jobs.len(), "job"), ids.join(", ")))
            }
            EventBody::JobBlocked { job, message, runs, .. } => {
                let runs =
                    runs.as_ref().map_or_else(String::new, |runs| format!("\nwhat will run: {}", one_line(runs)));
                let text = format!("waits for approval: {}{runs}", one_line(message));
                line(Some(job), self.paint("33", &text))
            }
            EventBody::JobApproved { job, by, comment, .. } => {
                let comment = comment.as_ref().map_or_else(String::new, |comment| format!(": {}", one_line(comment)));
                line(Some(job), harmless(&format!("approved by {by}{comment}"), false))
            }
            EventBody::JobRefined { job, .. } => line(Some(&job.id), self.paint("2", "completed by the script")),
            EventBody::JobRetried { job, attempt, ending, delay_ms } => {
                let why = why(ending).map_or_else(String::new, |why| format!(": {}", one_line(&why)));
                let next = attempt.saturating_add(1);
                let when = if *delay_ms == 0 { String::new() } else { format!(" in {}", duration(*delay_ms)) };
                line(Some(job), format!("{}{why}; attempt {next} follows{when}", self.status(ending.status())))
            }
            EventBody::OutsideEvent { by, name, payload } => {
                let text = format!("event {name} {} by {by}", beginning(payload));
                line(None, self.paint("2", &harmless(&text, false)))
            }
            EventBody::BuildResumed { by } => {
                line(None, harmless(&format!("{by} goes on with the build, whose host has died"), false))
            }
            EventBody::BuildRerun { of, by, what, with_changes } => {
                let changes = if *with_changes { ", with code and script as they are now" } else { "" };
                line(None, harmless(&format!("one more run of {of} for {by}: {what}{changes}"), false))
            }
            EventBody::JobsSelected { selection } => line(None, self.selected(selection)),
            EventBody::BuildRequested { .. } | EventBody::ScriptTold { .. } | EventBody::JobTold { .. } => None,
            EventBody::JobWaiting { rest: true, .. } => None,
            EventBody::JobWaiting { job, .. } => {
                line(Some(job), self.paint("2", "waits, and leaves its slot to other jobs"))
            }
            EventBody::JobResults { .. } | EventBody::JobReported { .. } | EventBody::ParamAsked { .. } => None,
            EventBody::BuildWarned { message } => {
                line(None, format!("{} {}", self.paint("33", "warning:"), one_line(message)))
            }
            EventBody::CancelRequested { .. } => line(None, "the build is being cancelled".to_owned()),
            EventBody::BuildTimedOut { after_ms } => line(
                None,
                format!("the build has reached its time limit of {}: it is being stopped", duration(*after_ms)),
            ),
            EventBody::BuildFailed { .. }
            | EventBody::BuildRefused { .. }
            | EventBody::ScriptReport { .. }
            | EventBody::BuildEnded { .. } => None,
        }
    }

    /// Which jobs run again, and how many others don't run.
    fn selected(self, selection: &Selection) -> String {
        let reused = selection.reused.iter().filter(|reused| reused.ending.reused_from().is_some()).count();
        let counts = [(reused, "reused"), (selection.left_out.len(), "left out")];
        let counts = counts.into_iter().filter(|(number, _)| *number > 0);
        let mut text =
            counts.map(|(number, what)| format!("{} {what}", count(number, "job"))).collect::<Vec<_>>().join(", ");
        if text.is_empty() {
            text.push_str("all jobs run");
        }
        for (job, reason) in selection.again.iter().take(SHOWN_REMOVED) {
            let reason = self.paint("2", &format!("runs again: {}", one_line(reason)));
            text.push_str(&format!("\n{}", self.prefixed(&Line { job: Some(job.clone()), text: reason })));
        }
        if selection.again.len() > SHOWN_REMOVED {
            text.push_str(&format!("\n… and {} more run again", selection.again.len() - SHOWN_REMOVED));
        }
        text
    }

    /// That a condition took a job out of the build.
    fn removed(self, job: &str, reason: &str) -> String {
        let text = self.paint("2", &format!("removed: {}", one_line(reason)));
        self.prefixed(&Line { job: Some(job.to_owned()), text })
    }

    /// How the build ended, for its last lines.
    pub fn summary(self, report: &BuildReport) -> String {
        let mut text = String::from("\n");
        let width = report.jobs.iter().map(|job| job.job.chars().count()).max().unwrap_or(0);
        for job in &report.jobs {
            let status = job.ending.status();
            let padding = " ".repeat(9usize.saturating_sub(plain_status_len(status)));
            let took = job.duration_ms.map(duration).unwrap_or_default();
            let why = why(&job.ending).unwrap_or_default();
            let mut why = why.lines();
            let first = harmless(why.next().unwrap_or_default(), false);
            let row = format!("  {:width$}  {}{padding}  {took:>8}  {first}", job.job, self.status(status));
            text.push_str(row.trim_end());
            text.push('\n');
            let said = job.results.iter().flat_map(|results| said(&job.ending, results));
            for line in why.map(str::to_owned).chain(said) {
                text.push_str(&format!("  {:width$}    {}\n", "", harmless(&line, false)));
            }
        }
        for message in &report.reports {
            for line in message.lines() {
                text.push_str(&format!("  report: {}\n", harmless(line, false)));
            }
        }
        for message in &report.warnings {
            text.push_str(&format!("  {} {}\n", self.paint("33", "warning:"), one_line(message)));
        }
        if let Some(failure) = &report.failure {
            for line in failure.lines() {
                text.push_str(&format!("{} {}\n", self.paint("31", "error:"), harmless(line, false)));
            }
        }
        if let Some(kept) = &report.kept {
            text.push_str(&format!("kept: {} and the containers named above\n", kept.display()));
        }
        let (code, word) = text::build_status(report.status);
        let jobs = match report.jobs.len() {
            0 => String::new(),
            jobs => format!(" ({})", count(jobs, "job")),
        };
        text.push_str(&format!("build {} after {}{jobs}\n", self.paint(code, word), duration(report.duration_ms)));
        text
    }
}

/// What a job says of its result, in lines.
pub fn said(ending: &Ending, results: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(results.message.iter().flat_map(|message| message.lines()).map(str::to_owned));
    if let (Some(warning), false) = (&results.warning, matches!(ending, Ending::Warned { .. })) {
        lines.push(format!("warning: {warning}"));
    }
    if let Some(tests) = &results.tests {
        let skipped = if tests.skipped > 0 { format!(", {} skipped", tests.skipped) } else { String::new() };
        let not_run = if tests.not_run > 0 { format!(", {} did not run", tests.not_run) } else { String::new() };
        lines.push(format!("{}, {} failed{skipped}{not_run}", count(tests.total as usize, "test"), tests.failed));
        const SHOWN: usize = 10;
        let shown = tests.failures.iter().take(SHOWN);
        lines.extend(shown.map(|failure| format!("failed: {}: {}", failure.name, failure.message)));
        if tests.failed as usize > SHOWN {
            lines.push(format!("… and {} more", tests.failed as usize - SHOWN.min(tests.failures.len())));
        }
    }
    lines.extend(results.coverage.map(|coverage| format!("coverage {coverage:.1} %")));
    lines.extend(results.links.iter().map(|(title, url)| format!("{title}: {url}")));
    lines
}

/// A stranger's text as part of a line of ours: what comes after an end of the line would look like a line of another job.
pub fn one_line(text: &str) -> String {
    text.lines().map(|line| harmless(line, false)).collect::<Vec<_>>().join(" \u{23ce} ")
}

/// As much of a payload as fits a line or two: the journal and JSON mode have all of it.
pub fn beginning(payload: &str) -> String {
    const SHOWN: usize = 200;
    match payload.char_indices().nth(SHOWN) {
        None => payload.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &payload[..end], payload.len()),
    }
}

/// A number of things, in words.
pub fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Why a job ended so, where its status does not say it all.
fn why(ending: &Ending) -> Option<String> {
    (!matches!(ending, Ending::Succeeded | Ending::Cancelled)).then(|| ending.to_string())
}

fn plain_status_len(status: Status) -> usize {
    Style { colours: false }.status(status).len()
}

pub fn checked_out(source: &Source) -> String {
    let given = if source.given.is_empty() { String::new() } else { format!(" (given: {})", source.given.join(", ")) };
    let Some(commit) = &source.commit else {
        return match &source.branch {
            Some(branch) if given.is_empty() => harmless(&format!("checked out {branch}: no commit yet"), false),
            Some(branch) => harmless(&format!("checked out {branch}{given}: no commit"), false),
            None => format!("checked out: not a git repository{given}"),
        };
    };
    let name = source.tag.as_ref().or(source.branch.as_ref()).or(source.git_ref.as_ref());
    let at = name.map_or_else(String::new, |name| format!("{name} at "));
    let message = source.message.as_deref().and_then(|message| message.lines().next()).unwrap_or_default();
    let dirty = if source.dirty { ", with changes that are not committed" } else { "" };
    harmless(&format!("checked out {at}{:.10}{dirty}{given}: {message}", commit), false)
}

/// Cuts logs into lines. Output without a line's end is shown when it has become long, or when its job ends.
#[derive(Debug, Default)]
pub struct LineCutter {
    open: HashMap<(Option<String>, bool), OpenLine>,
}

/// A line that has not ended yet.
#[derive(Debug, Default)]
struct OpenLine {
    bytes: Vec<u8>,
    /// A carriage return ended the line before: a line feed right after it belongs to that end.
    returned: bool,
}

/// A line longer than this is shown in pieces.
const LONGEST: usize = 8 * 1024;

impl OpenLine {
    fn take(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.bytes).into_owned();
        self.bytes.clear();
        line
    }

    /// Adds a byte; returns the line that it ends. A lone carriage return ends a line too: progress bars start theirs
    /// over with it, and each state of them is a line here.
    fn push(&mut self, byte: u8) -> Option<String> {
        let returned = std::mem::replace(&mut self.returned, byte == b'\r');
        match byte {
            b'\n' if returned => None,
            b'\n' | b'\r' => Some(self.take()),
            _ => {
                let piece = (self.bytes.len() >= LONGEST).then(|| self.take());
                self.bytes.push(byte);
                piece
            }
        }
    }
}

impl LineCutter {
    /// The lines that `frame` completes.
    pub fn push(&mut self, job: Option<&str>, frame: &LogFrame) -> Vec<String> {
        // Whole lines, which may come in between those of the job.
        if frame.stream == LogStream::Service {
            return String::from_utf8_lossy(&frame.bytes).lines().map(str::to_owned).collect();
        }
        let open = self.open.entry((job.map(str::to_owned), frame.stream == LogStream::Stderr)).or_default();
        frame.bytes.iter().filter_map(|&byte| open.push(byte)).collect()
    }

    /// What is left of a job's output.
    pub fn finish(&mut self, job: Option<&str>) -> Vec<String> {
        let keys = [(job.map(str::to_owned), false), (job.map(str::to_owned), true)];
        let open = keys.into_iter().filter_map(|key| self.open.remove(&key));
        open.filter(|open| !open.bytes.is_empty()).map(|mut open| open.take()).collect()
    }
}

#[cfg(test)]
mod tests;
