//! The code of a build: checked out, compared with what was there before, and packed for container jobs.

mod changes;
mod checkout;
mod git_http;
mod git_url;
pub(crate) mod workspace;

pub use checkout::SourceRequest;
