//! JSON mode: one object a line on stdout. Events as the journal has them, with `build`; logs as `{"type": "log", …}`.

use std::io::Write;
use std::sync::Arc;

use monkeyci_api::{LogFrame, LogStream};
use monkeyci_build::Event;
use monkeyci_controller::{BuildReport, Observer};
use serde::Serialize;

use super::Display;

/// One JSON object a line.
pub struct Json;

#[derive(Serialize)]
struct EventLine<'a> {
    build: &'a str,
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

fn print(line: &impl Serialize) {
    // Nothing that is printed here fails to serialise; a reader that has gone is no reason to end the build.
    if let Ok(line) = serde_json::to_string(line) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

impl Observer for Json {
    fn event(&self, build: &str, event: &Event) {
        print(&EventLine { build, event });
    }

    fn log(&self, build: &str, job: Option<&str>, frame: &LogFrame) {
        print_log(build, job, frame);
    }

    fn progress(&self, build: &str, job: &str, message: &str) {
        print(&NoteLine { kind: "progress", build: Some(build), job: Some(job), message });
    }
}

/// Prints a piece of a log.
pub fn print_log(build: &str, job: Option<&str>, frame: &LogFrame) {
    let stream = match frame.stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
        LogStream::Host => "host",
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
