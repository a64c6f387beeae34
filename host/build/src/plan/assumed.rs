//! What is taken for granted of the results of a build that has not run.

use std::collections::BTreeMap;

use crate::{Earlier, Ending, JobSpec, Results};

/// How much of a job's result is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// Nothing. A plan follows what comes of its success, and tells what would come of its failure.
    #[default]
    Nothing,
    /// How it ends, and not what it says of its result: outputs, tests, how long it takes.
    Ending,
    /// All.
    All,
}

/// What is assumed of the results of jobs.
#[derive(Clone, Debug, Default)]
pub struct Assumed {
    jobs: BTreeMap<String, AssumedJob>,
    /// Of all jobs that are not among those.
    others: Known,
    /// What the actions of an earlier build have submitted, with the job whose action did.
    submitted: Vec<(String, JobSpec)>,
}

/// What is assumed of the result of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct AssumedJob {
    /// How it ends.
    pub ending: Ending,
    /// What it says of its result; `None` if that is not known.
    pub results: Option<Results>,
    /// How long it takes, in milliseconds.
    pub duration_ms: u64,
}

impl AssumedJob {
    /// A job that ends so, and of which no more is known.
    pub fn ends(ending: Ending) -> Self {
        Self { ending, results: None, duration_ms: 0 }
    }
}

impl Assumed {
    /// That every job succeeds. What they say of their results is not known.
    pub fn success() -> Self {
        Self { others: Known::Ending, ..Self::default() }
    }

    /// These results of these jobs, and that all others succeed.
    pub fn of_jobs(jobs: BTreeMap<String, AssumedJob>) -> Self {
        Self { jobs, ..Self::success() }
    }

    /// The results that an earlier build had, and that all others succeed. What did not run there has no result.
    pub fn of_earlier(earlier: &Earlier) -> Self {
        let mut assumed = Self::success();
        for job in earlier.jobs() {
            if let Some(by) = &job.submitted_by {
                assumed.submitted.push((by.clone(), job.spec.clone()));
            }
            let Some(ending) = job.ending.as_ref().filter(|_| job.ran) else { continue };
            // Whether a failure is tolerated says the job as it is declared now.
            let ending = match ending.itself() {
                Ending::Tolerated { ending } => ending.as_ref(),
                ending => ending,
            };
            // It was stopped for a reason that is not its own.
            if matches!(ending, Ending::Cancelled | Ending::FailedFast { .. }) {
                continue;
            }
            let results = Some(job.results.as_deref().cloned().unwrap_or_default());
            let duration_ms = job.duration_ms.unwrap_or_default();
            let known = AssumedJob { ending: ending.clone(), results, duration_ms };
            assumed.jobs.insert(job.spec.id.clone(), known);
        }
        assumed
    }

    /// The jobs of which something particular is assumed.
    pub fn jobs(&self) -> impl Iterator<Item = &str> {
        self.jobs.keys().map(String::as_str)
    }

    /// How much of a job's result is known.
    pub fn known(&self, job: &str) -> Known {
        match self.jobs.get(job) {
            Some(AssumedJob { results: Some(_), .. }) => Known::All,
            Some(_) => Known::Ending,
            None => self.others,
        }
    }

    /// Whether anything at all is assumed.
    pub fn is_something(&self) -> bool {
        self.others != Known::Nothing
    }

    /// What is assumed of a job.
    pub(super) fn of(&self, job: &str) -> AssumedJob {
        self.jobs.get(job).cloned().unwrap_or(AssumedJob::ends(Ending::Succeeded))
    }

    /// Whether a job is one of which something particular is assumed.
    pub(super) fn names(&self, job: &str) -> bool {
        self.jobs.contains_key(job)
    }

    /// The jobs that an action has submitted in the earlier build.
    pub(super) fn submitted_by(&self, job: &str) -> Vec<JobSpec> {
        self.submitted.iter().filter(|(by, _)| by == job).map(|(_, spec)| spec.clone()).collect()
    }
}
