//! The command line of what other CIs read of a build.

use std::path::PathBuf;

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "For other CIs")]
pub struct ReportArgs {
    /// Write a JUnit report into this file when the build is over: its jobs, and the tests of their last attempts. What is there is replaced.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the jobs' outputs into this file when the build is over, a line OUTPUT_JOB_NAME=value each. One of several lines is left out, and
    /// that is said. What is there is replaced.
    #[arg(long, value_name = "FILE")]
    pub outputs_env: Option<PathBuf>,
}
