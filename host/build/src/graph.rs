//! The graph of a build's jobs.

use std::collections::HashMap;

use crate::JobSpec;

/// The jobs of a build, and who needs whom. It never changes.
///
/// Comes from [`crate::check`], or back from the journal by [`Graph::from_checked`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    jobs: Vec<JobSpec>,
    index: HashMap<String, usize>,
    /// The index of each need of each job; none for a need that does not exist.
    needs: Vec<Vec<Option<usize>>>,
    /// The jobs that need each job.
    dependents: Vec<Vec<usize>>,
}

impl Graph {
    /// The graph of jobs that passed [`crate::check`] once, as the journal has kept them.
    ///
    /// Takes a broken journal without panicking, and on the safe side: of several jobs of one id only the first exists,
    /// and a need that does not exist, or that lies on a circle, stays as it is but never comes true. A build skips the
    /// jobs that have such a need; none of them runs without what it needs.
    pub fn from_checked(jobs: Vec<JobSpec>) -> Self {
        let mut index = HashMap::with_capacity(jobs.len());
        let mut kept: Vec<JobSpec> = Vec::with_capacity(jobs.len());
        for job in jobs {
            if !index.contains_key(&job.id) {
                index.insert(job.id.clone(), kept.len());
                kept.push(job);
            }
        }
        let find = |need: &String| index.get(need).copied();
        let needs: Vec<Vec<Option<usize>>> = kept.iter().map(|job| job.needs.iter().map(find).collect()).collect();
        let mut dependents = vec![Vec::new(); kept.len()];
        for (job, needs) in needs.iter().enumerate() {
            for need in needs.iter().flatten() {
                dependents[*need].push(job);
            }
        }
        Self { jobs: kept, index, needs, dependents }
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

    pub(crate) fn index(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// In the order of the job's own list of needs.
    pub(crate) fn needs_of(&self, job: usize) -> &[Option<usize>] {
        &self.needs[job]
    }

    pub(crate) fn dependents_of(&self, job: usize) -> &[usize] {
        &self.dependents[job]
    }
}
