//! A simulated host, for the tests of a script: the same modules, types and functions as the bindings have.
//!
//! What it knows is given by a [`Simulation`](crate::testing::Simulation); what it is told is recorded for it. It refuses
//! what a real host refuses, as far as that is cheap to know.

pub mod artifacts;
pub mod build_info;
pub mod events;
pub mod files;
pub mod jobs;
pub mod params;
pub mod results;
pub mod secrets;
mod service;
pub mod types;
pub mod workspace;
pub(crate) mod world;

use types::Error;
use world::{Phase, with};

/// Refuses what only an action may do.
fn in_action(what: &str) -> Result<(), Error> {
    with(|world| match &world.phase {
        Phase::Act(_) => Ok(()),
        Phase::Define => Err(Error::Conflict(format!("only an action may {what}, and this is the script's function"))),
        Phase::Refine(id) => {
            Err(Error::Conflict(format!("only an action may {what}, and this completes the job {id:?}")))
        }
    })
}

/// Refuses paths that lead out of the workspace, or of an artifact.
fn inside(path: &str) -> Result<(), Error> {
    if path.is_empty() || path.starts_with('/') || path.contains('\0') || path.split('/').any(|part| part == "..") {
        return Err(Error::Invalid(format!("the path {path:?} has to be relative, and without \"..\"")));
    }
    Ok(())
}

/// Refuses texts that are longer than `most` bytes.
fn short(what: &str, text: &str, most: usize) -> Result<(), Error> {
    if text.len() > most {
        return Err(Error::Invalid(format!("{what} has {} bytes, and at most {most} are allowed", text.len())));
    }
    Ok(())
}
