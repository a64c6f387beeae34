//! The code of a build: checked out, compared with what was there before, and packed for container jobs.

mod attributes;
mod auth;
mod budget;
mod changes;
mod checkout;
mod clone;
mod error;
mod git_http;
mod git_ssh;
mod git_url;
pub(crate) mod history;
mod limits;
mod refs;
mod submodules;
mod transports;
mod tree;
mod working_tree;
pub(crate) mod workspace;

pub use auth::GitAuth;
pub use checkout::SourceRequest;
pub use working_tree::{TrackedFilesError, tracked_files};

pub(crate) use budget::limits;
pub(crate) use checkout::Checkout;
pub(crate) use error::CheckoutError;
