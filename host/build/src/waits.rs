//! Actions that wait for jobs without a limit, and the cycles that they can make: what nobody's end could ever undo.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::{BuildState, Status};

/// Which running actions wait for which jobs, without a limit of time: until one of them is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waits(HashMap<String, Vec<String>>);

impl Waits {
    /// The action waits until any of `others` is over.
    pub(crate) fn begin(&mut self, job: &str, others: &[String]) {
        self.0.insert(job.to_owned(), others.to_vec());
    }

    /// The action waits for those of its last wait that are left.
    pub(crate) fn go_on(&mut self, job: &str, is_left: impl Fn(&str) -> bool) {
        if let Some(others) = self.0.get_mut(job) {
            others.retain(|other| is_left(other));
        }
    }

    /// The action does not wait any more.
    pub(crate) fn end(&mut self, job: &str) {
        self.0.remove(job);
    }

    /// What the action waits for, or waited for last.
    pub(crate) fn of(&self, job: &str) -> &[String] {
        self.0.get(job).map_or(&[], Vec::as_slice)
    }
}

/// What would be if an action waited.
struct Asked<'a> {
    state: &'a BuildState,
    waits: &'a Waits,
    job: &'a str,
    others: &'a [String],
}

/// Checks that the action `job` may wait until any of `others` is over.
///
/// # Errors
/// When it would wait for itself, by others that wait for it, or need it.
pub(crate) fn check(state: &BuildState, waits: &Waits, job: &str, others: &[String]) -> Result<(), CycleOfWaits> {
    Asked { state, waits, job, others }.cycle().map_or(Ok(()), Err)
}

impl<'a> Asked<'a> {
    /// The way from the job back to itself, when nothing on it can ever end.
    fn cycle(&self) -> Option<CycleOfWaits> {
        let from = self.job;
        let mut ends: HashMap<&str, bool> = HashMap::new();
        let order = self.reached();
        // The order is that of a search in depth: but for cycles, what a job hangs on comes before it, and one round will do.
        loop {
            let before = ends.values().filter(|ends| **ends).count();
            for &job in &order {
                let can = |other: &&str| ends.get(other).copied().unwrap_or(false);
                let can_end = match self.hangs_on(job) {
                    Hangs::Nothing => true,
                    Hangs::AnyOf(others) => others.iter().any(|other| can(&other.as_str())),
                    Hangs::AllOf(needs) => needs.iter().all(|need| can(&need.as_str())),
                };
                ends.insert(job, can_end);
            }
            if ends.get(from) == Some(&true) {
                return None;
            }
            if ends.values().filter(|ends| **ends).count() == before {
                break;
            }
        }
        let mut way = Vec::new();
        let (mut job, mut seen) = (from, HashSet::new());
        while seen.insert(job) {
            let (waits, others) = match self.hangs_on(job) {
                Hangs::Nothing => break,
                Hangs::AnyOf(others) => (true, others),
                Hangs::AllOf(needs) => (false, needs),
            };
            let Some(next) = others.iter().find(|other| ends.get(other.as_str()) == Some(&false)) else { break };
            way.push((waits, next.clone()));
            job = next;
        }
        Some(CycleOfWaits { job: from.to_owned(), way })
    }

    /// The jobs that the job hangs on, directly or through others, and itself last.
    fn reached(&self) -> Vec<&'a str> {
        let mut order = Vec::new();
        let mut seen = HashSet::from([self.job]);
        let mut open = vec![(self.job, false)];
        while let Some((job, done)) = open.pop() {
            if done {
                order.push(job);
                continue;
            }
            open.push((job, true));
            let (Hangs::AnyOf(others) | Hangs::AllOf(others)) = self.hangs_on(job) else { continue };
            open.extend(
                others.iter().map(String::as_str).filter(|other| seen.insert(other)).map(|other| (other, false)),
            );
        }
        order
    }

    fn hangs_on(&self, job: &str) -> Hangs<'a> {
        let status = self.state.job(job).map(|job| job.status);
        let waits = if job == self.job { Some(self.others) } else { self.waits.0.get(job).map(Vec::as_slice) };
        match (waits, status) {
            (_, Some(status)) if status.is_final() => Hangs::Nothing,
            (Some(others), _) => Hangs::AnyOf(others),
            (None, Some(Status::Pending)) => {
                let graph = self.state.graph();
                graph.index(job).map_or(Hangs::Nothing, |job| Hangs::AllOf(&graph.jobs()[job].needs))
            }
            _ => Hangs::Nothing,
        }
    }
}

/// What has to be over before a job can end.
enum Hangs<'a> {
    Nothing,
    AnyOf(&'a [String]),
    AllOf(&'a [String]),
}

/// An action that would wait for itself, by way of others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CycleOfWaits {
    job: String,
    /// Each step: whether it is a wait (or a need), and for which job.
    way: Vec<(bool, String)>,
}

impl fmt::Display for CycleOfWaits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} would wait", self.job)?;
        for (step, (waits, job)) in self.way.iter().enumerate() {
            match (step, waits) {
                (0, _) => write!(f, " for {job:?}")?,
                (_, true) => write!(f, ", which waits for {job:?}")?,
                (_, false) => write!(f, ", which needs {job:?}")?,
            }
        }
        f.write_str(": none of them could ever end; wait with a limit, or let one go first")
    }
}
