//! Whom a job runs as, and what it may.

use monkeyci_engines::Part;

use crate::host::Host;

pub async fn the_job_runs_as_the_user_that_it_asks_for(host: &Host) {
    for (user, is) in [("1234", "1234:0"), ("1234:5678", "1234:5678"), ("0", "0:0")] {
        let mut pod = host.pod(
            &format!("sh test $(/bin/busybox id -u):$(/bin/busybox id -g) = {is}\nreadonly /monkeyci-launcher"),
            "",
        );
        pod.user = Some(user.to_owned());
        host.succeeds(&pod).await;
        host.remove(&pod).await;
    }
}

pub async fn a_user_that_the_image_does_not_know_is_named(host: &Host) {
    let mut pod = host.pod("", "");
    pod.user = Some("nosuchuser".to_owned());
    host.start(&pod).await.expect("the pod starts");
    assert_eq!(host.job_exit(&pod).await.code, 125);
    let lines = host.engine.last_lines(&pod.key, &Part::Job, 1).await.expect("lines");
    assert!(lines.contains("unable to find user \"nosuchuser\""), "{lines}");
}

/// (Those of the job are CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, SYS_CHROOT and
/// SETFCAP; those of the sidecar the first three.)
pub async fn job_and_sidecar_have_the_same_few_capabilities_with_every_engine(host: &Host) {
    let pod = host.pod(
        "status CapBnd=00000000800405fb\nstatus NoNewPrivs=1",
        "status CapBnd=000000000000000b\nstatus CapEff=000000000000000b\nstatus NoNewPrivs=1",
    );
    host.succeeds(&pod).await;
}

pub async fn the_number_of_processes_has_a_limit(host: &Host) {
    let pod = host.pod("sh test $(cat /sys/fs/cgroup/pids/pids.max || cat /sys/fs/cgroup/pids.max) = 16384", "");
    host.succeeds(&pod).await;
}
