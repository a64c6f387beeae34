//! Actions that wait for jobs, and the circles that they may not make.

mod told_build;

use monkeyci_build::Waits;
use told_build::{Build, spec};

fn waits_for(waits: &mut Waits, build: &Build, job: &str, others: &[&str]) -> Result<(), String> {
    let others: Vec<String> = others.iter().map(|&other| other.to_owned()).collect();
    waits.begin(&build.state, job, &others).map_err(|circle| circle.to_string())
}

#[test]
fn actions_that_wait_for_each_other_are_found_by_the_one_that_closes_the_circle() {
    let (mut build, _) = Build::of(3, &[("a", &[]), ("b", &[]), ("c", &[])]);
    for job in ["a", "b", "c"] {
        build.started(job);
    }
    let mut waits = Waits::default();
    assert_eq!(waits_for(&mut waits, &build, "a", &["b"]), Ok(()));
    assert_eq!(waits_for(&mut waits, &build, "b", &["c"]), Ok(()));
    let told = r#""c" would wait for "a", which waits for "b", which waits for "c": none of them could ever end"#;
    let found = waits_for(&mut waits, &build, "c", &["a"]).expect_err("a circle");
    assert!(found.starts_with(told), "{found}");
    // It is as if c had not asked.
    waits.end("a");
    assert_eq!(waits_for(&mut waits, &build, "c", &["a"]), Ok(()));
}

#[test]
fn an_action_can_not_wait_for_a_job_that_needs_it() {
    let (mut build, _) = Build::of(3, &[("a", &[]), ("free", &[]), ("b", &["free", "a"]), ("c", &["b"])]);
    build.started("a");
    build.started("free");
    let mut waits = Waits::default();
    let found = waits_for(&mut waits, &build, "a", &["c"]).expect_err("a circle");
    assert!(found.contains(r#"for "c", which needs "b", which needs "a":"#), "{found}");
    // Any will do, and one of them can end.
    assert_eq!(waits_for(&mut waits, &build, "a", &["c", "free"]), Ok(()));
}

#[test]
fn waiting_for_jobs_that_others_wait_for_is_no_circle() {
    let (mut build, _) = Build::of(9, &[("a", &[]), ("b", &[]), ("c", &[]), ("d", &["c"])]);
    for job in ["a", "b", "c"] {
        build.started(job);
    }
    build.submitted("a", vec![spec("sub", &["c"])]);
    let mut waits = Waits::default();
    assert_eq!(waits_for(&mut waits, &build, "a", &["sub", "d"]), Ok(()));
    assert_eq!(waits_for(&mut waits, &build, "b", &["a"]), Ok(()));
    assert_eq!(waits_for(&mut waits, &build, "nobody-knows", &["a", "b", "x"]), Ok(()));
    build.succeeded("c");
    assert_eq!(waits_for(&mut waits, &build, "c", &["a"]), Ok(()));
}
