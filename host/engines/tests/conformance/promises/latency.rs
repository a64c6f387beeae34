//! How long a pod takes.

use std::time::{Duration, Instant};

use crate::host::{Host, service};

pub async fn measure(host: &Host) {
    let mut rows: Vec<[Duration; 4]> = Vec::new();
    for services in [0, 1] {
        rows.clear();
        for _ in 0..12 {
            let mut pod = host.pod("", "");
            for _ in 0..services {
                pod.services.push(service("db", "sleep 60", Vec::new()));
            }
            let begin = Instant::now();
            host.start(&pod).await.expect("the pod starts");
            let started = begin.elapsed();
            host.job_exit(&pod).await;
            let ended = begin.elapsed();
            let begin = Instant::now();
            host.remove(&pod).await;
            rows.push([started, ended - started, ended, begin.elapsed()]);
        }
        // The first one may make the sidecar's image.
        rows.remove(0);
        println!("{}, {services} services (min / median / max, ms)", host.engine.describe());
        for (column, name) in ["start", "wait", "start to end", "remove"].iter().enumerate() {
            let mut times: Vec<_> = rows.iter().map(|row| row[column].as_millis()).collect();
            times.sort_unstable();
            println!("  {name:<13} {:>4} / {:>4} / {:>4}", times[0], times[times.len() / 2], times[times.len() - 1]);
        }
    }
}
