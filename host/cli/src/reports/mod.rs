//! What other CIs read of a build that is over: a JUnit report, the jobs' outputs as variables, and a table for GitHub's page.

mod junit;
mod outputs;
mod summary;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use monkeyci_controller::BuildReport;

use crate::args::{ReportArgs, StoreArgs};
use crate::exit::Exit;
use crate::progress::{Display, Hints};
use crate::{builds, setup};

/// The files that were asked for. They are there before the build begins, and empty: none has what an earlier build has left.
#[derive(Debug, Default)]
pub struct Reports {
    junit: Option<(PathBuf, File)>,
    outputs: Option<(PathBuf, File)>,
}

impl Reports {
    /// Makes the files.
    pub fn make(args: &ReportArgs) -> Result<Self, (Exit, anyhow::Error)> {
        let make = |path: &Option<PathBuf>, option: &str| {
            let make = |path: &PathBuf| {
                let failed = || format!("{} ({option}) can't be written", path.display());
                File::create(path).with_context(failed).map(|file| (path.clone(), file))
            };
            path.as_ref().map(make).transpose().map_err(|error| (Exit::Usage, error))
        };
        Ok(Self { junit: make(&args.junit, "--junit")?, outputs: make(&args.outputs_env, "--outputs-env")? })
    }

    /// Writes the files that were asked for.
    pub async fn write(
        self,
        report: &BuildReport,
        stores: &StoreArgs,
        display: &dyn Display,
    ) -> Result<(), (Exit, anyhow::Error)> {
        let infrastructure = |error: anyhow::Error| (Exit::Infrastructure, error);
        if let Some(file) = self.outputs {
            let (text, left_out) = outputs::text(report);
            for why in left_out {
                display.note(&why);
            }
            put(file, &text).map_err(infrastructure)?;
        }
        if let Some(file) = self.junit {
            let builds = builds::open(&stores.home).await?;
            let tests = builds.test_cases(&setup::blobs(stores), &report.build).await;
            let tests = tests.context("the jobs' test reports can't be read").map_err(infrastructure)?;
            for (job, count) in &tests.left_out {
                display.note(&format!(
                    "{count} tests of the job {job:?} are left out of the JUnit report: there are too many"
                ));
            }
            put(file, &junit::text(report, &tests)).map_err(infrastructure)?;
        }
        Ok(())
    }
}

fn put((path, mut file): (PathBuf, File), text: &str) -> anyhow::Result<()> {
    file.write_all(text.as_bytes()).with_context(|| format!("{} can't be written", path.display()))
}

/// Adds a table of the build to the page of a run of GitHub Actions, inside of one.
pub fn summarise(report: &BuildReport, hints: &Hints, display: &dyn Display) {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Some(path) = variable("GITHUB_STEP_SUMMARY").filter(|_| variable("GITHUB_ACTIONS").is_some()) else { return };
    let written = OpenOptions::new().append(true).create(true).open(&path);
    let written = written.and_then(|mut file| file.write_all(summary::text(report, hints).as_bytes()));
    if let Err(error) = written {
        display.note(&format!("the page of the run has no table of this build: {path} can't be written: {error}"));
    }
}
