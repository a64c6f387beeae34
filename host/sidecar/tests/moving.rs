//! Workspace, caches, artifacts and services.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};

use monkeyci_api::{ServiceProbe, SidecarPlan};
use monkeyci_build::{CacheSpec, Ending, RestoreArtifact, SaveArtifact};
use rig::{Rig, plan, shell};

fn artifact(id: &str, path: &str) -> SaveArtifact {
    SaveArtifact { id: id.to_owned(), path: path.to_owned(), ..SaveArtifact::default() }
}

fn restored(id: &str, path: &str) -> RestoreArtifact {
    RestoreArtifact { id: id.to_owned(), path: path.to_owned(), ..RestoreArtifact::default() }
}

fn cache(id: &str, path: &str) -> CacheSpec {
    CacheSpec { id: id.to_owned(), path: path.to_owned(), ..CacheSpec::default() }
}

fn service(port: u16, timeout_ms: u64) -> SidecarPlan {
    let mut plan = plan(shell(&["echo ran"]));
    plan.services = vec![ServiceProbe { name: "db".to_owned(), ports: vec![port], timeout_ms }];
    plan
}

fn failed(ending: &Ending, step: &str) -> String {
    match ending {
        Ending::SidecarFailed { step: failed, reason } if failed == step => reason.clone(),
        other => panic!("not failed while {step}: {other:?}"),
    }
}

#[test]
fn the_workspace_is_there_before_the_command() {
    let rig = Rig::new();
    let from = tempfile::tempdir().unwrap();
    fs::create_dir(from.path().join("src")).unwrap();
    fs::write(from.path().join("src/main.rs"), "fn main").unwrap();
    symlink("/usr/bin/env", from.path().join("absolute")).unwrap();
    let mut tar = Vec::new();
    monkeyci_archive::pack_workspace(from.path(), &monkeyci_archive::WorkspaceFiles::all(), &mut tar).unwrap();
    rig.api.state().workspace = Some(tar);
    let done = rig.shell(&["cat src/main.rs", "readlink absolute"]);
    assert_eq!(done.ending(), &Ending::Succeeded);
    assert_eq!(rig.stdout(), "fn main/usr/bin/env\n");
}

#[test]
fn a_job_that_is_not_root_owns_its_workspace() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut rig = Rig::new();
    fs::set_permissions(rig.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    rig.wrapper = ["setpriv", "--reuid", "1234", "--regid", "5678", "--clear-groups"].map(str::to_owned).to_vec();
    let from = tempfile::tempdir().unwrap();
    fs::create_dir(from.path().join("dir")).unwrap();
    fs::write(from.path().join("dir/file"), "x").unwrap();
    let mut tar = Vec::new();
    monkeyci_archive::pack_workspace(from.path(), &monkeyci_archive::WorkspaceFiles::all(), &mut tar).unwrap();
    rig.api.state().workspace = Some(tar.clone());
    rig.api.state().artifacts.insert("a".to_owned(), tar);
    let mut plan = plan(shell(&[
        "echo y >>dir/file && touch new dir/new deep/er/dir/new",
        "find . | while read f; do stat -c '%u %g' $f; done | sort | uniq -c | sed 's/^ *//'",
    ]));
    plan.restore_artifacts = vec![restored("a", "deep/er")];
    plan.save_artifacts = vec![artifact("b", "dir")];
    assert_eq!(rig.run(plan).ending(), &Ending::Succeeded, "{}", rig.stderr_of_job());
    assert_eq!(rig.stdout(), "10 1234 5678\n");
}

#[test]
fn an_artifact_goes_from_one_job_to_another() {
    let rig = Rig::new();
    let mut saving = plan(shell(&["mkdir -p target/out", "echo app >target/out/app; echo other >target/other"]));
    saving.save_artifacts = vec![artifact("jar", "target/out"), artifact("one", "target/other")];
    assert_eq!(rig.run(saving).ending(), &Ending::Succeeded);
    assert_eq!(rig.host_lines(), "saved artifact jar (4 bytes)\nsaved artifact one (6 bytes)\n");

    let other = Rig::new();
    other.api.state().artifacts = rig.api.state().artifacts.clone();
    let mut restoring = plan(shell(&["cat target/out/app", "cat deep/er/target/other"]));
    restoring.restore_artifacts = vec![restored("jar", "."), restored("one", "deep/er")];
    assert_eq!(other.run(restoring).ending(), &Ending::Succeeded, "{}", other.stderr_of_job());
    assert_eq!(other.stdout(), "app\nother\n");
    assert_eq!(other.host_lines(), "restored artifact jar (4 bytes)\nrestored artifact one (6 bytes)\n");
}

#[test]
fn an_artifact_may_get_a_path_of_its_own_wherever_it_was_saved_from() {
    let rig = Rig::new();
    let mut saving = plan(shell(&["mkdir -p cli/target/dist; echo app >cli/target/app; echo x >cli/target/dist/x"]));
    saving.save_artifacts = vec![artifact("app", "cli/target/app"), artifact("dist", "cli/target/dist")];
    assert_eq!(rig.run(saving).ending(), &Ending::Succeeded);

    let other = Rig::new();
    other.api.state().artifacts = rig.api.state().artifacts.clone();
    let mut restoring = plan(shell(&["cat target/app out/deep/x", "find . -type f | sort"]));
    restoring.work_dir = "cli".to_owned();
    let named = |id: &str, path: &str| RestoreArtifact { at_path: true, ..restored(id, path) };
    restoring.restore_artifacts = vec![named("app", "target/app"), named("dist", "out/deep")];
    assert_eq!(other.run(restoring).ending(), &Ending::Succeeded, "{}", other.stderr_of_job());
    assert_eq!(other.stdout(), "app\nx\n./out/deep/x\n./target/app\n");
}

#[test]
fn what_does_not_depend_on_each_other_is_on_its_way_at_once() {
    let rig = Rig::new();
    let requests = |method: &str| ["artifacts/a", "artifacts/b"].map(|path| format!("{method} /{path}")).to_vec();
    rig.api.state().together = requests("PUT");
    let mut saving = plan(shell(&["echo a >a; echo b >b"]));
    saving.save_artifacts = vec![artifact("a", "a"), artifact("b", "b")];
    assert_eq!(rig.run(saving).ending(), &Ending::Succeeded);

    let other = Rig::new();
    other.api.state().artifacts = rig.api.state().artifacts.clone();
    other.api.state().together = requests("GET");
    let mut restoring = plan(shell(&["cat first/a second/b"]));
    restoring.restore_artifacts = vec![restored("a", "first"), restored("b", "second")];
    assert_eq!(other.run(restoring).ending(), &Ending::Succeeded);
    assert_eq!(other.stdout(), "a\nb\n");
}

#[test]
fn of_what_is_restored_into_one_place_the_last_stays() {
    let archives: Vec<_> = ["1", "2"]
        .map(|content| {
            let rig = Rig::new();
            let mut saving = plan(shell(&[&format!("head -c 300000 /dev/zero | tr '\\0' {content} >file")]));
            saving.save_artifacts = vec![artifact("a", "file")];
            assert_eq!(rig.run(saving).ending(), &Ending::Succeeded);
            rig.api.state().artifacts["a"].clone()
        })
        .into();
    for order in [["1", "2"], ["2", "1"]] {
        let rig = Rig::new();
        rig.api.state().artifacts = ["1", "2"].map(str::to_owned).into_iter().zip(archives.clone()).collect();
        let mut restoring = plan(shell(&["head -c 1 file"]));
        restoring.restore_artifacts = order.map(|id| restored(id, ".")).to_vec();
        assert_eq!(rig.run(restoring).ending(), &Ending::Succeeded);
        assert_eq!(rig.stdout(), order[1]);
    }
}

#[test]
fn artifacts_are_relative_to_the_working_directory() {
    let rig = Rig::new();
    let from = tempfile::tempdir().unwrap();
    fs::create_dir(from.path().join("sub")).unwrap();
    let mut tar = Vec::new();
    monkeyci_archive::pack_workspace(from.path(), &monkeyci_archive::WorkspaceFiles::all(), &mut tar).unwrap();
    rig.api.state().workspace = Some(tar);
    let mut plan = plan(shell(&["echo x >out"]));
    plan.work_dir = "sub".to_owned();
    plan.save_artifacts = vec![artifact("a", "out")];
    assert_eq!(rig.run(plan.clone()).ending(), &Ending::Succeeded);

    // Restoring makes the working directory where the workspace has none.
    let other = Rig::new();
    other.api.state().artifacts = rig.api.state().artifacts.clone();
    plan.command = shell(&["cat out"]);
    plan.save_artifacts = vec![];
    plan.restore_artifacts = vec![restored("a", ".")];
    assert_eq!(other.run(plan).ending(), &Ending::Succeeded);
    assert_eq!(other.stdout(), "x\n");
}

#[test]
fn a_promised_artifact_that_is_missing_fails_the_job() {
    let rig = Rig::new();
    let mut plan = plan(shell(&["true"]));
    plan.save_artifacts = vec![artifact("jar", "target/app.jar")];
    plan.caches = vec![cache("m2", ".")];
    let done = rig.run(plan);
    let reason = r#"there is nothing at "target/app.jar""#.to_owned();
    assert_eq!(done.ending(), &Ending::ArtifactMissing { id: "jar".to_owned(), reason });
    assert_eq!((done.sidecar_code, done.launcher_code), (Some(0), Some(0)));
    assert!(rig.api.state().artifacts.is_empty() && rig.api.state().caches.is_empty());
    assert!(!rig.api.state().requests.iter().any(|request| request.starts_with("PUT")));
}

#[test]
fn nothing_is_saved_after_a_job_that_failed() {
    let rig = Rig::new();
    let mut plan = plan(shell(&["echo x >out", "false"]));
    plan.save_artifacts = vec![artifact("a", "out")];
    plan.caches = vec![cache("c", "out")];
    assert!(matches!(rig.run(plan).ending(), Ending::Exited { .. }));
    assert!(rig.api.state().artifacts.is_empty() && rig.api.state().caches.is_empty());
}

#[test]
fn a_jobs_links_lead_no_artifact_out_of_the_workspace() {
    let rig = Rig::new();
    fs::create_dir(rig.path("outside")).unwrap();
    fs::write(rig.path("outside/token"), "secret").unwrap();
    for lines in [
        vec![format!("ln -s {} out", rig.path("outside").display())],
        vec!["ln -s ../outside out".to_owned()],
        // The job swaps the whole workspace for a link.
        vec![format!("cd .. && mv work old && ln -s {} work && mkdir work/out", rig.path("outside").display())],
    ] {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let mut plan = plan(shell(&lines));
        plan.save_artifacts = vec![artifact("a", "out")];
        let done = rig.run(plan);
        assert!(matches!(done.ending(), Ending::ArtifactMissing { .. }), "{lines:?}: {done:?}");
        assert!(rig.api.state().artifacts.is_empty());
        let _ = fs::remove_file(rig.path("work"));
        let _ = fs::remove_dir_all(rig.path("work"));
        let _ = fs::remove_dir_all(rig.path("old"));
    }
}

#[test]
fn an_artifact_that_was_never_saved_is_named_in_the_ending() {
    let rig = Rig::new();
    let mut plan = plan(shell(&["echo no"]));
    plan.restore_artifacts = vec![restored("jar", ".")];
    let done = rig.run(plan);
    assert_eq!(done.ending(), &Ending::ArtifactNotThere { id: "jar".to_owned() });
    assert_eq!((done.sidecar_code, done.launcher_code), (Some(0), Some(125)));
    assert!(rig.stderr("launcher").contains("the build has no such artifact"), "{}", rig.stderr("launcher"));
    assert_eq!(rig.stdout(), "");
    assert!(!rig.api.state().running);
}

#[test]
fn a_cache_is_kept_from_one_job_to_the_next() {
    let rig = Rig::new();
    let mut plan = plan(shell(&["mkdir -p .m2", "cat .m2/count 2>/dev/null || echo none", "echo x >>.m2/count"]));
    plan.caches = vec![cache("m2", ".m2")];
    assert_eq!(rig.run(plan.clone()).ending(), &Ending::Succeeded);
    assert_eq!(rig.host_lines(), "saved cache m2 (2 bytes)\n");
    let other = Rig::new();
    other.api.state().caches = rig.api.state().caches.clone();
    assert_eq!(other.run(plan).ending(), &Ending::Succeeded);
    assert_eq!((rig.stdout(), other.stdout()), ("none\n".to_owned(), "x\n".to_owned()));
    assert_eq!(other.host_lines(), "restored cache m2 (exact, 2 bytes)\nsaved cache m2 (4 bytes)\n");
}

#[test]
fn a_cache_that_does_not_fit_any_more_is_replaced_and_fails_nothing() {
    let rig = Rig::new();
    rig.api.state().caches.insert("c".to_owned(), b"no archive at all".to_vec());
    let mut plan = plan(shell(&["echo new >kept"]));
    plan.caches = vec![cache("c", "kept")];
    assert_eq!(rig.run(plan).ending(), &Ending::Succeeded);
    let lines = rig.host_lines();
    assert!(lines.contains("cache c can't be used") && lines.contains("saved cache c (4 bytes)"), "{lines}");
}

#[test]
fn a_cache_that_can_not_be_saved_is_a_line_in_the_log() {
    let rig = Rig::new();
    rig.api.state().broken = vec!["PUT /caches/b".to_owned()];
    let mut plan = plan(shell(&["echo x >there"]));
    plan.caches = vec![cache("a", "missing"), cache("b", "there")];
    assert_eq!(rig.run(plan).ending(), &Ending::Succeeded);
    let lines = rig.host_lines();
    assert!(lines.contains("cache a is not saved: there is nothing at \"missing\"\n"), "{lines}");
    assert!(lines.contains("cache b is not saved: the build API answered 500"), "{lines}");
}

#[test]
fn an_artifact_that_the_build_api_refuses_is_the_sidecars_failure() {
    let rig = Rig::new();
    rig.api.state().broken = vec!["PUT /artifacts/a".to_owned()];
    let mut plan = plan(shell(&["echo x >there"]));
    plan.save_artifacts = vec![artifact("a", "there")];
    let done = rig.run(plan);
    failed(done.ending(), "saving artifact a");
    assert_eq!((done.sidecar_code, done.launcher_code), (Some(1), Some(125)));
}

#[test]
fn a_broken_archive_is_the_sidecars_failure_and_nothing_runs() {
    let rig = Rig::new();
    let half = {
        let whole = rig.api.state().workspace.clone().unwrap();
        whole[..whole.len() / 2].to_vec()
    };
    rig.api.state().workspace = Some(half);
    let done = rig.shell(&["echo no"]);
    failed(done.ending(), "restoring the workspace");
    assert_eq!(rig.stdout(), "");
}

#[test]
fn everything_is_restored_in_order_before_the_job_runs() {
    let rig = Rig::new();
    let mut saving = plan(shell(&["echo x >f"]));
    saving.save_artifacts = vec![artifact("a", "f")];
    saving.caches = vec![cache("c", "f")];
    assert_eq!(rig.run(saving).ending(), &Ending::Succeeded);
    rig.api.state().requests.clear();
    let mut plan = plan(shell(&["true"]));
    plan.restore_artifacts = vec![restored("a", ".")];
    plan.caches = vec![cache("c", "f")];
    plan.command = shell(&["echo y >f"]);
    assert_eq!(rig.run(plan).ending(), &Ending::Succeeded);
    let requests = rig.api.state().requests.clone();
    let expected =
        ["GET /caches/c", "GET /artifacts/a", "POST /jobs/test/running", "PUT /caches/c", "POST /jobs/test/result"];
    assert_eq!(requests[2..], expected);
}

#[test]
fn large_artifacts_stream_through() {
    let rig = Rig::new();
    let mut saving = plan(shell(&["head -c 50000000 /dev/urandom >big", "cksum <big"]));
    saving.save_artifacts = vec![artifact("big", "big")];
    assert_eq!(rig.run(saving).ending(), &Ending::Succeeded);
    let other = Rig::new();
    other.api.state().artifacts = rig.api.state().artifacts.clone();
    let mut restoring = plan(shell(&["cksum <big"]));
    restoring.restore_artifacts = vec![restored("big", ".")];
    assert_eq!(other.run(restoring).ending(), &Ending::Succeeded);
    assert_eq!(rig.stdout(), other.stdout());
}

#[test]
fn a_job_starts_when_its_services_accept_connections() {
    let mut rig = Rig::new();
    rig.services = "other=10.0.0.1,db=127.0.0.1".to_owned();
    // Of its two ports one takes connections from the start: so it is known when they are tried.
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    first.set_nonblocking(true).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut plan = service(port, 600_000);
    plan.services[0].ports.insert(0, first.local_addr().unwrap().port());
    let running = rig.start(plan);
    rig::until("a probe", || first.accept().is_ok());
    assert!(!rig.api.state().running);
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    assert_eq!(running.finish().ending(), &Ending::Succeeded);
}

#[test]
fn a_service_that_is_never_ready_is_named() {
    let mut rig = Rig::new();
    rig.services = "db=127.0.0.1".to_owned();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let done = rig.run(service(port, 300));
    let Ending::ServiceNotReady { service, reason, last_lines } = done.ending() else { panic!("{done:?}") };
    assert_eq!((service.as_str(), last_lines.as_str()), ("db", ""));
    assert!(reason.starts_with(&format!("port {port} accepted no connection within 0.3 s")), "{reason}");
    assert_eq!((done.sidecar_code, done.launcher_code), (Some(0), Some(125)));
    assert_eq!(rig.stdout(), "");
}

#[test]
fn a_service_without_an_address_is_the_sidecars_failure() {
    let rig = Rig::new();
    failed(rig.run(service(1, 300)).ending(), "looking up service db");
}
