//! Builds whose containers run on when their host is killed.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_build_whose_host_has_died_is_cancelled_and_what_it_has_left_is_removed() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let build = kill_durably(&host, host.start("resume-pods", &["--param", "gate=yes"]), "job/running", "works");
    assert!(!engine.leftovers(&host.owner()).is_empty(), "a killed host can't clear away");
    let cancel = || host.command(&["cancel", &build, "--engine", &engine.address]).output().expect("the host runs");
    let cancelled = cancel();
    assert!(cancelled.status.success(), "{cancelled:?}");
    let said = String::from_utf8_lossy(&cancelled.stdout).into_owned();
    assert_eq!(said, format!("{build} had lost its host, and is cancelled\n"));
    assert_eq!(engine.leftovers(&host.owner()), [""; 0]);
    assert_eq!(list(&host), "no build of this home has lost its host\n");
    assert!(String::from_utf8_lossy(&cancel().stderr).contains("does not run any more"));
}

/// What is wrong with the lines of a job's log that are numbers, and those of its service with it: they count from one up to these.
fn miscounted(host: &Host, build: &str, job: &str, own: u32, of_service: u32) -> Option<String> {
    let log = |arguments: &[&str], last: u32| {
        let log = host.command(&["logs", build, job]).args(arguments).output().expect("the host runs");
        let text = String::from_utf8(log.stdout).expect("text");
        // Words of the host stand there too.
        let said: Vec<u32> = text.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        let wrong = said.iter().zip(1..).position(|(said, expected)| *said != expected);
        let right = wrong.is_none() && said.len() == last as usize;
        (!right).then(|| format!("{job} {arguments:?}: {} numbers of {last}, wrong at {wrong:?}", said.len()))
    };
    log(&["--stream", "stdout"], own).or_else(|| log(&["--service"], of_service))
}

#[test]
fn a_container_runs_on_without_its_host_and_the_next_one_finds_it() {
    for engine in [Engine::docker(), Engine::podman()] {
        let (host, code) = (Host::on(&engine), code());
        let dir = code.path().to_str().expect("text");
        let (build, _) = kill(host.start("resume-pods", &["--dir", dir, "--param", "gate=yes"]), |event| {
            says(event, "works", "begins")
        });
        let pid = engine.wait_for_pid(&host.owner(), "works", "job");
        let on = ["--engine", &engine.address];
        // What it needs stays, whoever clears away.
        let gc = host.command(&["gc", on[0], on[1]]).output().expect("the host runs");
        let left = format!("{build} is left: its containers wait for another host");
        assert!(String::from_utf8_lossy(&gc.stdout).contains(&left), "{gc:?}");
        std::fs::write(code.path().join("stay"), "").expect("written");
        let changed = refused(&host, &build, &on);
        assert!(changed.contains("files in the code's directory are not what they were"), "{changed}");
        std::fs::remove_file(code.path().join("stay")).expect("removed");

        let mut running = resume(&host, &build, &on);
        running.wait_for(|event| event["type"] == "build/resumed");
        assert_eq!(engine.wait_for_pid(&host.owner(), "works", "job"), pid);
        engine.put(&host.owner(), "works", "go");
        let ended = running.end();
        assert_eq!((ended.code, ended.cause("last")), (Some(0), "succeeded"), "{ended:#?}");
        assert_eq!(ended.of_type("job/started").filter(|event| event["job"] == "works").count(), 0, "{ended:#?}");
        ended.says("last", &["1000"]);
        assert_eq!(miscounted(&host, &build, "works", 1000, 300), None);
        assert_eq!(engine.leftovers(&host.owner()), [""; 0]);
    }
}

#[test]
fn a_container_that_can_not_find_the_next_host_is_lost_at_once_and_its_log_says_so() {
    let engine = Engine::docker();
    for missing in ["jobs/works-1/config.json", "api"] {
        let host = Host::on(&engine);
        let start = host.start("resume-pods", &["--param", "gate=yes"]);
        // What the journal does not say to run is begun anew, with all that it needs.
        let build = kill_durably(&host, start, "job/running", "works");
        // What a build needs to go on is not old.
        let gc =
            host.command(&["gc", "--older-than", "0s", "--engine", &engine.address]).output().expect("the host runs");
        assert!(String::from_utf8_lossy(&gc.stdout).ends_with("0 removed\n"), "{gc:?}");
        let path = host.home().join("run").join(build.replace('/', "_")).join(missing);
        match path.is_dir() {
            true => std::fs::remove_dir_all(&path).expect("removed"),
            false => std::fs::write(&path, "{").expect("written"),
        }
        let ended = resume(&host, &build, &["--engine", &engine.address]).end();
        assert_eq!((ended.code, ended.cause("works")), (Some(4), "host-died"), "{missing}: {ended:#?}");
        assert!(log(&host, &build, "works").contains("what it said last may be missing here"));
        assert_eq!(engine.leftovers(&host.owner()), [""; 0]);
    }
}

#[test]
fn a_pod_that_was_being_made_and_can_not_find_the_next_host_keeps_nobody_waiting() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let build = kill_durably(&host, host.start("resume-pods", &[]), "job/started", "fails");
    std::fs::remove_dir_all(host.home().join("run").join(build.replace('/', "_")).join("api")).expect("removed");
    let ended = resume(&host, &build, &["--engine", &engine.address]).end();
    // Whether anything was made of it depends on when exactly the host died.
    assert!(["host-died", "tolerated"].contains(&ended.cause("fails")), "{ended:#?}");
    assert_eq!(engine.leftovers(&host.owner()), [""; 0]);
}

#[test]
fn a_build_whose_containers_have_waited_in_vain_goes_on_without_them() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    let arguments = ["--param", "gate=yes", "--wait-for-host", "10s"];
    let build = kill_durably(&host, host.start("resume-pods", &arguments), "job/running", "works");
    let [job, sidecar] = ["job", "sidecar"].map(|part| engine.wait_for_pid(&host.owner(), "works", part));
    for process in [job, sidecar] {
        hang_guard::until("the pod to end by itself", || rustix::process::test_kill_process(process).is_err());
    }
    let ended = resume(&host, &build, &["--engine", &engine.address]).end();
    assert_eq!(
        (ended.code, ended.cause("works"), ended.cause("last")),
        (Some(4), "host-died", "skipped"),
        "{ended:#?}"
    );
    assert_eq!(engine.leftovers(&host.owner()), [""; 0]);
}

/// What of a journal is the same each time, by job.
async fn story(host: &Host, build: &str) -> BTreeMap<Option<String>, Vec<Value>> {
    let journals = Journals::sqlite(&host.home().join("journal.db"), Owner(3)).await.expect("a journal");
    let mut story = BTreeMap::<_, Vec<_>>::new();
    for event in journals.events(build).await.expect("events") {
        let mut told = serde_json::to_value(&event.body).expect("JSON");
        let body = told.as_object_mut().expect("an object");
        // An archive has the times of its files.
        for own in ["build", "size", "digest", "request", "told", "jobs", "cached"] {
            body.remove(own);
        }
        if !matches!(event.body, EventBody::BuildResumed { .. }) {
            story.entry(event.body.job().map(str::to_owned)).or_default().push(told);
        }
    }
    story
}

/// How many hosts are killed, one after the other: as many as there are events, in a soak.
fn kills() -> usize {
    std::env::var("MONKEYCI_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(4)
}

#[test]
fn a_build_that_is_killed_anywhere_ends_as_if_nothing_had_happened() {
    let (engine, code) = (Engine::docker(), code());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let story = |host: &Host, build: &str| runtime.block_on(story(host, build));
    let arguments = ["--dir", code.path().to_str().expect("text"), "--jobs", "3"];
    let whole = Host::on(&engine);
    let ended = whole.run("resume-pods", &arguments);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let events = ended.events.iter().filter_map(|event| event["seq"].as_u64()).max().expect("events") as usize;
    let expected = story(&whole, ended.events[0]["build"].as_str().expect("an id"));
    let points = kills().min(events);
    // Each run of the tests takes others.
    let seed = usize::try_from(std::process::id()).expect("a number");
    for point in 0..points {
        let point = 1 + (point * events / points + seed % events.div_ceil(points)) % events;
        let host = Host::on(&engine);
        let mut running = host.start("resume-pods", &arguments);
        running.wait_for(|event| event["seq"].as_u64().is_some_and(|seq| seq >= point as u64));
        let (build, _) = kill(running, |_| true);
        let mut ended = resume(&host, &build, &["--engine", &engine.address]).end();
        if ["does not say what it was asked to be", "knows no build"].iter().any(|why| ended.stderr.contains(why)) {
            // Nothing of it had been done, or written down.
            ended = host.run("resume-pods", &arguments);
        }
        if ended.stderr.contains("is over") {
            // All that was to be done is: but nobody has cleared away yet.
            let gc = host.command(&["gc", "--engine", &engine.address]).output().expect("the host runs");
            assert!(gc.status.success(), "{gc:?}");
        } else {
            assert_eq!(ended.code, Some(0), "killed after event {point}: {ended:#?}");
        }
        let build = ended.events.iter().find_map(|event| event["build"].as_str()).unwrap_or(&build).to_owned();
        let story = story(&host, &build);
        for (job, expected) in &expected {
            let told = story.get(job).map(Vec::as_slice).unwrap_or_default();
            assert!(told == expected, "killed after event {point}, {job:?}: {told:#?} in place of {expected:#?}");
        }
        assert_eq!(story.len(), expected.len(), "{:?}", story.keys());
        for (job, own, of_service) in [("first", 300, 0), ("works", 1000, 300), ("beside", 400, 0)] {
            assert_eq!(miscounted(&host, &build, job, own, of_service), None, "killed after event {point}");
        }
        assert_eq!(engine.leftovers(&host.owner()), [""; 0]);
    }
}
