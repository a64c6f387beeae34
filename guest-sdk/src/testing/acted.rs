//! What actions and refining closures have done.

use std::collections::BTreeMap;

use super::DeclaredJob;
use crate::Level;
use crate::simulated::world::Told;

/// What an action has done.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Acted {
    /// How it ended; an error is the message of the job's failure.
    pub result: Result<(), String>,
    /// The events that it published: names and JSON texts.
    pub events: Vec<(String, String)>,
    /// What it added to the build's report.
    pub reports: Vec<String>,
    /// What it wrote to the log, but for what it printed.
    pub log: Vec<(Level, String)>,
    /// The sentence for people.
    pub message: Option<String>,
    /// What makes its success a warning.
    pub warning: Option<String>,
    /// Why there was nothing to do.
    pub skipped: Option<String>,
    /// The outputs that it exposed.
    pub outputs: BTreeMap<String, String>,
    /// The links that it added: titles and addresses.
    pub links: Vec<(String, String)>,
    /// The test reports that it added.
    pub test_reports: Vec<String>,
    /// The share of the code that tests cover, in percent.
    pub coverage: Option<f64>,
    /// The artifacts that it created: paths and contents of their files, by id.
    pub artifacts: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// The files that it wrote.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The jobs that it submitted.
    pub submitted: Vec<DeclaredJob>,
}

impl Acted {
    /// `before` is how much the script's function had already told.
    pub(super) fn new(result: Result<(), String>, told: Told, before: &Before) -> Self {
        let artifacts = told
            .artifacts
            .into_iter()
            .map(|(id, stored)| (id, stored.files.into_iter().map(|(path, bytes)| (path, bytes.to_vec())).collect()));
        Self {
            result,
            events: told.published.into_iter().skip(before.published).collect(),
            reports: told.reports.into_iter().skip(before.reports).collect(),
            log: told.log.into_iter().skip(before.log).collect(),
            message: told.message,
            warning: told.warning,
            skipped: told.skipped,
            outputs: told.outputs,
            links: told.links,
            test_reports: told.test_reports,
            coverage: told.coverage,
            artifacts: artifacts.collect(),
            files: told.output_area,
            submitted: told.submitted,
        }
    }

    /// The ids of the jobs that it submitted.
    pub fn submitted_ids(&self) -> Vec<&str> {
        self.submitted.iter().map(|job| job.id.as_str()).collect()
    }

    /// The text of a file in an artifact that it created.
    ///
    /// # Panics
    /// When there is no such file, or it is not UTF-8.
    #[track_caller]
    pub fn artifact_text(&self, id: &str, path: &str) -> &str {
        let Some(files) = self.artifacts.get(id) else {
            panic!("the action created no artifact {id:?}, but {:?}", self.artifacts.keys())
        };
        match files.get(path).map(|bytes| std::str::from_utf8(bytes)) {
            Some(Ok(text)) => text,
            Some(Err(_)) => panic!("{path:?} of the artifact {id:?} is not UTF-8"),
            None => panic!("the artifact {id:?} has no file {path:?}, but {:?}", files.keys()),
        }
    }
}

/// How much the script's function has told before an action does.
#[derive(Debug)]
pub(super) struct Before {
    published: usize,
    reports: usize,
    log: usize,
}

impl Before {
    pub(super) fn of(told: &Told) -> Self {
        Self { published: told.published.len(), reports: told.reports.len(), log: told.log.len() }
    }
}

/// What a refining closure has done.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Refined {
    /// How it ended; an error is the message of the job's failure.
    pub result: Result<(), String>,
    /// The job as it will run now; [`skipped`](DeclaredJob::skipped) when it does not.
    pub job: DeclaredJob,
}
