//! Who is told how jobs and builds end: a commit status, say. Here it is a line in a file.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use async_trait::async_trait;
use monkeyci_host::{BoxError, Event, EventBody, EventSink};

/// Writes a line for each job that ends, and for each build.
pub struct StatusLines {
    file: PathBuf,
}

impl StatusLines {
    /// To this file.
    pub fn to(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into() }
    }
}

#[async_trait]
impl EventSink for StatusLines {
    fn name(&self) -> &str {
        "status-lines"
    }

    async fn deliver(&self, build: &str, events: &[Event]) -> Result<(), BoxError> {
        let mut lines = String::new();
        for event in events {
            // The number tells a line that comes twice: after a crash, the last ones may.
            match &event.body {
                EventBody::JobEnded { job, ending, .. } => {
                    lines.push_str(&format!("{build} {} {job}: {ending}\n", event.seq));
                }
                EventBody::BuildEnded { status, .. } => {
                    lines.push_str(&format!("{build} {} {status:?}\n", event.seq));
                }
                _ => {}
            }
        }
        // Whatever fails here is tried again, in a moment.
        OpenOptions::new().create(true).append(true).open(&self.file)?.write_all(lines.as_bytes())?;
        Ok(())
    }
}
