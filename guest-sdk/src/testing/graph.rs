//! The graph that a script declares.

use std::fmt;

use super::faults::{Known, Secrets, problems, remove_without_causes};
use super::{DeclaredJob, DeclaredParam};

/// The jobs that a script has declared. `to_string` shows them for a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    jobs: Vec<DeclaredJob>,
    params: Vec<DeclaredParam>,
}

impl Graph {
    /// The graph, or all that is wrong with it.
    pub(super) fn new(
        mut jobs: Vec<DeclaredJob>,
        params: Vec<DeclaredParam>,
        secrets: &Secrets,
    ) -> Result<Self, Vec<String>> {
        remove_without_causes(&mut jobs);
        let mut faults = Vec::new();
        for (position, param) in params.iter().enumerate() {
            match params[..position].iter().find(|earlier| earlier.name == param.name) {
                Some(earlier) if earlier.is_like(param) => {}
                Some(_) => faults.push(format!("parameter {:?}: is declared in two ways", param.name)),
                None => param.faults(&mut faults),
            }
        }
        faults.extend(problems(&[], &jobs, secrets));
        if faults.is_empty() { Ok(Self { jobs, params }) } else { Err(faults) }
    }

    /// The ids of the jobs that are in the build, in the order of their declaration.
    pub fn ids(&self) -> Vec<&str> {
        self.jobs.iter().filter(|job| job.removed.is_none()).map(|job| job.id.as_str()).collect()
    }

    /// All jobs, those that are removed from the build included.
    pub fn jobs(&self) -> &[DeclaredJob] {
        &self.jobs
    }

    /// The ids of the jobs that are removed from the build, and why.
    pub fn removed(&self) -> Vec<(&str, &str)> {
        self.jobs.iter().filter_map(|job| Some((job.id.as_str(), job.removed.as_deref()?))).collect()
    }

    /// The job `id`, removed or not.
    ///
    /// # Panics
    /// When there is no such job; the message lists those that there are.
    #[track_caller]
    pub fn job(&self, id: &str) -> &DeclaredJob {
        match self.get(id) {
            Some(job) => job,
            None => panic!("the script declares no job {id:?}, but {}", self.names()),
        }
    }

    /// The job `id`, removed or not, if there is one.
    pub fn get(&self, id: &str) -> Option<&DeclaredJob> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// All jobs that the job `id` needs: also those whose artifacts it restores or whose outputs it reads; and instead of
    /// removed ones, what these needed, unless the job runs on a failure.
    ///
    /// # Panics
    /// When there is no such job.
    #[track_caller]
    pub fn needs(&self, id: &str) -> Vec<String> {
        let all: Vec<&DeclaredJob> = self.jobs.iter().collect();
        Known::new(&all).needs(self.job(id))
    }

    /// The parameters that the script declares, in the order of their declaration.
    pub fn params(&self) -> &[DeclaredParam] {
        &self.params
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.jobs.iter().map(|job| job.id.as_str()).collect();
        if names.is_empty() { "none at all".to_owned() } else { names.join(", ") }
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, job) in self.jobs.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            write!(f, "{job}")?;
        }
        Ok(())
    }
}
