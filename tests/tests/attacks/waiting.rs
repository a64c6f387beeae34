//! Actions that wait without an instance, since no instance may wait.

use monkeyci_host::{BuildStatus, Limits};

use crate::bench::Bench;

async fn bench() -> Bench {
    Bench::open(Limits { waiting_instances: 0, ..Limits::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_over_is_over_also_where_no_instance_may_wait() {
    let bench = bench().await;
    // The second one ends when the first has waited for it in vain.
    let program = "action a\ntimeout 60000\naction b\nact a\nwait-any 20 b\npublish go 1\nact b\nsubscribe\nfrom-start\nnamed go\nnext 3600000";
    let report = bench.start(program).end().await;
    assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_with_time_is_no_reason_to_come_to_another_point() {
    let bench = bench().await;
    // A list of more bytes than are asked for again without being recorded; then there is one more.
    let program = "action a\nx 150 creates-artifact an-artifact-with-a-long-name-#\naction b\ncreates-artifact last\n\
        act a\nwrite-file f 1\nx 150 save an-artifact-with-a-long-name-# f\nartifacts\nsubscribe\nnamed go\npublish listed 1\nnext 3600000\n\
        act b\nsubscribe\nfrom-start\nnamed listed\nnext 3600000\nwrite-file f 1\nsave last f\npublish go 1";
    let report = bench.start(program).end().await;
    assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
}
