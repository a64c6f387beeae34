//! The command line of what is said of the code, to try the conditions of a script.

use std::path::PathBuf;

/// What is said of the code, in place of what is found there.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "To try conditions")]
pub struct GivenArgs {
    /// Say that this started the build: cli, api, webhook, or webhook/push, say. What is said so, here and below, is a warning of the build.
    #[arg(long, value_name = "T")]
    pub trigger: Option<String>,
    /// Say that the code is this branch. The commit is what it is.
    #[arg(long, value_name = "B")]
    pub branch: Option<String>,
    /// Say that the code is this tag, and no branch.
    #[arg(long, value_name = "T")]
    pub tag: Option<String>,
    /// Say that these files changed, and no others: paths from the root of the repository. May be repeated.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub changed: Vec<String>,
    /// Say what a forge's webhook says: FILE is the JSON of a push or a pull request, as GitHub, GitLab, Gitea and Forgejo send it. Options
    /// above count before it. `plan` takes many; may be repeated there.
    #[arg(long, value_name = "FILE")]
    pub event: Vec<PathBuf>,
}
