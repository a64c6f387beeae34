//! How long the core takes for builds of very many jobs. Each is done for half as many jobs too: in proportion, that takes half
//! the time.

#[path = "../tests/large/mod.rs"]
mod large;

use criterion::{BenchmarkId, Criterion, Throughput};
use large::Work;

/// What is done, and its name.
type Case = (&'static str, fn(usize) -> Work);

const CASES: [Case; 13] = [
    ("check", large::checks),
    ("check artifacts from far upstream", large::checks_of_artifacts_from_far_upstream),
    ("check as many faults", large::checks_with_as_many_faults),
    ("check a circle", large::checks_of_a_circle),
    ("check chains of removed jobs", large::checks_of_chains_of_removed_jobs),
    ("refuse needs that grow with the square", large::checks_of_needs_that_grow_with_the_square),
    ("check circles through one job", large::checks_of_circles_through_one_job),
    ("check parameters", large::checks_of_parameters),
    ("submit one by one", large::submits_one_by_one),
    ("play jobs with everything about them", large::plays_jobs_with_everything_about_them),
    ("fail a group", large::fails_a_group),
    ("schedule", large::schedules),
    ("skip", large::skips),
];

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    for (name, prepare) in CASES {
        let mut group = criterion.benchmark_group(name);
        for jobs in [5_000, 10_000] {
            let work = prepare(jobs);
            group.throughput(Throughput::Elements(jobs as u64));
            group.bench_with_input(BenchmarkId::from_parameter(jobs), &work, |bench, work| bench.iter(work));
        }
        group.finish();
    }
    criterion.final_summary();
}
