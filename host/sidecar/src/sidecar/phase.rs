//! What is being prepared for a job at the moment, for whoever stops it meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// What is being prepared. Things are put in place and services waited for at the same time.
#[derive(Default)]
pub(super) struct Phase {
    restoring: Cell<Option<&'static str>>,
    services: RefCell<BTreeSet<String>>,
}

impl Phase {
    /// This is being restored now: nothing any more when none.
    pub(super) fn restores(&self, what: Option<&'static str>) {
        self.restoring.set(what);
    }

    /// These services are waited for.
    pub(super) fn waits_for<'a>(&self, services: impl Iterator<Item = &'a str>) {
        self.services.borrow_mut().extend(services.map(str::to_owned));
    }

    /// This service is ready.
    pub(super) fn is_ready(&self, service: &str) {
        self.services.borrow_mut().remove(service);
    }

    /// All of it, in words.
    pub(super) fn what(&self) -> Option<String> {
        let restoring = self.restoring.get().map(|what| format!("restoring its {what}"));
        let services = self.services.borrow();
        let services: Vec<_> = services.iter().map(String::as_str).collect();
        let waiting = (!services.is_empty()).then(|| format!("waiting for service {}", services.join(", ")));
        match (restoring, waiting) {
            (Some(restoring), Some(waiting)) => Some(format!("{restoring}, and {waiting}")),
            (restoring, waiting) => restoring.or(waiting),
        }
    }
}
