//! What a list says of builds: a few records of each, so that nobody reads ten thousand journals for it.

use monkeyci_build::{BuildStatus, Event, EventBody, Source};
use serde::Deserialize;

use super::history::event;
use super::{Journal, JournalError, Record, Sought};

/// What the first and the last records of a build tell. Nobody has looked at their checksums.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// The build's id.
    pub build: String,
    /// When its first event was recorded, in milliseconds since the Unix epoch.
    pub begun_ms: u64,
    /// When its last one was.
    pub last_ms: u64,
    /// How many events it has.
    pub events: u64,
    /// The code, once it is known.
    pub source: Option<Source>,
    /// How it ended; `None` if it has not.
    pub status: Option<BuildStatus>,
    last: Record,
}

/// What of an event is read without what it refers to.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    status: Option<BuildStatus>,
}

impl Outline {
    /// The last event, with all that it refers to.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn last_event(&self, journal: &dyn Journal) -> Result<Event, JournalError> {
        event(journal, &self.build, &self.last).await
    }

    fn new(build: String, record: &Record) -> Self {
        Self {
            build,
            begun_ms: record.time_ms,
            last_ms: record.time_ms,
            events: record.number,
            source: None,
            status: None,
            last: record.clone(),
        }
    }

    /// Takes in a record that comes later.
    async fn add(&mut self, journal: &dyn Journal, record: Record) -> Result<(), JournalError> {
        let kind: Kind = serde_json::from_str(&record.body).map_err(|error| JournalError::Damaged {
            build: self.build.clone(),
            number: record.number,
            reason: format!("it is no event that this version knows: {error}"),
        })?;
        match kind.kind.as_str() {
            "build/checked-out" => {
                if let EventBody::BuildCheckedOut { source } = event(journal, &self.build, &record).await?.body {
                    self.source = Some(source);
                }
            }
            "build/ended" => self.status = kind.status,
            _ => {}
        }
        (self.last_ms, self.events, self.last) = (record.time_ms, record.number, record);
        Ok(())
    }
}

/// The builds of a database that are wanted, from the newest on, after the first `skip`, and at most `count`. Of one whose records can't be read there is
/// the reason, with its id.
///
/// # Errors
/// When the database can't be used.
pub async fn outlines(
    journal: &dyn Journal,
    of: &Sought,
    skip: usize,
    count: usize,
) -> Result<Vec<Result<Outline, (String, JournalError)>>, JournalError> {
    let mut found: Vec<Result<Outline, (String, JournalError)>> = Vec::new();
    for (build, record) in journal.outlines(of, skip, count).await? {
        let is_same = match found.last() {
            Some(Ok(outline)) => outline.build == build,
            Some(Err((damaged, _))) => *damaged == build,
            None => false,
        };
        if !is_same {
            found.push(Ok(Outline::new(build.clone(), &record)));
        }
        let Some(last) = found.last_mut() else { continue };
        if let Ok(outline) = last
            && let Err(error) = outline.add(journal, record).await
        {
            *last = Err((build, error));
        }
    }
    Ok(found)
}
