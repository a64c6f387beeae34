//! Showing a build while it runs.

mod hints;
mod inside;
mod json;
mod lines;
mod plain;
mod queue;
mod seen;
mod tty;

use std::io::IsTerminal;
use std::sync::Arc;

use monkeyci_controller::{BuildReport, Observer};
use monkeyci_limits::{Area, Limit, Per};

use crate::args::Progress;

pub use hints::{Hints, short};
pub use json::{print_event, print_log};
pub use lines::{Line, LineCutter, Style, beginning, checked_out, count, one_line, said};

/// One way of showing a build.
pub trait Display: Send + Sync {
    /// What hears of the build's events and logs.
    fn observer(self: Arc<Self>) -> Arc<dyn Observer>;

    /// Shows a word of the command's own.
    fn note(&self, message: &str);

    /// Shows how the build ended.
    fn summary(&self, report: &BuildReport);

    /// Returns when all that was to be shown is.
    fn flush(&self) {}
}

/// The way that `progress` names. Commands that it says are those of `hints`.
pub fn display(progress: Progress, hints: Hints) -> Arc<dyn Display> {
    let terminal = std::io::stdout().is_terminal() && std::env::var_os("CI").is_none();
    let display: Arc<dyn Display> = match progress {
        Progress::Json => Arc::new(json::Json),
        Progress::Tty => Arc::new(tty::Tty::new(hints)),
        Progress::Auto if terminal => Arc::new(tty::Tty::new(hints)),
        Progress::Auto | Progress::Plain => Arc::new(plain::Plain::new(hints)),
    };
    queue::Queued::new(display)
}

/// What may wait to be shown.
pub fn limits() -> Area {
    let limits = vec![
        Limit::bytes(
            "logs that wait to be printed",
            Per::Host,
            queue::WAITING as u64,
            "builds do not wait for a reader that stands still",
        ),
        Limit::time("a reader that takes nothing", Per::Host, queue::STILL, "then logs go past it, and it is told"),
    ];
    Area { name: "printing", limits }
}
