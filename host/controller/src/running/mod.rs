//! A build that runs: its driver, which alone writes its journal, and the handle by which everybody else speaks to it.
//!
//! What the core asks for is carried out by somebody else, whom the driver knows as [`Effects`] only.

mod budget;
mod driver;
mod effects;
mod handle;
mod request;
mod rerun;
mod resume;
mod said;
mod upload;
mod words;

pub use request::{BuildReport, BuildRequest};
pub use rerun::{RerunError, RerunRequest};
pub use resume::{Needed, Resumable, ResumeError, ResumeRequest};

pub(crate) use budget::limits;
pub(crate) use driver::{Begin, Driven, Driver, Outcome, Park};
pub(crate) use effects::{Effects, Task};
pub(crate) use handle::{BuildDirs, BuildHandle, BuildOver, Planned, PodWatch, Record, Refused, SUBMITTED};
pub(crate) use request::Cancel;
pub(crate) use resume::{Digests, Known};
pub(crate) use words::{WordsError, check_event, check_report};
