//! Large graphs, however hostile, cost in proportion. What is counted is what the work allocates, which is the same on every
//! machine; how long it takes is told by `cargo bench -p monkeyci-build`.

mod large;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use large::Work;
use monkeyci_build::MAX_JOBS;

const JOBS: usize = 10_000;

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    /// How often, and how many bytes.
    static ALLOCATED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

// SAFETY: all of it is the system's allocator; the count is plain numbers of the thread's own, and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no count any more.
        let _ = ALLOCATED.try_with(|sum| sum.set((sum.get().0 + 1, sum.get().1 + layout.size())));
        // SAFETY: the caller keeps the promises, which are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises, which are the same.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocated(work: &Work) -> (usize, usize) {
    let before = ALLOCATED.get();
    work();
    let after = ALLOCATED.get();
    (after.0 - before.0, after.1 - before.1)
}

/// Twice the jobs cost twice as much, and some more where a table grows; the square would cost four times as much.
fn in_proportion(prepare: fn(usize) -> Work, jobs: usize) {
    let (half, whole) = (allocated(&prepare(jobs / 2)), allocated(&prepare(jobs)));
    assert!(whole.0 < 3 * half.0, "{} allocations, {} for half as many jobs", whole.0, half.0);
    assert!(whole.1 < 3 * half.1, "{} bytes, {} for half as many jobs", whole.1, half.1);
}

/// Each of these as a test of its own.
macro_rules! in_proportion {
    ($($promise:ident: $prepare:ident, $jobs:expr;)*) => {
        $(#[test] fn $promise() { in_proportion(large::$prepare, $jobs); })*
    };
}

in_proportion! {
    ten_thousand_jobs_are_checked_in_proportion: checks, JOBS;
    artifacts_from_far_upstream_do_not_slow_the_checks_down: checks_of_artifacts_from_far_upstream, JOBS;
    ten_thousand_faults_do_not_slow_the_checks_down: checks_with_as_many_faults, JOBS;
    ten_thousand_jobs_that_need_each_other_in_a_cycle_are_one_fault: checks_of_a_cycle, JOBS;
    chains_of_removed_jobs_do_not_slow_the_checks_down: checks_of_chains_of_removed_jobs, JOBS;
    needs_that_grow_with_the_square_of_the_removed_jobs_are_refused_in_time: checks_of_needs_that_grow_with_the_square, JOBS;
    ten_thousand_cycles_through_one_job_do_not_slow_the_checks_down: checks_of_cycles_through_one_job, JOBS;
    ten_thousand_parameters_are_checked_in_proportion: checks_of_parameters, JOBS;
    ten_thousand_jobs_that_are_submitted_one_by_one_are_taken_in_in_proportion: submits_one_by_one, JOBS;
    a_hundred_thousand_jobs_with_everything_about_them_are_played_in_proportion:
        plays_jobs_with_everything_about_them, MAX_JOBS;
    a_group_of_ten_thousand_jobs_fails_in_proportion: fails_a_group, JOBS;
    ten_thousand_jobs_are_scheduled_in_proportion: schedules, JOBS;
    ten_thousand_jobs_are_skipped_in_proportion: skips, JOBS;
    ten_thousand_jobs_are_planned_in_proportion: plans, JOBS;
    plans_of_ten_thousand_jobs_are_told_apart_in_proportion: tells_two_plans_apart, JOBS;
}

#[test]
fn work_that_grows_with_the_square_is_caught() {
    let square = |jobs: usize| -> Work { Box::new(move || (0..jobs).for_each(|at| drop(vec![0_u8; 1 + at]))) };
    assert!(std::panic::catch_unwind(|| in_proportion(square, JOBS)).is_err());
}
