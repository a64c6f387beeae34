//! Drafts of jobs and parameters, and what is wrong with them.
// Each test uses some of it.
#![allow(dead_code)]

use monkeyci_build::{
    Fault, GraphFaults, JobDraft, JobSpec, ParamDraft, Place, RestoreArtifact, SaveArtifact, ServiceDraft, check,
};

/// A container job without fault.
pub fn container(id: &str) -> JobDraft {
    JobDraft { image: Some("debian:12".into()), argv: Some(vec!["true".into()]), ..JobDraft::container(id) }
}

pub fn action(id: &str, needs: &[&str]) -> JobDraft {
    JobDraft { needs: owned(needs), ..JobDraft::action(id) }
}

pub fn service(name: &str) -> ServiceDraft {
    ServiceDraft { name: name.into(), image: "postgres:17".into(), ..ServiceDraft::default() }
}

pub fn artifact(id: &str, path: &str) -> SaveArtifact {
    SaveArtifact { id: id.into(), path: path.into(), ..SaveArtifact::default() }
}

pub fn restore(id: &str, path: &str) -> RestoreArtifact {
    RestoreArtifact { id: id.into(), path: path.into(), ..RestoreArtifact::default() }
}

pub fn restore_if_there(id: &str) -> RestoreArtifact {
    RestoreArtifact { if_there: true, ..restore(id, ".") }
}

pub fn cache(id: &str, path: &str) -> (String, String) {
    (id.into(), path.into())
}

pub fn param(name: &str, kind: &str) -> ParamDraft {
    ParamDraft { name: name.into(), kind: Some(kind.into()), ..ParamDraft::default() }
}

pub fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// The job takes no part, because a condition says so.
pub fn removed(job: JobDraft) -> JobDraft {
    JobDraft { removed: Some("not now".into()), ..job }
}

/// Each fault as `job field kind`.
pub fn faults(drafts: &[JobDraft]) -> Vec<String> {
    short(&check(drafts, &[]).expect_err("the graph has faults"))
}

pub fn short(faults: &GraphFaults) -> Vec<String> {
    let kind = |fault: &Fault| serde_json::to_value(&fault.kind).expect("faults are JSON")["kind"].to_string();
    let place = |fault: &Fault| match &fault.place {
        Place::Job(name) => name.clone(),
        Place::Parameter(name) => format!("parameter {name}"),
    };
    faults.0.iter().map(|at| format!("{} {} {}", place(at), at.field, kind(at).replace('"', ""))).collect()
}

/// The jobs of a graph without fault.
pub fn jobs(drafts: &[JobDraft]) -> Vec<JobSpec> {
    check(drafts, &[]).expect("the graph has no fault").graph.into_jobs()
}

/// What each job of a graph without fault needs, as `job: need need`.
pub fn needs(drafts: &[JobDraft]) -> Vec<String> {
    jobs(drafts).iter().map(|job| format!("{}: {}", job.id, job.needs.join(" "))).collect()
}
