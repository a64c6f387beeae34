//! What job and sidecar find inside their containers.

use crate::host::Host;

pub async fn job_and_sidecar_share_a_volume(host: &Host) {
    let pod = host.pod(
        "await /monkeyci/question\ncontains /monkeyci/question ready?\nwrite /monkeyci/answer yes",
        "write /monkeyci/question ready?\nawait /monkeyci/answer\ncontains /monkeyci/answer yes",
    );
    host.succeeds(&pod).await;
    host.remove(&pod).await;
}

pub async fn configuration_and_api_are_seen_by_the_sidecar_alone(host: &Host) {
    let pod = host.pod(
        "absent /run/monkeyci/config.json\nabsent /run/monkeyci-api\nabsent /monkeyci-sidecar",
        "exists /run/monkeyci/config.json\nexists /run/monkeyci-api/api.sock\nreadonly /run/monkeyci/config.json",
    );
    host.succeeds(&pod).await;
}

pub async fn the_job_cannot_change_the_launcher(host: &Host) {
    let pod = host.pod("readonly /monkeyci-launcher", "");
    host.succeeds(&pod).await;
}

/// (The probe itself checks arguments and working directory: the image's must not show.)
pub async fn the_job_has_its_environment_and_a_sidecar_without_ports_to_probe_has_no_network(host: &Host) {
    let mut pod = host.pod(
        "env GREETING=hello = world\nexists /sys/class/net/eth0\nsh test -x /bin/busybox",
        "absent /sys/class/net/eth0\nenv MONKEYCI_SERVICES=",
    );
    pod.env.insert("GREETING".to_owned(), "hello = world".to_owned());
    pod.cpu_millis = Some(500);
    pod.memory_bytes = Some(64 * 1024 * 1024);
    host.succeeds(&pod).await;
}

pub async fn shared_memory_is_as_large_as_the_job_says(host: &Host) {
    let size = |kib: u32| format!("sh df -k /dev/shm | grep -q ' {kib} '");
    let mut pod = host.pod(&size(128 * 1024), "");
    pod.shm_bytes = Some(128 << 20);
    host.succeeds(&pod).await;
    host.succeeds(&host.pod(&size(64 * 1024), "")).await;
}

pub async fn a_job_without_a_limit_has_less_than_all_of_the_memory(host: &Host) {
    let less = "sh m=$(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null | head -n 1); \
                t=$(awk '/MemTotal/ { print $2 }' /proc/meminfo); test \"$((m / 1024))\" -lt \"$((t / 10 * 8))\"";
    host.succeeds(&host.pod(less, "")).await;
}
