//! JSON mode: one object a line on stdout. Events as the journal has them, with `build`; logs as `{"type": "log", …}`.

use std::io::Write;
use std::sync::Arc;

use monkeyci_api::{LogFrame, LogStream};
use monkeyci_build::{Event, EventBody};
use monkeyci_controller::{BuildReport, Observer};
use serde::Serialize;

use super::Display;

/// One JSON object a line.
pub struct Json;

#[derive(Serialize)]
struct EventLine<'a> {
    /// None for an event that names the build itself: a name that stands twice in an object is an error to many readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<&'a str>,
    #[serde(flatten)]
    event: &'a Event,
}

#[derive(Serialize)]
struct LogLine<'a> {
    build: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    job: Option<&'a str>,
    stream: &'static str,
    time_ms: u64,
    text: &'a str,
}

#[derive(Serialize)]
struct NoteLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    message: &'a str,
}

impl<'a> EventLine<'a> {
    fn new(build: &'a str, event: &'a Event) -> Self {
        let names_it = matches!(event.body, EventBody::BuildTriggered { .. });
        Self { build: (!names_it).then_some(build), event }
    }
}

fn print(line: &impl Serialize) {
    // Nothing that is printed here fails to serialise; a reader that has gone is no reason to end the build.
    if let Ok(line) = serde_json::to_string(line) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

impl Observer for Json {
    fn event(&self, build: &str, event: &Event) {
        print_event(build, event);
    }

    fn log(&self, build: &str, job: Option<&str>, frame: &LogFrame) {
        print_log(build, job, frame);
    }

    fn progress(&self, build: &str, job: &str, message: &str) {
        print(&NoteLine { kind: "progress", build: Some(build), job: Some(job), message });
    }
}

/// Prints an event.
pub fn print_event(build: &str, event: &Event) {
    print(&EventLine::new(build, event));
}

/// Prints a piece of a log.
pub fn print_log(build: &str, job: Option<&str>, frame: &LogFrame) {
    let stream = match frame.stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
        LogStream::Host => "host",
        LogStream::Service => "service",
    };
    let text = String::from_utf8_lossy(&frame.bytes);
    print(&LogLine { build, kind: "log", job, stream, time_ms: frame.time_ms, text: &text });
}

impl Display for Json {
    fn observer(self: Arc<Self>) -> Arc<dyn Observer> {
        self
    }

    fn note(&self, message: &str) {
        print(&NoteLine { kind: "note", build: None, job: None, message });
    }

    /// The last event has said it all.
    fn summary(&self, _report: &BuildReport) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_names_its_build_once() {
        let triggered = EventBody::BuildTriggered { build: "o/r/1".to_owned(), trigger: "cli".to_owned() };
        for body in [triggered, EventBody::CancelRequested { by: "ann".to_owned() }] {
            let event = Event { seq: 1, time_ms: 0, body };
            let line = serde_json::to_string(&EventLine::new("o/r/1", &event)).expect("JSON");
            assert_eq!(line.matches(r#""build":"o/r/1""#).count(), 1, "{line}");
        }
    }
}
