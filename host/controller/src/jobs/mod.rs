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
mod plan;
mod refine;
mod restore;
mod say;
mod select;
mod take_over;
mod told;

pub use check::CheckError;
pub use container::PATIENCE;
pub use engine::{Sweep, Swept};

pub(crate) use check::check;
pub(crate) use checkout::store_script;
pub(crate) use container::{
    LateValues, directory, forget_service_env, kept_in, kept_jobs, kept_pod, key, late_values, limits, secret_env,
    write_service_env,
};
pub(crate) use context::{JobContext, Services};
pub(crate) use engine::{EngineChoice, Engines};
pub(crate) use plan::{PlannedBuild, plan};
pub(crate) use restore::{Before, restore, script};
pub(crate) use select::EarlierBuild;
pub(crate) use take_over::take_over;
