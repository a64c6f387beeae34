//! Watching a build.

use monkeyci_api::LogFrame;
use monkeyci_build::Event;

/// Hears of everything that happens in a build, as it happens. Calls come from the build's own tasks, so they have to
/// return quickly.
pub trait Observer: Send + Sync + 'static {
    /// An event was written to the journal, one that [is for those who watch](monkeyci_build::EventBody::is_shown).
    fn event(&self, build: &str, event: &Event) {
        let _ = (build, event);
    }

    /// A piece of a log arrived; `job` is none for the log of `define`.
    fn log(&self, build: &str, job: Option<&str>, frame: &LogFrame) {
        let _ = (build, job, frame);
    }

    /// A job does something that takes long ("pulling debian:12").
    fn progress(&self, build: &str, job: &str, message: &str) {
        let _ = (build, job, message);
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
