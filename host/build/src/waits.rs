//! Actions that wait for jobs without a limit, and the circles that they can make: what nobody's end could ever undo.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::{BuildState, Status};

/// Which running actions wait for which jobs, without a limit of time.
#[derive(Clone, Debug, Default)]
pub struct Waits(HashMap<String, Vec<String>>);

impl Waits {
    /// The action `job` waits until any of `others` is over, unless it would wait for itself: by others that wait for it,
    /// or need it.
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use monkeyci_build::{BuildState, Waits};
    ///
    /// let mut waits = Waits::default();
    /// let state = BuildState::new(NonZeroUsize::MIN);
    /// assert!(waits.begin(&state, "a", &["b".to_owned()]).is_ok());
    /// ```
    ///
    /// # Errors
    /// When neither could ever end. Then it is as if it had not been asked.
    pub fn begin(&mut self, state: &BuildState, job: &str, others: &[String]) -> Result<(), CircleOfWaits> {
        self.0.insert(job.to_owned(), others.to_vec());
        let circle = self.circle(state, job);
        if circle.is_some() {
            self.end(job);
        }
        circle.map_or(Ok(()), Err)
    }

    /// The action does not wait any more.
    pub fn end(&mut self, job: &str) {
        self.0.remove(job);
    }

    /// The way from a job back to itself, when nothing on it can ever end.
    fn circle(&self, state: &BuildState, from: &str) -> Option<CircleOfWaits> {
        let mut ends: HashMap<&str, bool> = HashMap::new();
        let order = self.reached(state, from);
        // The order is that of a search in depth: but for circles, what a job hangs on comes before it, and one round will do.
        loop {
            let before = ends.values().filter(|ends| **ends).count();
            for &job in &order {
                let can = |other: &&str| ends.get(other).copied().unwrap_or(false);
                let can_end = match self.hangs_on(state, job) {
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
            let (waits, others) = match self.hangs_on(state, job) {
                Hangs::Nothing => break,
                Hangs::AnyOf(others) => (true, others),
                Hangs::AllOf(needs) => (false, needs),
            };
            let Some(next) = others.iter().find(|other| ends.get(other.as_str()) == Some(&false)) else { break };
            way.push((waits, next.clone()));
            job = next;
        }
        Some(CircleOfWaits { job: from.to_owned(), way })
    }

    /// The jobs that a job hangs on, directly or through others, and itself last.
    fn reached<'a>(&'a self, state: &'a BuildState, from: &'a str) -> Vec<&'a str> {
        let mut order = Vec::new();
        let mut seen = HashSet::from([from]);
        let mut open = vec![(from, false)];
        while let Some((job, done)) = open.pop() {
            if done {
                order.push(job);
                continue;
            }
            open.push((job, true));
            let (Hangs::AnyOf(others) | Hangs::AllOf(others)) = self.hangs_on(state, job) else { continue };
            open.extend(
                others.iter().map(String::as_str).filter(|other| seen.insert(other)).map(|other| (other, false)),
            );
        }
        order
    }

    fn hangs_on<'a>(&'a self, state: &'a BuildState, job: &str) -> Hangs<'a> {
        let status = state.job(job).map(|job| job.status);
        match (self.0.get(job), status) {
            (_, Some(status)) if status.is_final() => Hangs::Nothing,
            (Some(others), _) => Hangs::AnyOf(others),
            (None, Some(Status::Pending)) => {
                let graph = state.graph();
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
pub struct CircleOfWaits {
    job: String,
    /// Each step: whether it is a wait (or a need), and for which job.
    way: Vec<(bool, String)>,
}

impl fmt::Display for CircleOfWaits {
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
