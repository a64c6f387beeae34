//! What is being built.

use std::sync::OnceLock;

use crate::error::Told;
use crate::glob::matches;
use crate::host::{build_info, params, secrets};
use crate::param::{Param, ParamValue, Presence, declare};
use crate::{Changes, Result, Secret, Workspace};

/// What is being built, and with which parameters. Everything answers the same for the whole build.
#[derive(Debug)]
pub struct Build {
    /// Asked for once: the lists may be long, and a script may ask for many globs.
    changes: OnceLock<Option<Changes>>,
}

impl Build {
    pub(crate) fn new() -> Self {
        Self { changes: OnceLock::new() }
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

    /// The build's own id: the last part of the id.
    pub fn build(&self) -> String {
        build_info::build()
    }

    /// What started the build: `cli`, `api` or `webhook`; a webhook's kind may follow after a slash, as in `webhook/push`.
    pub fn trigger(&self) -> String {
        build_info::trigger()
    }

    /// Whether this started the build: `webhook` is true for every webhook, `webhook/push` for that kind only.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// fn script(build: &Build) -> Result<impl IntoJobs> {
    ///     let full = container("full-test", "debian:12").shell(["make full-test"]);
    ///     Ok(full.only_if(!build.triggered_by("webhook/push"), "pushes get the quick tests"))
    /// }
    /// ```
    pub fn triggered_by(&self, what: &str) -> bool {
        self.trigger().strip_prefix(what).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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

    /// The commit by the nearest tag before it, as `git describe --tags` says it: `v1.2` on the tag itself, `v1.2-3-g4ca77fb` three
    /// commits later, and with `-dirty` at its end for a directory with changes that are not committed. None where no tag is on
    /// the way.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// fn script(build: &Build) -> Result<impl IntoJobs> {
    ///     let version = build.describe().unwrap_or_else(|| "0.0.0".to_owned());
    ///     Ok(container("package", "debian:12").shell(["make package"]).env("VERSION", version))
    /// }
    /// ```
    pub fn describe(&self) -> Option<String> {
        build_info::describe()
    }

    /// Whether the repository's main branch is built. Not so for a tag or a commit, and where the main branch is not known.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// fn script(build: &Build) -> Result<impl IntoJobs> {
    ///     let deploy = container("deploy", "debian:12").shell(["make deploy"]);
    ///     Ok(build.on_main_branch().then_some(deploy))
    /// }
    /// ```
    pub fn on_main_branch(&self) -> bool {
        self.branch().is_some_and(|branch| self.main_branch() == Some(branch))
    }

    /// Whether a branch is built whose name matches a [glob](Changes#globs).
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// fn is_for_a_release(build: &Build) -> bool {
    ///     build.branch_matches("release/*") || build.tag_matches("v*.*")
    /// }
    /// ```
    pub fn branch_matches(&self, glob: &str) -> bool {
        self.branch().is_some_and(|branch| matches(glob, &branch))
    }

    /// Whether a tag is built whose name matches a [glob](Changes#globs).
    pub fn tag_matches(&self, glob: &str) -> bool {
        self.tag().is_some_and(|tag| matches(glob, &tag))
    }

    /// The files that the build's code changes; none where that is not known: outside a git repository, where its history is
    /// cut off (a shallow clone), and when there are more than 100,000. See [`Changes`] for what they are compared with.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// fn say_what_is_new(build: &Build) {
    ///     for path in build.changes().iter().flat_map(|changes| &changes.added) {
    ///         println!("new: {path}");
    ///     }
    /// }
    /// ```
    pub fn changes(&self) -> Option<&Changes> {
        let ask = || {
            build_info::changes_known().then(|| Changes {
                added: build_info::added_files(),
                modified: build_info::modified_files(),
                removed: build_info::removed_files(),
                renamed: build_info::renamed_files(),
            })
        };
        self.changes.get_or_init(ask).as_ref()
    }

    /// The id of the commit that the code is compared with; none where the changes are not known, or every file is added.
    pub fn base_commit(&self) -> Option<String> {
        build_info::base_commit()
    }

    /// Whether a file whose path matches the [glob](Changes#globs) was added, modified, removed, or renamed from or to there.
    ///
    /// True where the changes are not known, and so are [`added`](Self::added), [`modified`](Self::modified) and
    /// [`removed`](Self::removed): to build too much costs time, to build too little lets a fault through.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// fn script(build: &Build) -> Result<impl IntoJobs> {
    ///     let manual = container("manual", "debian:12").shell(["make manual"]);
    ///     Ok((build.touched("doc/**") || build.touched("**/*.md")).then_some(manual))
    /// }
    /// ```
    pub fn touched(&self, glob: &str) -> bool {
        self.changes().is_none_or(|changes| changes.touch(glob))
    }

    /// Whether a file whose path matches the [glob](Changes#globs) was added; true where the changes are not known.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// fn needs_a_migration(build: &Build) -> bool {
    ///     build.added("migrations/*.sql") || build.modified("schema.sql") || build.removed("models/**")
    /// }
    /// ```
    pub fn added(&self, glob: &str) -> bool {
        self.changes().is_none_or(|changes| changes.added.iter().any(|path| matches(glob, path)))
    }

    /// Whether a file whose path matches the [glob](Changes#globs) was modified; true where the changes are not known.
    pub fn modified(&self, glob: &str) -> bool {
        self.changes().is_none_or(|changes| changes.modified.iter().any(|path| matches(glob, path)))
    }

    /// Whether a file whose path matches the [glob](Changes#globs) was removed; true where the changes are not known.
    pub fn removed(&self, glob: &str) -> bool {
        self.changes().is_none_or(|changes| changes.removed.iter().any(|path| matches(glob, path)))
    }

    /// The value of the parameter `name`; none where nobody gave it. To say more of a parameter, [`declare`](Self::declare) it.
    ///
    /// # Errors
    /// When the script may not read parameters.
    pub fn param(&self, name: &str) -> Result<Option<String>> {
        params::get(name).told()
    }

    /// The value of the parameter `name`, or `default` where nobody gave it.
    ///
    /// # Errors
    /// When the script may not read parameters.
    pub fn param_or(&self, name: &str, default: &str) -> Result<String> {
        Ok(self.param(name)?.unwrap_or_else(|| default.to_owned()))
    }

    /// The names of all parameters that were given, sorted.
    ///
    /// # Errors
    /// When the script may not read parameters.
    pub fn params(&self) -> Result<Vec<String>> {
        params::names().told()
    }

    /// Declares a parameter, in the script's function, and reads its value: see [`param`](crate::param) for how.
    ///
    /// A value that does not fit is a fault of the graph: the host reports it with all others, before anything runs. The
    /// script then goes on with the default, or with none, so that it gets as far as to have the others found.
    ///
    /// # Errors
    /// When a required parameter has no value or an unfit one, and when the script may not read parameters.
    pub fn declare<T: ParamValue, P: Presence<T>>(&self, param: Param<T, P>) -> Result<P::Value> {
        declare(&param)
    }

    /// A handle of the secret `name`, whether anybody gave it or not: a job that is removed needs no secret.
    ///
    /// When a job that stays in the build is to be given a secret that nobody gave, that is a fault of the graph. The host
    /// reports it with all others, before anything runs.
    ///
    /// # Errors
    /// When the name is empty.
    pub fn secret(&self, name: &str) -> Result<Secret> {
        Secret::named(name)
    }

    /// A handle of the secret `name` where somebody gave it; `None` where nobody did.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// fn script(build: &Build) -> Result<impl IntoJobs> {
    ///     let test = container("test", "debian:12").shell(["make test"]);
    ///     Ok(match build.secret_if_there("COVERAGE_TOKEN")? {
    ///         Some(token) => test.secret_env("COVERAGE_TOKEN", &token),
    ///         None => test,
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// When the script may not use secrets.
    pub fn secret_if_there(&self, name: &str) -> Result<Option<Secret>> {
        match self.secret_names()?.iter().any(|given| given == name) {
            true => self.secret(name).map(Some),
            false => Ok(None),
        }
    }

    /// The names of all secrets that were given, sorted.
    ///
    /// # Errors
    /// When the script may not use secrets.
    pub fn secret_names(&self) -> Result<Vec<String>> {
        secrets::names().told()
    }

    /// The code that is built, to read.
    pub fn workspace(&self) -> Workspace {
        Workspace { _private: () }
    }
}
