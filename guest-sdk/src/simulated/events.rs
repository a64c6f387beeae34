//! `events`.

use std::cell::{Cell, RefCell};

use super::types::Error;
use super::world::{Phase, Recorded, with};

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Of use when something is being searched for.
    Debug,
    /// The normal course of things.
    Info,
    /// Something to look at.
    Warn,
    /// Something went wrong.
    Error,
}

pub fn publish(name: &str, payload: &str) -> Result<(), Error> {
    if !(1..=128).contains(&name.chars().count()) {
        return Err(Error::Invalid(format!("the name of an event has 1 to 128 characters: {name:?}")));
    }
    super::short("the payload", payload, 64 << 10)?;
    serde_json::from_str::<serde_json::Value>(payload)
        .map_err(|error| Error::Invalid(format!("the payload is not JSON: {error}")))?;
    with(|world| world.told.published.push((name.to_owned(), payload.to_owned())));
    Ok(())
}

pub fn report(message: &str) -> Result<(), Error> {
    super::short("the message", message, 64 << 10)?;
    with(|world| world.told.reports.push(message.to_owned()));
    Ok(())
}

pub fn log(level: Level, message: &str) {
    with(|world| world.told.log.push((level, message.to_owned())));
}

#[derive(Debug)]
pub struct Event {
    seq: u64,
    event: Recorded,
}

impl Event {
    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn time(&self) -> u64 {
        0
    }

    pub fn kind(&self) -> String {
        self.event.kind.clone()
    }

    pub fn name(&self) -> Option<String> {
        self.event.name.clone()
    }

    pub fn job(&self) -> Option<String> {
        self.event.job.clone()
    }

    pub fn payload(&self) -> String {
        self.event.payload.clone()
    }
}

/// Events that the simulation gives count as coming from now on, whenever that is. After them come those that the action
/// itself publishes.
#[derive(Debug)]
pub struct Subscription {
    /// How many events were read.
    read: Cell<usize>,
    /// How many events the action had published before.
    before: Cell<usize>,
    kinds: RefCell<Vec<String>>,
    names: RefCell<Vec<String>>,
    jobs: RefCell<Vec<String>>,
}

impl Subscription {
    pub fn new() -> Self {
        Self {
            read: Cell::default(),
            before: Cell::new(with(|world| world.told.published.len())),
            kinds: RefCell::default(),
            names: RefCell::default(),
            jobs: RefCell::default(),
        }
    }

    // The contract's name.
    #[allow(clippy::wrong_self_convention)]
    pub fn from_start(&self) {
        self.before.set(0);
    }

    pub fn kind(&self, kind: &str) {
        self.kinds.borrow_mut().push(kind.to_owned());
    }

    pub fn named(&self, name: &str) {
        self.names.borrow_mut().push(name.to_owned());
    }

    pub fn of_job(&self, id: &str) {
        self.jobs.borrow_mut().push(id.to_owned());
    }

    /// No time passes in a simulation: what is not there now does not come.
    pub fn next(&self, _timeout: u64) -> Result<Option<Event>, Error> {
        super::in_action("read events")?;
        let journal = self.journal();
        for (position, event) in journal.into_iter().enumerate().skip(self.read.get()) {
            self.read.set(position + 1);
            if self.wants(&event) {
                return Ok(Some(Event { seq: position as u64 + 1, event }));
            }
        }
        Ok(None)
    }

    fn journal(&self) -> Vec<Recorded> {
        with(|world| {
            let job = match &world.phase {
                Phase::Act(id) | Phase::Refine(id) => Some(id.clone()),
                Phase::Define => None,
            };
            let own = world.told.published.iter().skip(self.before.get()).map(|(name, payload)| Recorded {
                kind: "script/event".to_owned(),
                name: Some(name.clone()),
                job: job.clone(),
                payload: payload.clone(),
            });
            world.given.events.iter().cloned().chain(own).collect()
        })
    }

    fn wants(&self, event: &Recorded) -> bool {
        let fits = |wanted: &RefCell<Vec<String>>, there: Option<&String>| {
            let wanted = wanted.borrow();
            wanted.is_empty() || there.is_some_and(|there| wanted.contains(there))
        };
        fits(&self.kinds, Some(&event.kind))
            && fits(&self.names, event.name.as_ref())
            && fits(&self.jobs, event.job.as_ref())
    }
}
