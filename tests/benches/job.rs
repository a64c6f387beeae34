//! What a job costs beside the bare container: ours and `docker run --rm` of the same image alternate in one run. Ours has
//! workspace, sidecar and launcher; the time is from the job's start to its end in the journal, as dependents see it.

use std::process::Command;
use std::time::{Duration, Instant};

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::Host;
use monkeyci_tests::place;

const ROUNDS: usize = 15;

fn main() {
    let host = Host::on(&Engine::docker());
    let code = host.home().join("code");
    std::fs::create_dir(&code).expect("a directory");
    // A workspace of just below 1 MB that does not compress to nothing.
    let noise: Vec<u8> = (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(code.join("file"), noise).expect("written");

    let (mut ours, mut lines, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (one, twenty, docker) = (job(&host, "one-line", &code), job(&host, "twenty-lines", &code), docker_run());
        // The first round makes the sidecar's image.
        if round > 0 {
            ours.push(one);
            lines.push(twenty);
            bare.push(docker);
        }
    }
    let [ours, lines, bare] = [ours, lines, bare].map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    println!("a container job beside the bare container (median of {ROUNDS})");
    println!("  docker run --rm, default bridge   {:>6.0} ms", ms(bare));
    println!(
        "  a job of one line                 {:>6.0} ms   ours is {:.2} x, {:+.0} ms",
        ms(ours),
        ours.as_secs_f64() / bare.as_secs_f64(),
        ms(ours) - ms(bare)
    );
    println!("  a job of twenty lines             {:>6.0} ms   {:+.0} ms to one line", ms(lines), ms(lines) - ms(ours));
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn job(host: &Host, case: &str, code: &std::path::Path) -> Duration {
    let ended = host.run(case, &["--dir", code.to_str().expect("text")]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let time = |kind| ended.of_type(kind).next().and_then(|event| event["time_ms"].as_u64()).expect("a time");
    Duration::from_millis(time("job/ended") - time("job/started"))
}

fn docker_run() -> Duration {
    let start = Instant::now();
    let mut docker = Command::new("docker");
    docker.env("DOCKER_HOST", place::get(place::DOCKER)).args(["run", "--rm", &place::image(), "true"]);
    let status = docker.status().expect("the docker command is there: run `cargo xtask bench`, which installs it");
    assert!(status.success(), "docker run works");
    start.elapsed()
}
