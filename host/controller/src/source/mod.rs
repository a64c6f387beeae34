//! The code of a build: checked out, compared with what was there before, and packed for container jobs.

mod attributes;
mod changes;
mod checkout;
mod clone;
mod error;
mod git_http;
mod git_url;
mod limits;
mod refs;
mod tree;
mod working_tree;
pub(crate) mod workspace;

pub use checkout::SourceRequest;
