//! What a handler, a page or a resume may ask of a build.

use std::collections::BTreeMap;

use monkeyci_build::{BuildState, Results, SavedArtifact, SidecarReport};

/// What is known of a build, but for what the passing of time alone does.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    jobs: Vec<Job>,
    artifacts: Vec<(String, SavedArtifact)>,
    unasked: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Job {
    id: String,
    turn: u32,
    results: Option<Results>,
    test_reports: u32,
    command_runs: bool,
    reported: Option<SidecarReport>,
}

impl View {
    pub fn of(state: &BuildState) -> Self {
        let jobs = state.jobs().map(|(spec, job)| Job {
            id: spec.id.clone(),
            turn: state.turn(&spec.id),
            results: job.results.as_deref().cloned(),
            test_reports: job.test_reports,
            command_runs: job.command_runs,
            reported: job.reported.as_deref().cloned(),
        });
        let given: BTreeMap<String, String> = (0..8).map(|job| (crate::random_graph::id(job), String::new())).collect();
        Self {
            jobs: jobs.collect(),
            artifacts: state.artifacts().map(|(id, saved)| (id.to_owned(), saved.clone())).collect(),
            unasked: state.unasked_params(&given),
        }
    }
}
