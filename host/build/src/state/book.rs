//! What the schedule keeps of a job beside its state.

use crate::Ending;

/// What the schedule keeps of a job.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) stage: Stage,
    /// How many needs are not over yet; those that don't exist never are.
    pub(super) open: usize,
    /// Whether its turn came once: all is settled that comes before a slot.
    pub(super) cleared: bool,
    /// Whether a person has approved it.
    pub(super) approved: bool,
    /// Whether the script has completed it.
    pub(super) refined: bool,
    /// Whether it is skipped, or going to be, for want of what a job would have made that had nothing to do: an intended
    /// skip that comes of an intended skip, and no failure.
    pub(super) excused: bool,
    /// When something is due: the end of its time while it runs, the end of its rest before it runs again.
    pub(super) alarm: Option<u64>,
}

/// How far a job has come, with what it waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Stage {
    /// The jobs it needs are not all over.
    #[default]
    Needs,
    /// That it is blocked is to be recorded.
    Asking,
    /// A person has to approve it.
    Blocked,
    /// The script is completing it.
    Refining,
    /// It has failed, and rests before it runs again.
    Resting,
    /// It waits for a slot.
    Ready,
    /// Its start was asked for, or it runs.
    Going {
        /// Whether it occupies a slot: one that waits for others, or for events, gives it up.
        has_slot: bool,
    },
    /// It is to end so, without running or running again; the event that says so may be on its way.
    Ending(Ending),
    /// It has ended.
    Over,
}

impl Book {
    /// Whether the job runs, or is being started.
    pub(super) fn is_going(&self) -> bool {
        matches!(self.stage, Stage::Going { .. })
    }

    pub(super) fn has_slot(&self) -> bool {
        self.stage == Stage::Going { has_slot: true }
    }

    /// Whether the job neither runs nor has ended, nor is about to end.
    pub(super) fn is_waiting(&self) -> bool {
        !matches!(self.stage, Stage::Going { .. } | Stage::Ending(_) | Stage::Over)
    }
}
