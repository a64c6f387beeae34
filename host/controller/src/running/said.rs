//! What is said in a build that stands in its report.

use monkeyci_build::{EventBody, GraphFaults};

/// What was said that stands in the report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(super) failure: Option<String>,
    pub(super) reports: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Said {
    /// Hears of an event.
    pub(super) fn notice(&mut self, body: &EventBody) {
        match body {
            EventBody::BuildFailed { message, faults, .. } => self.failure = Some(full_message(message, faults)),
            EventBody::BuildRefused { message } => self.failure = Some(message.clone()),
            EventBody::BuildTimedOut { after_ms } => {
                let seconds = *after_ms as f64 / 1000.0;
                self.failure = Some(format!("the build reached its time limit of {seconds} s: its jobs were stopped"));
            }
            EventBody::ScriptReport { message, .. } => self.reports.push(message.clone()),
            EventBody::BuildWarned { message } => self.warnings.push(message.clone()),
            _ => {}
        }
    }
}

fn full_message(message: &str, faults: &GraphFaults) -> String {
    if faults.is_empty() { message.to_owned() } else { format!("{message}: {faults}") }
}
