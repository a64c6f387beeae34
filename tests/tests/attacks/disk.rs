//! What builds take of the disk.

use std::path::Path;

use monkeyci_host::{BuildReport, BuildStatus, DiskLimits, Ending, Limits};

use crate::bench::{Bench, under_cap};

/// Whether a file below has these bytes.
fn has(dir: &Path, bytes: &[u8]) -> bool {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.into_iter().any(|path| match path.is_dir() {
        true => has(&path, bytes),
        false => std::fs::read(path).expect("a file").windows(bytes.len()).any(|window| window == bytes),
    })
}

/// How the only job ended.
fn ending(report: &BuildReport) -> &Ending {
    assert_eq!(report.jobs.len(), 1, "{report:#?}");
    &report.jobs[0].ending
}

#[test]
fn whatever_a_build_leaves_on_the_disk_draws_on_one_budget_that_its_end_names() {
    under_cap("disk::whatever_a_build_leaves_on_the_disk_draws_on_one_budget_that_its_end_names", 1000, async || {
        let bench = Bench::with(Limits::default(), DiskLimits { of_build: 6 << 20, reserve: 0 }).await;
        // What is written compresses well: of an artifact of an action, its spooled body counts while it is made.
        for (way, does) in [
            ("pieces of a file", "x 10 append-file a 1000000*a"),
            ("files", "x 10 write-file a# 1000000*a"),
            ("empty files", "x 2000 write-file a# ''"),
            ("deep directories", "x 20 write-file 500*a#/ ''"),
            ("an artifact in pieces", "create kept a\nx 10 write 1000000*a\nfinish"),
        ] {
            let program = format!("action a\ncreates-artifact kept\nact a\n{does}");
            let report = bench.start(&program).end().await;
            let limit =
                "the build's disk, 6 MiB for what its actions write, its artifacts, caches, test reports and logs";
            assert!(
                matches!(ending(&report), Ending::LimitReached { limit: l } if l.contains(limit)),
                "{way}: {report:#?}"
            );
            bench.neighbour_is_well().await;
        }
        // What is written over takes no more.
        let again = "action a\nact a\nx 10 write-file a 1000000*a";
        assert_eq!(*ending(&bench.start(again).end().await), Ending::Succeeded);
        // A log never makes a job fail; it says itself what it has not.
        let talks = "action a\nact a\nwrite-file a 1000000*a\nx 12 print 1000000*a";
        let report = bench.start(talks).end().await;
        let logs = bench.home.path().join("home/blobs/logs").join(&report.build);
        assert!(has(&logs, b"of this log are left out: the build's disk, 6 MiB"), "{report:#?}");
        let warned = |warning: &String| warning.contains("not all of the logs is kept: the build's disk, 6 MiB");
        assert!(*ending(&report) == Ending::Succeeded && report.warnings.iter().any(warned), "{report:#?}");
        // Who takes a refusal well goes on, with less.
        let modest = "action a\nact a\nx 20 try append-file a 1000000*a\noutput done 1";
        assert_eq!(bench.start(modest).end().await.status, BuildStatus::Success);
    });
}
