//! The graph of a build's jobs.

use std::collections::HashMap;
use std::ops::Range;

use crate::JobSpec;

/// The jobs of a build, and who needs whom. It grows when an action submits jobs; no job ever leaves it.
///
/// Comes from [`crate::check`], or back from the journal by [`Graph::from_checked`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    jobs: Vec<JobSpec>,
    index: HashMap<String, usize>,
    /// The first job of each id in small letters.
    small: HashMap<String, usize>,
    /// The job that saves or creates each artifact.
    savers: HashMap<String, usize>,
    /// The index of each need of each job; none for a need that does not exist.
    needs: Vec<Vec<Option<usize>>>,
    /// The jobs that need each job.
    dependents: Vec<Vec<usize>>,
}

impl Graph {
    /// The graph of jobs that passed [`crate::check`] once, as the journal has kept them.
    ///
    /// Takes a broken journal without panicking, and on the safe side: of several jobs of one id only the first exists,
    /// and a need that does not exist, or that lies on a cycle, stays as it is but never comes true. A build skips the
    /// jobs that have such a need; none of them runs without what it needs.
    pub fn from_checked(jobs: Vec<JobSpec>) -> Self {
        let mut graph = Self::default();
        graph.extend(jobs);
        graph
    }

    /// The jobs, in the order of declaration.
    pub fn jobs(&self) -> &[JobSpec] {
        &self.jobs
    }

    /// The jobs, in the order of declaration.
    pub fn into_jobs(self) -> Vec<JobSpec> {
        self.jobs
    }

    /// The job of this id.
    pub fn get(&self, id: &str) -> Option<&JobSpec> {
        self.index(id).map(|job| &self.jobs[job])
    }

    /// The jobs that need this one directly, in the order of declaration; none if there is no such job.
    pub fn dependents(&self, id: &str) -> impl Iterator<Item = &JobSpec> {
        let dependents = self.index(id).map(|job| self.dependents_of(job)).unwrap_or_default();
        dependents.iter().map(|&dependent| &self.jobs[dependent])
    }

    /// Adds jobs that passed [`crate::check_submitted`] once, and says where they are. With jobs that did not, it does as
    /// [`from_checked`](Self::from_checked) does; a need of a job that came earlier never comes true by them.
    pub(crate) fn extend(&mut self, jobs: Vec<JobSpec>) -> Range<usize> {
        let first = self.jobs.len();
        for job in jobs {
            if self.index.contains_key(&job.id) {
                continue;
            }
            let at = self.jobs.len();
            self.index.insert(job.id.clone(), at);
            self.small.entry(job.id.to_ascii_lowercase()).or_insert(at);
            let saved =
                job.container().into_iter().flat_map(|container| &container.save_artifacts).map(|save| &save.id);
            for artifact in saved.chain(&job.creates_artifacts) {
                self.savers.entry(artifact.clone()).or_insert(at);
            }
            self.jobs.push(job);
        }
        let range = first..self.jobs.len();
        self.dependents.resize(range.end, Vec::new());
        for at in range.clone() {
            let needs: Vec<Option<usize>> = self.jobs[at].needs.iter().map(|need| self.index(need)).collect();
            for need in needs.iter().flatten() {
                self.dependents[*need].push(at);
            }
            self.needs.push(needs);
        }
        range
    }

    /// Puts a completed job in the place of the one that was declared. Who needs whom stays as it is.
    pub(crate) fn refine(&mut self, job: usize, refined: JobSpec) {
        if let Some(spec) = self.jobs.get_mut(job) {
            let (id, needs) = (std::mem::take(&mut spec.id), std::mem::take(&mut spec.needs));
            *spec = JobSpec { id, needs, ..refined };
        }
    }

    pub(crate) fn index(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The first job whose id is this one when it is written in small letters.
    pub(crate) fn similar(&self, small: &str) -> Option<&JobSpec> {
        self.small.get(small).map(|&job| &self.jobs[job])
    }

    /// The job that saves or creates an artifact.
    pub(crate) fn saver(&self, artifact: &str) -> Option<usize> {
        self.savers.get(artifact).copied()
    }

    /// The ids of all artifacts that jobs save or create, in no order.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = &str> {
        self.savers.keys().map(String::as_str)
    }

    /// In the order of the job's own list of needs.
    pub(crate) fn needs_of(&self, job: usize) -> &[Option<usize>] {
        &self.needs[job]
    }

    pub(crate) fn dependents_of(&self, job: usize) -> &[usize] {
        &self.dependents[job]
    }
}
