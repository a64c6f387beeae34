//! What is being built.

use crate::__bindings::monkeyci::script::{build_info, params};
use crate::Result;

/// What is being built, and with which parameters. Everything answers the same for the whole build.
#[derive(Debug)]
pub struct Build {
    _made_by_the_sdk: (),
}

impl Build {
    pub(crate) const fn new() -> Self {
        Self { _made_by_the_sdk: () }
    }

    /// The build's full id, `org/repo/build`.
    pub fn id(&self) -> String {
        build_info::id()
    }

    /// The organisation: the first part of the id.
    pub fn org(&self) -> String {
        build_info::org()
    }

    /// The repository's name: the second part of the id.
    pub fn repo(&self) -> String {
        build_info::repo()
    }

    /// What started the build: `cli`, `api` or `webhook`.
    pub fn trigger(&self) -> String {
        build_info::trigger()
    }

    /// Where the code came from; none for a directory that is not a git repository.
    pub fn git_url(&self) -> Option<String> {
        build_info::git_url()
    }

    /// The full name of the ref being built, `refs/heads/main` say.
    pub fn git_ref(&self) -> Option<String> {
        build_info::git_ref()
    }

    /// The branch being built.
    pub fn branch(&self) -> Option<String> {
        build_info::branch()
    }

    /// The tag being built.
    pub fn tag(&self) -> Option<String> {
        build_info::tag()
    }

    /// The id of the commit being built, 40 hexadecimal digits.
    pub fn commit(&self) -> Option<String> {
        build_info::commit()
    }

    /// The commit's message.
    pub fn message(&self) -> Option<String> {
        build_info::message()
    }

    /// The commit's author, `Name <mail>`.
    pub fn author(&self) -> Option<String> {
        build_info::author()
    }

    /// The repository's main branch, where it is known.
    pub fn main_branch(&self) -> Option<String> {
        build_info::main_branch()
    }

    /// The value of the parameter `name`; none where nobody gave it.
    ///
    /// # Errors
    /// When the script may not read parameters.
    pub fn param(&self, name: &str) -> Result<Option<String>> {
        Ok(params::get(name)?)
    }

    /// The value of the parameter `name`, or `default` where nobody gave it.
    ///
    /// # Errors
    /// When the script may not read parameters.
    pub fn param_or(&self, name: &str, default: &str) -> Result<String> {
        Ok(self.param(name)?.unwrap_or_else(|| default.to_owned()))
    }
}
