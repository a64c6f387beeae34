//! Artifacts, caches, logs and test reports in a bucket, over the S3 protocol.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Ended, Host, Running, files};
use monkeyci_tests::place;
use monkeyci_tests::s3::{self, S3, SECRET};

use crate::says;

/// `run` of the case, with its blobs in the bucket.
fn run(host: &Host, lead: impl Fn(&mut Command), arguments: &[&str]) -> Running {
    let empty = host.home().join("empty");
    std::fs::create_dir_all(&empty).expect("a directory");
    let mut command = host.command(&["run", "--progress", "json", "--blobs", "s3://bucket/our/prefix"]);
    command.arg(place::script("probe_script")).arg("--dir").arg(empty).args(["--param", "case=stored"]);
    command.args(["--param", &format!("image={}", place::image()), "--engine", &Engine::docker().address]);
    lead(&mut command);
    Running::spawn(command.args(arguments))
}

/// The host's own words and events have the secret key nowhere, nor has a file of its home.
fn assert_secret(host: &Host, ended: &Ended) {
    assert!(!format!("{ended:?}").contains(SECRET), "{ended:#?}");
    for file in files(host.home()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{} has the secret key", file.display());
    }
}

#[test]
fn a_build_keeps_all_its_blobs_in_the_bucket_and_the_next_one_finds_its_cache_there() {
    let (host, s3) = (Host::default(), S3::start());
    let first = run(&host, |command| s3.lead(command), &[]).end();
    assert_eq!(first.code, Some(0), "{first:#?}");
    says(&first, "make", &["nothing kept"]);
    says(&first, "use", &["payload"]);
    says(&first, "read", &["read: payload"]);
    assert_secret(&host, &first);

    let objects = s3.objects();
    let below = |start: &str| objects.iter().filter(|name| name.starts_with(&format!("our/prefix/{start}/"))).count();
    for (kind, count) in [("artifacts", 1), ("caches", 1), ("test-reports", 1), ("workspaces", 0)] {
        assert_eq!(below(kind), count, "{kind}: {objects:#?}");
    }
    assert!(below("logs") >= 3, "{objects:#?}");
    assert!(objects.iter().all(|name| name.starts_with("our/prefix/")), "{objects:#?}");
    assert_eq!(files(&host.home().join("blobs")), [] as [PathBuf; 0]);

    let second = run(&host, |command| s3.lead(command), &[]).end();
    assert_eq!(second.code, Some(0), "{second:#?}");
    says(&second, "make", &["kept"]);
}

#[test]
fn logs_are_read_from_the_bucket_after_the_build() {
    let (host, s3) = (Host::default(), S3::start());
    let ended = run(&host, |command| s3.lead(command), &[]).end();
    let build = ended.events.iter().find_map(|event| event["build"].as_str()).expect("a build");
    let mut command = host.command(&["logs", "--blobs", "s3://bucket/our/prefix", build, "use"]);
    s3.lead(&mut command);
    let output = command.output().expect("the host runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("payload"), "{output:?}");
}

/// A host that can't use its store says why, with exit code 4, before it does anything else.
fn refused(lead: impl Fn(&mut Command), says: &[&str]) {
    let host = Host::default();
    let ended = run(&host, lead, &[]).end();
    assert_eq!((ended.code, ended.events.len()), (Some(4), 0), "{ended:#?}");
    for word in says {
        assert!(ended.stderr.contains(word), "{word:?} is not said: {}", ended.stderr);
    }
    assert_secret(&host, &ended);
}

#[test]
fn wrong_keys_are_said_to_be_wrong_and_are_not_printed() {
    let s3 = S3::start();
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        let lead = |command: &mut Command| {
            s3.lead(command);
            let _ = command.env(variable, "wrong");
        };
        refused(lead, &["refuses us", "check AWS_ACCESS_KEY_ID"]);
    }
}

#[test]
fn a_dead_and_a_silent_server_are_said_to_be_out_of_reach() {
    let mut s3 = S3::start();
    s3.kill();
    refused(|command| s3.lead(command), &["can't be reached", "127.0.0.1", "refused"]);
    // It takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", silent.local_addr().expect("an address"));
    refused(|command| s3::lead(command, &address), &["can't be reached", "no answer within 15 s"]);
}

#[test]
fn a_server_that_dies_in_the_middle_of_a_build_ends_the_job_and_nothing_hangs() {
    let (host, mut s3) = (Host::default(), S3::start());
    let mut build = run(&host, |command| s3.lead(command), &["--param", "meanwhile=echo begun; sleep 2"]);
    build.wait_for(|event| {
        event["type"] == "log" && event["text"].as_str().is_some_and(|text| text.ends_with("begun\n"))
    });
    s3.kill();
    let ended = build.end();
    assert_eq!((ended.code, ended.cause("use")), (Some(4), "skipped"), "{ended:#?}");
    assert_eq!(ended.cause("make"), "sidecar-failed", "{ended:#?}");
    assert!(ended.ending("make")["reason"].as_str().expect("a reason").contains("store failed"), "{ended:#?}");
    assert_eq!(Engine::docker().leftovers(&host.owner()), [] as [String; 0]);
    assert_secret(&host, &ended);
}
