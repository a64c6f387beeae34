//! The command line of what has a script.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{GivenArgs, StoreArgs};

/// The script, and what it is told.
#[derive(Debug, clap::Args)]
pub struct ScriptArgs {
    /// The script: a WebAssembly component; the crate of one, which cargo compiles first; or a file in YAML, JSON, TOML, TypeScript or
    /// JavaScript. Default: what is in .monkeyci beside the code.
    #[arg(value_name = "SCRIPT")]
    pub script: Option<PathBuf>,
    /// Build the code in this directory as it stands, with what is not committed: the files that git tracks, and those that it does
    /// not ignore. Submodules and files in Git LFS that are missing are a warning.
    #[arg(long, value_name = "D", default_value = ".", conflicts_with = "git")]
    pub dir: PathBuf,
    /// Build the code of this git repository: https://host/repo, https://user:token@host/repo, ssh://git@host/repo,
    /// git@host:repo, file:///repo, or a path. Submodules are fetched too. What is not there (a submodule that can't be had,
    /// files in Git LFS, which are not fetched) is a warning.
    #[arg(long, value_name = "URL")]
    pub git: Option<String>,
    /// The branch, tag or commit to build, or the full name of any ref, refs/pull/7/head say. Of a branch and a tag of one name, the
    /// branch is built, and that is said. Default, and for HEAD: the main branch.
    #[arg(long = "ref", value_name = "R", requires = "git")]
    pub reference: Option<String>,
    /// Who we are for git servers: FILE with a login for each of them, a line https://user:password@host, as
    /// `git credential-store` writes it; ssh-key=FILE, a private key; known-hosts=FILE, the keys of ssh's servers. May be
    /// repeated. Also for submodules.
    #[arg(long = "git-auth", value_name = "A", requires = "git")]
    pub git_auth: Vec<String>,
    #[command(flatten)]
    pub given: GivenArgs,
    #[command(flatten)]
    pub inputs: InputArgs,
    #[command(flatten)]
    pub stores: StoreArgs,
}

/// Parameters and secrets.
#[derive(Debug, Default, clap::Args)]
pub struct InputArgs {
    /// Give the script a parameter. May be repeated; counts before --param-file, and that before MONKEYCI_PARAM_K in
    /// the environment. One that the script neither declares nor asks for is a warning.
    #[arg(long = "param", value_name = "K=V")]
    pub params: Vec<String>,
    /// Read parameters from a file: .json, .yaml or .toml by its name, lines NAME=VALUE otherwise. A value is the text that
    /// stands there: 1.10 stays 1.10, and 010 stays 010. A list, a table or null is refused.
    #[arg(long = "param-file", value_name = "F")]
    pub param_files: Vec<PathBuf>,
    /// Give the script a secret: the content of a file. Counts before --secret-file, and that before MONKEYCI_SECRET_K
    /// in the environment.
    #[arg(long = "secret", value_name = "K=FILE")]
    pub secrets: Vec<String>,
    /// Read secrets from a file, as --param-file reads parameters. An error in it is told by its place, and never with the text.
    #[arg(long = "secret-file", value_name = "F")]
    pub secret_files: Vec<PathBuf>,
    /// Let the script's actions read this secret; all others it can only hand on to jobs. May be repeated.
    #[arg(long = "reveal", value_name = "K")]
    pub reveal: Vec<String>,
    /// What config files say: it counts before nothing.
    #[arg(skip)]
    pub from_files: FromFiles,
}

impl InputArgs {
    /// Whether any of them stands on the command line.
    pub fn are_given(&self) -> bool {
        let Self { params, param_files, secrets, secret_files, reveal, from_files: _ } = self;
        let texts = [params, secrets, reveal].iter().any(|given| !given.is_empty());
        texts || !param_files.is_empty() || !secret_files.is_empty()
    }
}

/// Parameters and secrets that config files name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FromFiles {
    /// Parameters.
    pub params: BTreeMap<String, String>,
    /// The files that hold the secrets.
    pub secrets: BTreeMap<String, PathBuf>,
    /// Files of several secrets, where they are no default of --secret-file.
    pub secret_files: Vec<PathBuf>,
    /// The config files.
    pub files: Vec<PathBuf>,
}
