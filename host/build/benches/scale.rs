//! How long the core takes for builds of very many jobs. Each is done for half as many jobs too: in proportion, that takes half
//! the time.

#[path = "../tests/large/mod.rs"]
mod large;

use std::time::{Duration, Instant};

use large::Work;

/// What is done, and its name.
type Case = (&'static str, fn(usize) -> Work);

const CASES: [Case; 15] = [
    ("check", large::checks),
    ("check artifacts from far upstream", large::checks_of_artifacts_from_far_upstream),
    ("check as many faults", large::checks_with_as_many_faults),
    ("check a cycle", large::checks_of_a_cycle),
    ("check chains of removed jobs", large::checks_of_chains_of_removed_jobs),
    ("refuse needs that grow with the square", large::checks_of_needs_that_grow_with_the_square),
    ("check cycles through one job", large::checks_of_cycles_through_one_job),
    ("check parameters", large::checks_of_parameters),
    ("submit one by one", large::submits_one_by_one),
    ("play jobs with everything about them", large::plays_jobs_with_everything_about_them),
    ("fail a group", large::fails_a_group),
    ("schedule", large::schedules),
    ("skip", large::skips),
    ("plan", large::plans),
    ("tell two plans apart", large::tells_two_plans_apart),
];

fn main() {
    println!("{:40} {:>12} {:>12} {:>6}", "", "5,000 jobs", "10,000 jobs", "ratio");
    for (name, prepare) in CASES {
        let (half, whole) = (median(&prepare(5_000)), median(&prepare(10_000)));
        let ratio = whole.as_secs_f64() / half.as_secs_f64();
        println!("{name:40} {:>9.1} ms {:>9.1} ms {ratio:>6.1}", millis(half), millis(whole));
    }
}

fn median(work: &Work) -> Duration {
    let mut times: Vec<_> = (0..9)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
