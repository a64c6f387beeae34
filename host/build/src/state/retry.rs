//! Whether a job that failed runs again.

use super::StopReason;
use super::book::Stage;
use super::schedule::Schedule;
use crate::{Ending, EventBody, JobSpec, Retry, RetryOn, Status};

/// The longest rest between two attempts: one hour, in milliseconds.
pub(crate) const LONGEST_DELAY_MS: u64 = 60 * 60 * 1000;

impl Schedule {
    /// What to record for a job that ended so.
    pub(super) fn conclude(&self, id: &str, ending: Ending) -> EventBody {
        let job = id.to_owned();
        let Some(index) = self.graph.index(id) else {
            return EventBody::JobEnded { job, attempt: 0, ending };
        };
        let attempt = self.attempt(index);
        let spec = &self.graph.jobs()[index];
        if !ending.status().is_failed() {
            return EventBody::JobEnded { job, attempt, ending };
        }
        if let Some(retry) = self.may_retry(index, spec, &ending) {
            return EventBody::JobRetried { job, attempt, delay_ms: delay_ms(retry, attempt), ending };
        }
        let ending = if spec.allow_failure { Ending::Tolerated { ending: Box::new(ending) } } else { ending };
        EventBody::JobEnded { job, attempt, ending }
    }

    /// How the job may run again; `None` if it may not.
    fn may_retry<'a>(&self, job: usize, spec: &'a JobSpec, ending: &Ending) -> Option<&'a Retry> {
        let being_stopped = self.halts(job)
            || self.failed_group(job).is_some()
            || !matches!(self.states[job].stopping, None | Some(StopReason::TimedOut));
        // One that a person rejects has not run.
        let runs = matches!(self.books[job].stage, Stage::Going { .. }) && !matches!(ending, Ending::Rejected { .. });
        let retry = spec.retry.as_ref().filter(|_| runs && !being_stopped)?;
        let matches = retry.on.is_empty() || retry.on.iter().any(|on| is(ending, *on));
        // Attempts count from 1, so this many minus one were made again.
        (matches && self.attempt(job) <= retry.count).then_some(retry)
    }
}

fn is(ending: &Ending, on: RetryOn) -> bool {
    match on {
        RetryOn::Failure => ending.status() == Status::Failure,
        RetryOn::Error => ending.status() == Status::Error,
        RetryOn::Timeout => matches!(ending, Ending::TimedOut { .. }),
        RetryOn::OutOfMemory => matches!(ending, Ending::OutOfMemory { .. }),
        RetryOn::ExitCode(code) => ending.exit_code() == Some(code),
    }
}

/// How long a job rests after this attempt: twice as long each time.
fn delay_ms(retry: &Retry, attempt: u32) -> u64 {
    let doublings = attempt.saturating_sub(1).min(63);
    retry.delay_ms.saturating_mul(1 << doublings).min(LONGEST_DELAY_MS)
}
