//! What is saved, and when: artifacts and caches of jobs that succeed, fail, are stopped or killed.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use monkeyci_api::{SidecarPlan, SidecarReport};
use monkeyci_build::{CacheSpec, Ending, RestoreArtifact, SaveArtifact, SavePolicy};
use rig::{Rig, plan, shell};
use rustix::process::Signal;

fn artifact(id: &str, path: &str, files: &[&str]) -> SaveArtifact {
    let files = files.iter().map(|glob| (*glob).to_owned()).collect();
    SaveArtifact { id: id.to_owned(), path: path.to_owned(), files, ..SaveArtifact::default() }
}

fn always(id: &str, path: &str) -> SaveArtifact {
    SaveArtifact { always: true, ..artifact(id, path, &[]) }
}

fn saving(lines: &[&str], artifacts: Vec<SaveArtifact>) -> SidecarPlan {
    let mut plan = plan(shell(lines));
    plan.save_artifacts = artifacts;
    plan
}

fn caching(lines: &[&str], save: SavePolicy) -> SidecarPlan {
    let mut plan = plan(shell(lines));
    plan.caches = vec![CacheSpec { id: "c".to_owned(), path: "kept".to_owned(), save, ..CacheSpec::default() }];
    plan
}

fn files(archive: &[u8]) -> Vec<String> {
    let files = monkeyci_archive::list_files(archive, &Default::default()).unwrap();
    files.into_iter().map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
}

#[test]
fn of_a_directory_only_the_files_that_match_are_saved() {
    let rig = Rig::new();
    let lines = ["mkdir -p out/a/b out/c; touch out/x.jar out/x.txt out/a/b/y.jar out/c/z.txt x.jar"];
    let done = rig.run(saving(&lines, vec![artifact("jars", "out", &["*.jar", "a/**"])]));
    assert_eq!(done.ending(), &Ending::Succeeded);
    assert_eq!(files(&rig.api.state().artifacts["jars"]), ["out/a/b/y.jar", "out/x.jar"]);
}

#[test]
fn an_artifact_of_which_no_file_matches_fails_the_job() {
    let rig = Rig::new();
    let done = rig.run(saving(&["mkdir out; touch out/x"], vec![artifact("jars", "out", &["*.jar", "*.war"])]));
    let reason = r#"no file below "out" matches "*.jar" or "*.war""#.to_owned();
    assert_eq!(done.ending(), &Ending::ArtifactMissing { id: "jars".to_owned(), reason });
    assert!(rig.api.state().artifacts.is_empty());
}

#[test]
fn what_is_always_saved_is_saved_after_a_failure() {
    let rig = Rig::new();
    let artifacts = vec![artifact("no", "log", &[]), always("log", "log"), always("gone", "missing")];
    let done = rig.run(saving(&["echo x >log", "exit 3"], artifacts));
    assert!(matches!(done.ending(), Ending::Exited { code: 3, .. }), "{done:?}");
    assert_eq!(rig.api.state().artifacts.keys().collect::<Vec<_>>(), ["log"]);
    let said = "saved artifact log (2 bytes)\nartifact gone is not saved: there is nothing at \"missing\"\n";
    assert_eq!(rig.host_lines(), said);
}

#[test]
fn what_is_always_saved_is_saved_when_another_artifact_is_missing() {
    let rig = Rig::new();
    let done = rig.run(saving(&["echo x >log"], vec![artifact("jar", "jar", &[]), always("log", "log")]));
    assert!(matches!(done.ending(), Ending::ArtifactMissing { id, .. } if id == "jar"), "{done:?}");
    assert_eq!(rig.api.state().artifacts.keys().collect::<Vec<_>>(), ["log"]);
}

#[test]
fn what_is_always_saved_and_not_there_is_a_warning_of_a_job_that_succeeds() {
    for (lines, artifacts, reason) in [
        (&["true"][..], vec![always("log", "log")], "there is nothing at \"log\""),
        (
            &["mkdir out; touch out/x"],
            vec![SaveArtifact { always: true, ..artifact("log", "out", &["*.log"]) }],
            "no file below \"out\" matches \"*.log\"",
        ),
    ] {
        let rig = Rig::new();
        let done = rig.run(saving(lines, artifacts));
        let message = format!("artifact log is not saved: {reason}");
        assert_eq!(done.ending(), &Ending::Warned { message: message.clone() });
        assert_eq!(rig.host_lines(), message + "\n");
    }
}

#[test]
fn what_an_archive_can_not_hold_of_an_artifact_is_a_warning_and_of_a_cache_a_line_in_the_log() {
    let rig = Rig::new();
    let done = rig.run(saving(&["mkdir out; echo x >out/x; mkfifo out/pipe"], vec![artifact("out", "out", &[])]));
    let message = "artifact out lacks 1 of sockets, pipes, devices and files that vanished".to_owned();
    assert_eq!(done.ending(), &Ending::Warned { message });
    assert_eq!(files(&rig.api.state().artifacts["out"]), ["out/x"]);
    let rig = Rig::new();
    let done = rig.run(saving(&["mkdir out; echo x >out/x; mkfifo out/pipe"], vec![artifact("out", "out", &["x"])]));
    assert_eq!(done.ending(), &Ending::Succeeded, "what does not match was not asked for");
    let rig = Rig::new();
    let done = rig.run(caching(&["mkdir kept; echo x >kept/x; mkfifo kept/pipe"], SavePolicy::Success));
    assert_eq!(done.ending(), &Ending::Succeeded);
    assert_eq!(rig.host_lines(), "saved cache c (2 bytes), which lacks 1 of sockets, pipes and devices\n");
}

#[test]
fn what_is_saved_if_it_is_there_need_not_be() {
    let if_there = |path: &str| SaveArtifact { if_there: true, ..artifact("report", path, &[]) };
    let rig = Rig::new();
    let done = rig.run(saving(&["echo x >log"], vec![if_there("report"), artifact("log", "log", &[])]));
    assert_eq!(done.ending(), &Ending::Succeeded);
    let said = "artifact report is not saved: there is nothing at \"report\"\nsaved artifact log (2 bytes)\n";
    assert_eq!((rig.host_lines().as_str(), rig.api.state().artifacts.len()), (said, 1));
    let rig = Rig::new();
    assert_eq!(rig.run(saving(&["echo x >report"], vec![if_there("report")])).ending(), &Ending::Succeeded);
    assert!(rig.api.state().artifacts.contains_key("report"));
    let rig = Rig::new();
    rig.run(saving(&["echo x >report", "false"], vec![if_there("report")]));
    assert!(rig.api.state().artifacts.is_empty(), "only a job that succeeds saves it");
}

#[test]
fn what_is_saved_on_a_failure_is_saved_only_then() {
    let on_failure = |path: &str| SaveArtifact { on_failure: true, ..artifact("core", path, &[]) };
    let rig = Rig::new();
    assert_eq!(rig.run(saving(&["echo x >core"], vec![on_failure("core")])).ending(), &Ending::Succeeded);
    assert!(rig.api.state().artifacts.is_empty());
    let rig = Rig::new();
    let done = rig.run(saving(&["echo x >core", "exit 3"], vec![on_failure("core"), artifact("no", "core", &[])]));
    assert!(matches!(done.ending(), Ending::Exited { code: 3, .. }), "{done:?}");
    assert_eq!(rig.api.state().artifacts.keys().collect::<Vec<_>>(), ["core"]);
    let rig = Rig::new();
    rig.run(saving(&["exit 3"], vec![on_failure("core")]));
    assert_eq!(rig.host_lines(), "artifact core is not saved: there is nothing at \"core\"\n");
}

#[test]
fn a_job_without_a_working_directory_fails_only_by_what_it_has_promised() {
    let in_dir = |artifacts| {
        let mut plan = saving(&["cd ..; rmdir sub"], artifacts);
        plan.work_dir = "sub".to_owned();
        let rig = Rig::new();
        std::fs::create_dir_all(rig.work("sub")).ok();
        rig.run(plan).ending().clone()
    };
    let if_there = SaveArtifact { if_there: true, ..artifact("report", "report", &[]) };
    assert_eq!(in_dir(vec![if_there.clone()]), Ending::Succeeded);
    assert!(matches!(in_dir(vec![always("log", "log")]), Ending::Warned { .. }));
    let promised = vec![if_there, artifact("log", "log", &[])];
    assert!(matches!(in_dir(promised), Ending::ArtifactMissing { id, .. } if id == "log"));
}

#[test]
fn what_is_always_saved_is_saved_when_the_job_is_stopped() {
    let rig = Rig::new();
    let lines = ["echo a=1 >>$MONKEYCI_OUTPUTS; echo x >log; echo ready; sleep 1000; true"];
    let running = rig.start(saving(&lines, vec![artifact("no", "log", &[]), always("log", "log")]));
    running.until_logged("ready");
    running.launcher.signal(Signal::TERM);
    assert!(matches!(running.finish().ending(), Ending::Signalled { signal: 15, .. }));
    assert_eq!(rig.api.state().artifacts.keys().collect::<Vec<_>>(), ["log"]);
    assert!(rig.api.state().outputs.is_some());
}

#[test]
fn what_is_always_saved_is_saved_when_the_job_is_killed() {
    let rig = Rig::new();
    let lines = ["echo x >log; echo $$ >main; echo ready; exec sleep 1000"];
    let mut running = rig.start(saving(&lines, vec![always("log", "log")]));
    running.until_logged("ready");
    running.launcher.signal(Signal::KILL);
    assert_eq!(running.sidecar.wait(), Some(0));
    assert_eq!(rig.api.state().result, Some(SidecarReport::LauncherGone { during: None }));
    assert_eq!(rig.api.state().artifacts.keys().collect::<Vec<_>>(), ["log"]);
    // In a container it would have died with its launcher.
    rig::kill(&rig.work("main"));
}

#[test]
fn an_artifact_that_need_not_be_there_is_a_line_in_the_log() {
    let rig = Rig::new();
    let mut first = saving(&["echo ran; cat out/file 2>/dev/null || true"], vec![]);
    first.restore_artifacts = vec![RestoreArtifact {
        id: "a".to_owned(),
        path: ".".to_owned(),
        if_there: true,
        ..RestoreArtifact::default()
    }];
    assert_eq!(rig.run(first.clone()).ending(), &Ending::Succeeded);
    assert_eq!((rig.stdout(), rig.host_lines()), ("ran\n".to_owned(), "artifact a is not there\n".to_owned()));

    let rig = Rig::new();
    rig.run(saving(&["mkdir out; echo x >out/file"], vec![artifact("a", "out", &[])]));
    let other = Rig::new();
    other.api.state().artifacts = rig.api.state().artifacts.clone();
    assert_eq!(other.run(first).ending(), &Ending::Succeeded);
    assert_eq!(other.stdout(), "ran\nx\n");
}

/// What the second of two jobs says, where the first has made the cache.
fn second(first: &str, second: SidecarPlan, older: bool) -> (String, bool) {
    let rig = Rig::new();
    assert_eq!(rig.run(caching(&[first], SavePolicy::Success)).ending(), &Ending::Succeeded);
    let other = Rig::new();
    other.api.state().caches = rig.api.state().caches.clone();
    other.api.state().caches_are_older = older;
    other.run(second);
    let saved = other.api.state().requests.contains(&"PUT /caches/c".to_owned());
    (other.host_lines(), saved)
}

const MAKE: &str = "mkdir -p kept/dir; echo x >kept/dir/file; ln -s file kept/dir/link";

#[test]
fn a_cache_in_which_nothing_changed_is_not_saved_again() {
    let plan = |save| caching(&["cat kept/dir/file", "sleep 0.02"], save);
    for save in [SavePolicy::Success, SavePolicy::Always] {
        let (said, saved) = second(MAKE, plan(save), false);
        assert_eq!((said.as_str(), saved), ("restored cache c (exact, 2 bytes)\ncache c is unchanged\n", false));
    }
    let (said, saved) = second(MAKE, plan(SavePolicy::Success), true);
    let lines = "restored cache c (older, 2 bytes)\nsaved cache c (2 bytes)\n";
    assert_eq!((said.as_str(), saved), (lines, true), "under its own key it is new");
}

#[test]
fn every_change_of_a_cache_is_saved() {
    for change in [
        "echo y >kept/dir/file",
        // The same size and time, as package managers make them.
        "echo y >new; touch -r kept/dir/file new; mv new kept/dir/file",
        "printf y | dd of=kept/dir/file conv=notrunc 2>/dev/null; touch -d @0 kept/dir/file",
        "chmod +x kept/dir/file",
        "touch kept/other",
        "mkdir kept/empty",
        "rm kept/dir/link",
        "ln -sfn dir kept/dir/link",
        "touch kept/dir/file",
        "mv kept/dir kept/rid",
    ] {
        let (said, saved) = second(MAKE, caching(&[change], SavePolicy::Success), false);
        assert!(saved && said.contains("saved cache c"), "{change}: {said}");
    }
}

#[test]
fn a_cache_is_saved_when_its_policy_says_so() {
    let cases = [
        (SavePolicy::Success, "true", true),
        (SavePolicy::Success, "false", false),
        (SavePolicy::Always, "true", true),
        (SavePolicy::Always, "false", true),
        (SavePolicy::Miss, "true", true),
        (SavePolicy::Miss, "false", false),
    ];
    for (policy, last, expected) in cases {
        let rig = Rig::new();
        rig.run(caching(&[MAKE, last], policy));
        assert_eq!(rig.api.state().caches.contains_key("c"), expected, "{policy:?} {last}");
    }
}

#[test]
fn a_cache_that_is_saved_on_a_miss_is_saved_unless_it_was_there_under_its_key() {
    let plan = || caching(&["echo more >>kept/dir/file"], SavePolicy::Miss);
    let (said, saved) = second(MAKE, plan(), false);
    assert_eq!((said.as_str(), saved), ("restored cache c (exact, 2 bytes)\n", false));
    assert!(second(MAKE, plan(), true).1, "something older is a miss");
}

#[test]
fn an_artifact_restored_into_a_cache_is_a_change_of_the_cache() {
    let rig = Rig::new();
    let mut first = caching(&[MAKE], SavePolicy::Success);
    first.save_artifacts = vec![artifact("a", "kept/dir/file", &[])];
    assert_eq!(rig.run(first).ending(), &Ending::Succeeded);
    let other = Rig::new();
    other.api.state().caches = rig.api.state().caches.clone();
    other.api.state().artifacts = rig.api.state().artifacts.clone();
    let mut plan = caching(&["true"], SavePolicy::Success);
    plan.restore_artifacts =
        vec![RestoreArtifact { id: "a".to_owned(), path: ".".to_owned(), ..RestoreArtifact::default() }];
    assert_eq!(other.run(plan).ending(), &Ending::Succeeded);
    assert!(other.host_lines().contains("saved cache c"), "{}", other.host_lines());
}

#[test]
fn a_cache_that_is_only_read_is_never_saved() {
    let (said, saved) = second(MAKE, caching(&["cat kept/dir/file; touch kept/other"], SavePolicy::Never), false);
    assert_eq!((said.as_str(), saved), ("restored cache c (exact, 2 bytes)\n", false));
}

#[test]
fn a_cache_of_several_paths_is_kept_as_one() {
    let several = |lines: &[&str]| {
        let mut plan = caching(lines, SavePolicy::Success);
        plan.caches[0].more_paths = ["sub/more", "seldom"].map(str::to_owned).to_vec();
        plan
    };
    let rig = Rig::new();
    let made = rig.run(several(&["mkdir -p kept sub; echo one >kept/one; echo two >sub/more; echo no >sub/other"]));
    assert_eq!(made.ending(), &Ending::Succeeded);
    assert_eq!(files(&rig.api.state().caches["c"]), ["kept/one", "sub/more"]);
    for (line, expected) in [
        ("cat kept/one sub/more", "cache c is unchanged\n"),
        ("echo x >seldom", "saved cache c (10 bytes)\n"),
        ("rm sub/more", "saved cache c (4 bytes)\n"),
    ] {
        let other = Rig::new();
        other.api.state().caches = rig.api.state().caches.clone();
        assert_eq!(other.run(several(&[line])).ending(), &Ending::Succeeded, "{}", other.stderr_of_job());
        assert_eq!(other.host_lines(), format!("restored cache c (exact, 8 bytes)\n{expected}"), "{line}");
    }
}
