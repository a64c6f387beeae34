//! What scripts take of memory.

use std::fmt::Write;

use monkeyci_host::{BuildStatus, Ending, EventBody, JobSummary, Limits};

use crate::bench::{Bench, Running, resident, under_cap};

/// Jobs `a0` to `a…` that all do this.
fn each(count: usize, does: &str) -> String {
    let mut program = format!("x {count} action a#\n");
    for job in 0..count {
        let _ = writeln!(program, "act a{job}\n{does}");
    }
    program
}

/// Ends of jobs.
fn is_end(body: &EventBody) -> bool {
    matches!(body, EventBody::JobEnded { .. })
}

/// Whether an action waits.
fn is_wait(body: &EventBody) -> bool {
    matches!(body, EventBody::JobWaiting { .. })
}

#[test]
fn actions_that_wait_give_their_memory_to_others_and_go_on_with_what_they_had() {
    const WAITING: usize = 24;
    // Two of them fit. All at once would be 5 GB.
    under_cap("memory::actions_that_wait_give_their_memory_to_others_and_go_on_with_what_they_had", 2000, async || {
        let bench = Bench::open(Limits { instances: 2, ..Limits::default() }).await;
        bench.neighbour_is_well().await;
        let quiet = resident(true);
        let waits = "allocate 240\nsubscribe\nnamed go\nnext 3600000\nevent\noutput came 1";
        let running = bench.start(&each(WAITING, waits));
        running.notes.wait_for(WAITING, is_wait).await;
        bench.neighbour_is_well().await;
        bench.publish(&running, "go").await;
        let report = running.end().await;
        assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
        let came = |job: &&JobSummary| job.results.as_ref().is_some_and(|results| results.outputs.contains_key("came"));
        assert_eq!(report.jobs.iter().filter(came).count(), WAITING);
        assert_eq!(bench.host.usage().instances, 0);
        let more = resident(false) - quiet;
        println!("at most {more} MiB more than when it was quiet ({quiet} MiB)");
        assert!(more <= 800, "{more} MiB");
    });
}

#[test]
fn actions_that_can_not_give_way_hold_no_more_memory_than_their_build_may_have_and_its_end_says_so() {
    const WAITING: usize = 24;
    // Each is in the middle of writing an artifact.
    let mut program = String::new();
    for job in 0..WAITING {
        let _ = writeln!(program, "action a{job}\ncreates-artifact k{job}");
    }
    for job in 0..WAITING {
        let waits = "allocate 240\nsubscribe\nnamed go\nnext 3600000\nwrite some\nfinish";
        let _ = writeln!(program, "act a{job}\ncreate k{job} file\n{waits}");
    }
    under_cap(
        "memory::actions_that_can_not_give_way_hold_no_more_memory_than_their_build_may_have_and_its_end_says_so",
        2000,
        async || {
            let bench = Bench::open(Limits::default()).await;
            bench.neighbour_is_well().await;
            let quiet = resident(true);
            let running = bench.start(&program);
            running.notes.wait_for(WAITING - 2, is_end).await;
            assert_eq!(bench.host.usage().instances, 2);
            bench.neighbour_is_well().await;
            let greedy = bench.start(&each(1, "allocate 200")).end().await;
            assert_eq!(greedy.status, BuildStatus::Success, "{greedy:#?}");

            bench.publish(&running, "go").await;
            let report = running.end().await;
            assert_eq!(report.status, BuildStatus::Failure);
            let refused = report.jobs.iter().filter_map(|job| match &job.ending {
                Ending::LimitReached { limit } => Some(limit.as_str()),
                Ending::Succeeded => None,
                other => panic!("{other:?}"),
            });
            let refused: Vec<&str> = refused.collect();
            assert_eq!(refused.len(), WAITING - 2);
            let named = |limit: &&str| {
                limit.contains("the memory of the build's scripts, 512 MiB for all its instances together")
            };
            assert!(refused.iter().all(named), "{refused:?}");
            assert_eq!(bench.host.usage().instances, 0);
            let more = resident(false) - quiet;
            println!("at most {more} MiB more than when it was quiet ({quiet} MiB)");
            // 440 MiB for the two, and 200 for the greedy one beside them.
            assert!(more <= 800, "{more} MiB");
        },
    );
}

#[test]
fn fifty_greedy_builds_leave_each_other_something_and_an_honest_one_beside_them_starts() {
    under_cap(
        "memory::fifty_greedy_builds_leave_each_other_something_and_an_honest_one_beside_them_starts",
        4000,
        async || {
            let bench = Bench::open(Limits::default()).await;
            bench.neighbour_is_well().await;
            let quiet = resident(true);
            let takes_all = "subscribe\nnamed go\nx 64 try hoard 4\nforget-memory\npublish full 1\nnext 3600000";
            let greedy: Vec<Running> = (0..50).map(|_| bench.start(&each(1, takes_all))).collect();
            for running in &greedy {
                let full = |body: &EventBody| matches!(body, EventBody::ScriptEvent { name, .. } if name == "full");
                running.notes.wait_for(1, full).await;
            }
            let taken = bench.host.usage().memory >> 20;
            println!("{taken} MiB taken, {} MiB more than when it was quiet", resident(true) - quiet);
            assert!((1000..=1024 + 50 * 8).contains(&taken), "{taken} MiB");
            bench.neighbour_is_well().await;
            for running in &greedy {
                // One that could not even keep what it was told is over.
                bench.publish_unless_over(running, "go").await;
            }
            for running in greedy {
                let report = running.end().await;
                let ending = report.jobs[0].ending.to_string();
                // One that has all that it may have does not even get the event.
                assert!(
                    ending == "succeeded" || ending.contains("its part of the memory of all builds' scripts"),
                    "{ending}"
                );
            }
            bench.neighbour_is_well().await;
            let more = resident(false) - quiet;
            println!("at most {more} MiB more than when it was quiet ({quiet} MiB)");
            assert!(more <= 2000, "{more} MiB");
        },
    );
}

#[test]
fn the_jobs_that_actions_submit_have_a_budget_of_their_build() {
    under_cap("memory::the_jobs_that_actions_submit_have_a_budget_of_their_build", 1200, async || {
        let bench = Bench::open(Limits::default()).await;
        let mut program = "x 20 action a#\n".to_owned();
        for job in 0..20 {
            let _ = writeln!(program, "act a{job}\naction b{job}\ncalls h 3500000*x\nsubmit");
        }
        let report = bench.start(&program).end().await;
        let refused = report.jobs.iter().filter(|job| {
            job.ending
                .to_string()
                .contains("the jobs that the build's actions submit have reached their limit of 64 MiB")
        });
        assert_eq!((refused.count(), report.jobs.len()), (1, 39), "{:?}", report.jobs);
        bench.neighbour_is_well().await;
    });
}
