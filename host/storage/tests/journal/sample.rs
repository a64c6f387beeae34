//! Journals to try things with.

use monkeyci_build::{Ending, Event, EventBody, JobSummary, Results};
use monkeyci_storage::journal::{BuildJournal, JournalError, Journals};

/// The build.
pub const BUILD: &str = "o/r/1";

pub fn triggered() -> EventBody {
    EventBody::BuildTriggered { build: BUILD.to_owned(), trigger: "test".to_owned() }
}

pub fn report(message: impl Into<String>) -> EventBody {
    EventBody::ScriptReport { job: None, attempt: 1, message: message.into() }
}

/// An output of a job.
pub fn output(name: &str, value: &str) -> EventBody {
    let text = serde_json::json!({ "outputs": { name: value } });
    let results = Box::new(serde_json::from_value(text).expect("results"));
    EventBody::JobResults { job: "test".to_owned(), attempt: 1, results }
}

/// Results of many kilobytes.
pub fn results(value: &str) -> Box<Results> {
    let text = serde_json::json!({ "outputs": { "small": "x", "large": value.repeat(60_000 / value.len()) } });
    Box::new(serde_json::from_value(text).expect("results"))
}

/// A journal of some events, small and large.
pub fn bodies() -> Vec<EventBody> {
    let results = results("result ");
    vec![
        triggered(),
        report("a\nb \"c\" \u{0} ü"),
        EventBody::JobStarted { job: "test".to_owned(), attempt: 1 },
        EventBody::JobResults { job: "test".to_owned(), attempt: 1, results: results.clone() },
        EventBody::JobEnded { job: "test".to_owned(), attempt: 1, ending: Ending::Succeeded },
        EventBody::BuildEnded {
            status: monkeyci_build::BuildStatus::Success,
            jobs: vec![JobSummary {
                job: "test".to_owned(),
                ending: Ending::Succeeded,
                duration_ms: Some(7),
                results: Some(results),
            }],
        },
    ]
}

/// Appends these, and waits until they are durable.
pub async fn write(journal: &mut BuildJournal, bodies: Vec<EventBody>) -> Result<Vec<Event>, JournalError> {
    let mut events = Vec::new();
    for body in bodies {
        events.push(journal.append(1000 + journal.last(), body)?);
    }
    journal.durable().wait(journal.last()).await?;
    Ok(events)
}

/// Writes the journal of [`bodies`].
pub async fn written(host: &Journals) -> Vec<Event> {
    write(&mut host.begin(BUILD), bodies()).await.expect("written")
}
