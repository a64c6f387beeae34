//! What the core asks for, carried out: checkout, `define`, and jobs. Each is a task that records how it ended.

mod action;
mod attempts;
mod check;
mod checkout;
mod container;
mod context;
mod define;
mod engine;
pub(crate) mod lease;
mod refine;
mod restore;
mod say;
mod take_over;

pub use check::CheckError;
pub use container::PATIENCE;
pub use engine::{EngineChoice, Sweep, Swept};

pub(crate) use check::check;
pub(crate) use container::{LateValues, directory, kept_in, kept_pod, key, late_values, limits};
pub(crate) use context::{JobContext, Services};
pub(crate) use engine::Engines;
pub(crate) use restore::{restore, script};
pub(crate) use take_over::take_over;
