//! What an attempt of a job says while it is made.

use super::Effect;
use super::book::Stage;
use super::schedule::Schedule;
use crate::{Held, Results, SidecarReport, Status};

impl Schedule {
    /// A job waits for others, or for events, and gives up its slot.
    pub(super) fn waiting(&mut self, id: &str, effects: &mut Vec<Effect>) {
        let Some(job) = self.graph.index(id) else { return };
        if self.states[job].status == Status::Running && self.books[job].has_slot() {
            self.books[job].stage = Stage::Going { has_slot: false };
            self.running -= 1;
            self.fill(effects);
        }
    }

    /// A job has said something of its result.
    pub(super) fn said(&mut self, id: &str, results: &Results) {
        let Some(job) = self.graph.index(id) else { return };
        if !self.is_over_for(job) {
            let state = &mut self.states[job];
            state.test_reports = state.test_reports.saturating_add(u32::from(results.tests.is_some()));
            state.results.get_or_insert_default().add(results.clone());
        }
    }

    /// A job is over that is reused, with what it said where it ran.
    pub(super) fn reuse(&mut self, id: &str, results: Option<Box<Results>>) {
        let Some(job) = self.graph.index(id) else { return };
        self.states[job].results = results;
    }

    /// A job's sidecar has said how it ended.
    pub(super) fn reported(&mut self, id: &str, report: &SidecarReport) {
        let Some(job) = self.graph.index(id) else { return };
        if self.books[job].is_going() {
            self.states[job].held = None;
            self.states[job].reported.get_or_insert_with(|| Box::new(report.clone()));
        }
    }

    /// A job's own command runs.
    pub(super) fn command_runs(&mut self, id: &str) {
        let Some(job) = self.graph.index(id) else { return };
        self.states[job].command_runs |= self.books[job].is_going();
    }

    /// A job is held, or goes on (with `None`).
    pub(super) fn held(&mut self, id: &str, held: Option<(u32, &Held)>) {
        let Some(job) = self.graph.index(id) else { return };
        let state = &mut self.states[job];
        match held {
            Some((number, held)) if self.books[job].is_going() && number > state.holds => {
                (state.holds, state.held) = (number, Some(Box::new(held.clone())));
            }
            Some(_) => {}
            None => state.held = None,
        }
    }

    /// Whether somebody works for a job, and has not said that this is over.
    pub(super) fn works(&self, job: usize) -> bool {
        let at_work = self.books[job].is_going() || self.books[job].stage == Stage::Refining;
        at_work && self.states[job].reported.is_none()
    }

    /// Whether a job has a slot.
    pub(super) fn has_slot(&self, id: &str) -> bool {
        self.graph.index(id).is_some_and(|job| self.books[job].has_slot())
    }

    /// Whether a job is over.
    pub(super) fn is_final(&self, id: &str) -> bool {
        self.graph.index(id).is_some_and(|job| self.states[job].status.is_final())
    }
}
