//! What is assumed of results, as a file says it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use monkeyci_build::{Assumed, AssumedJob, Ending, Results};
use serde::Deserialize;

/// What a file says of a job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    #[serde(default)]
    status: Stands,
    /// `None` if they are not known.
    outputs: Option<BTreeMap<String, String>>,
}

/// How a job ends.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stands {
    #[default]
    Success,
    Warning,
    Failure,
    Error,
    Skipped,
}

impl From<Stands> for Ending {
    fn from(status: Stands) -> Self {
        let assumed = || "it is assumed".to_owned();
        match status {
            Stands::Success => Self::Succeeded,
            Stands::Warning => Self::Warned { message: assumed() },
            Stands::Failure => Self::Exited { code: 1, line: None },
            Stands::Error => Self::EngineFailed { reason: assumed() },
            Stands::Skipped => Self::NotNeeded { reason: assumed() },
        }
    }
}

/// Reads what is assumed.
pub fn file(path: &Path) -> anyhow::Result<Assumed> {
    let read = std::fs::read(path).map_err(anyhow::Error::from).and_then(|bytes| {
        let stated: BTreeMap<String, Stated> = serde_json::from_slice(&bytes)
            .context("write {\"JOB\": {\"status\": \"success\", \"outputs\": {\"NAME\": \"VALUE\"}}}")?;
        Ok(stated)
    });
    let stated = read.with_context(|| format!("what is assumed ({}) can't be used", path.display()))?;
    let job = |(job, Stated { status, outputs }): (String, Stated)| {
        let results = outputs.map(|outputs| Results { outputs, ..Results::default() });
        (job, AssumedJob { results, ..AssumedJob::ends(status.into()) })
    };
    Ok(Assumed::of_jobs(stated.into_iter().map(job).collect()))
}

#[cfg(test)]
mod tests {
    use monkeyci_build::Known;

    use super::*;

    #[test]
    fn a_file_says_how_jobs_end_and_what_they_say() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("assumed.json");
        std::fs::write(&path, r#"{"test": {"status": "failure"}, "package": {"outputs": {"version": "1.2"}}}"#)?;
        let assumed = file(&path)?;
        assert_eq!(assumed.jobs().collect::<Vec<_>>(), ["package", "test"]);
        let known = ["package", "test", "other"].map(|job| assumed.known(job));
        assert_eq!(known, [Known::All, Known::Ending, Known::Ending]);
        for wrong in ["{", "[]", r#"{"test": {"status": "great"}}"#, r#"{"test": {"output": {}}}"#] {
            std::fs::write(&path, wrong)?;
            let error = format!("{:#}", file(&path).expect_err(wrong));
            assert!(error.contains("assumed.json") && error.contains("write {"), "{wrong}: {error}");
        }
        Ok(())
    }
}
