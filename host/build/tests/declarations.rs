//! The faults of what is said of single jobs, beside those that every job can have.

mod declared;

use declared::{action, artifact, cache, container, faults, jobs, owned, removed, restore, service};
use monkeyci_build::{
    ArtifactOption, CacheOption, Call, Command, JobDraft, LateValue, PullPolicy, RetryOn, RunWhen, SavePolicy,
    ServiceDraft, check,
};

fn late(name: &str, value: LateValue) -> (String, LateValue) {
    (name.into(), value)
}

#[test]
fn a_condition_is_one_of_three() {
    let draft = |word: &str| JobDraft { run_when: Some(word.into()), ..action("job", &[]) };
    assert_eq!(
        check(&[draft("sometimes")], &[]).expect_err("the word means nothing").to_string(),
        "the graph has 1 fault:\njob \"job\", run-when: \"sometimes\" means nothing here; use success, always or failure"
    );
    for (word, when) in [("success", RunWhen::Success), ("always", RunWhen::Always), ("failure", RunWhen::Failure)] {
        assert_eq!(jobs(&[draft(word)])[0].run_when, when);
    }
    assert_eq!(jobs(&[action("job", &[])])[0].run_when, RunWhen::Success);
}

#[test]
fn a_job_runs_again_one_to_ten_times() {
    let draft = |count| JobDraft { retry: Some(count), ..action("job", &[]) };
    for count in [0, 11, u32::MAX] {
        assert_eq!(faults(&[draft(count)]), ["job retry retry-count"]);
    }
    let retry = jobs(&[draft(10)])[0].retry.clone().expect("it runs again");
    assert_eq!((retry.count, retry.on.as_slice(), retry.delay_ms), (10, [].as_slice(), 0));
}

#[test]
fn the_causes_to_run_again_have_names() {
    let draft = |words: &[&str]| JobDraft { retry: Some(1), retry_on: owned(words), ..action("job", &[]) };
    let all = ["failure", "error", "timeout", "out-of-memory", "exit-code=137"];
    let on = [RetryOn::Failure, RetryOn::Error, RetryOn::Timeout, RetryOn::OutOfMemory, RetryOn::ExitCode(137)];
    assert_eq!(jobs(&[draft(&all)])[0].retry.clone().map(|retry| retry.on), Some(on.to_vec()));
    let wrong = ["oom", "exit-code", "exit-code=", "exit-code=0", "exit-code=256", "exit-code=-1", "exit-code=1 "];
    assert_eq!(faults(&[draft(&wrong)]), vec!["job retry-on unknown-word"; wrong.len()]);
}

#[test]
fn how_a_job_runs_again_is_said_only_of_one_that_does() {
    let draft = JobDraft { retry_on: owned(&["error"]), retry_delay_ms: Some(1), ..action("job", &[]) };
    assert_eq!(faults(&[draft]), ["job retry-on without-retry", "job retry-delay without-retry"]);
}

#[test]
fn what_people_read_is_not_blank() {
    let draft = JobDraft {
        approval: Some(" \n".into()),
        labels: vec![("team".into(), "".into()), (" ".into(), "x".into())],
        ..action("job", &[])
    };
    assert_eq!(faults(&[draft]), ["job approval empty", "job label(#2) empty"]);
}

#[test]
fn the_last_label_of_a_name_counts() {
    let labels = vec![("team".into(), "a".into()), ("team".into(), "b".into())];
    assert_eq!(jobs(&[JobDraft { labels, ..action("job", &[]) }])[0].labels, [("team".into(), "b".into())].into());
}

#[test]
fn a_group_has_the_name_of_an_id() {
    let draft = |group: &str| JobDraft { fail_fast: Some(group.into()), ..action("job", &[]) };
    assert_eq!(faults(&[draft("a b")]), ["job fail-fast invalid-id"]);
    assert_eq!(faults(&[draft("")]), ["job fail-fast invalid-id"]);
    assert_eq!(jobs(&[draft("shards")])[0].fail_fast.as_deref(), Some("shards"));
}

#[test]
fn only_actions_call_handlers_and_create_artifacts() {
    let calls = |handler: &str| Some(Call { handler: handler.into(), argument: "1/4".into() });
    let with = |job: JobDraft| JobDraft { calls: calls("shard"), creates_artifacts: owned(&["out"]), ..job };
    assert_eq!(
        faults(&[with(container("job"))]),
        ["job calls not-for-container", "job creates-artifact not-for-container"]
    );
    let job = jobs(&[with(action("job", &[]))]).remove(0);
    assert_eq!((job.calls, job.creates_artifacts), (calls("shard"), owned(&["out"])));
    let wrong = JobDraft { calls: calls(" "), creates_artifacts: owned(&["/"]), ..action("job", &[]) };
    assert_eq!(faults(&[wrong]), ["job calls empty", "job creates-artifact(#1) invalid-id"]);
}

#[test]
fn an_action_job_has_nothing_that_is_new_of_a_container_job_either() {
    let draft = JobDraft {
        shell_program: Some(vec![]),
        shell_each: true,
        user: Some("".into()),
        architecture: Some("".into()),
        network: Some("".into()),
        network_allow: owned(&[""]),
        late_env: vec![
            late("", LateValue::Secret("".into())),
            late("", LateValue::SecretFile("".into())),
            late("", LateValue::ParamFile("".into())),
            late("", LateValue::Output { job: "nobody".into(), output: "".into() }),
        ],
        test_reports: owned(&[""]),
        artifact_options: vec![
            ("".into(), ArtifactOption::Always),
            ("".into(), ArtifactOption::Files(vec![])),
            ("".into(), ArtifactOption::OnFailure),
            ("".into(), ArtifactOption::IfThere),
        ],
        cache_options: vec![
            ("".into(), CacheOption::Key("".into())),
            ("".into(), CacheOption::Fallback("".into())),
            ("".into(), CacheOption::Save("".into())),
            ("".into(), CacheOption::Path("".into())),
        ],
        shm_bytes: Some(0),
        pull: Some("".into()),
        entrypoint_of_image: true,
        with_git: true,
        ..action("job", &[])
    };
    let fields = [
        "shell-program",
        "shell-each",
        "user",
        "architecture",
        "network",
        "network-allow",
        "secret-env",
        "secret-file",
        "param-file",
        "output-env",
        "test-report",
        "shm-size",
        "pull",
        "entrypoint-of-image",
        "with-git",
        "artifact-always",
        "artifact-files",
        "artifact-if-there",
        "artifact-on-failure",
        "cache-fallback",
        "cache-key",
        "cache-path",
        "cache-save",
    ];
    assert_eq!(faults(&[draft]), fields.map(|field| format!("job {field} not-for-action")));
}

#[test]
fn how_lines_run_is_said_only_of_lines() {
    let with = |job: JobDraft| JobDraft { shell_program: Some(owned(&["/bin/bash"])), shell_each: true, ..job };
    assert_eq!(faults(&[with(container("job"))]), ["job shell-program without-shell", "job shell-each without-shell"]);
    let lines = JobDraft { argv: None, shell: Some(owned(&["make"])), ..container("job") };
    let jobs = jobs(&[with(lines.clone())]);
    let Some(Command::Shell(shell)) = jobs[0].container().map(|job| &job.command) else { panic!("no shell: {jobs:?}") };
    assert_eq!((shell.program.clone(), shell.each), (owned(&["/bin/bash"]), true));
    let empty = JobDraft { shell_program: Some(owned(&["", "-e"])), ..lines };
    assert_eq!(faults(&[empty]), ["job shell-program empty-command"]);
}

#[test]
fn what_the_system_is_told_is_neither_empty_nor_cut_short() {
    let with = |text: &str| JobDraft {
        user: Some(text.into()),
        architecture: Some(text.into()),
        test_reports: owned(&["*.xml", text]),
        save_artifacts: vec![artifact("out", ".")],
        artifact_options: vec![("out".into(), ArtifactOption::Files(owned(&[text])))],
        ..container("job")
    };
    let fields = ["user", "architecture", "test-report", "artifact-files(out)"];
    assert_eq!(faults(&[with("")]), fields.map(|field| format!("job {field} empty")));
    assert_eq!(faults(&[with("a\0")]), fields.map(|field| format!("job {field} contains-nul")));
    assert_eq!(jobs(&[with("x")]).len(), 1);
}

#[test]
fn variables_whose_values_come_later_are_checked_like_the_others() {
    let output = |job: &str, output: &str| LateValue::Output { job: job.into(), output: output.into() };
    let draft = JobDraft {
        env: vec![("A".into(), "1".into())],
        late_env: vec![
            late("A", LateValue::Secret("token".into())),
            late("=", LateValue::SecretFile("token\0".into())),
            late("B", LateValue::ParamFile("a=b".into())),
            late("C", output("plan", "")),
            late("D", output("paln", "version")),
            late("E", output("job", "version")),
            late("F", output("plan", "version")),
        ],
        ..container("job")
    };
    assert_eq!(
        faults(&[draft, action("plan", &[])]),
        [
            "job secret-file(#2) invalid-env-name",
            "job secret-file(#2) contains-nul",
            "job param-file(B) invalid-param-name",
            "job output-env(C) invalid-output-name",
            "job secret-env(A) env-twice",
            "job output-env(D) unknown-need",
            "job output-env(E) needs-itself",
        ]
    );
}

#[test]
fn a_variable_of_a_service_is_a_secret_or_a_text() {
    let db = ServiceDraft {
        env: vec![("A".into(), "1".into())],
        secret_env: vec![("A".into(), "token".into()), ("".into(), "token".into()), ("B".into(), "token".into())],
        ..service("db")
    };
    assert_eq!(
        faults(&[JobDraft { services: vec![db.clone()], ..container("job") }]),
        ["job service(db).secret-env(#2) invalid-env-name", "job service(db).secret-env(A) env-twice"]
    );
    let fine = ServiceDraft { secret_env: vec![("B".into(), "token".into())], ..db };
    let jobs = jobs(&[JobDraft { services: vec![fine], ..container("job") }]);
    let service = jobs[0].container().map(|job| job.services[0].secret_env.clone());
    assert_eq!(service, Some([("B".into(), "token".into())].into()));
}

#[test]
fn more_is_said_only_of_artifacts_and_caches_that_are_there() {
    let draft = JobDraft {
        save_artifacts: vec![artifact("out", "target")],
        artifact_options: vec![
            ("out".into(), ArtifactOption::Files(owned(&["*.deb"]))),
            ("out".into(), ArtifactOption::Always),
            ("uot".into(), ArtifactOption::Always),
        ],
        caches: vec![cache("deps", ".m2")],
        cache_options: vec![
            ("deps".into(), CacheOption::Key("old".into())),
            ("deps".into(), CacheOption::Key("new".into())),
            ("deps".into(), CacheOption::Fallback("n".into())),
            ("deps".into(), CacheOption::Fallback("".into())),
            ("deps".into(), CacheOption::Save("miss".into())),
            ("sped".into(), CacheOption::Save("sometimes".into())),
        ],
        ..container("job")
    };
    assert_eq!(
        faults(std::slice::from_ref(&draft)),
        ["job artifact-always(uot) not-saved", "job cache-save(sped) not-cached", "job cache-save(sped) unknown-word",]
    );
    let mut fine = draft;
    fine.artifact_options.pop();
    fine.cache_options.pop();
    let jobs = jobs(&[fine]);
    let spec = jobs[0].container().expect("a container job");
    assert_eq!((spec.save_artifacts[0].files.clone(), spec.save_artifacts[0].always), (owned(&["*.deb"]), true));
    let cache = &spec.caches[0];
    assert_eq!((cache.key.as_str(), cache.fallbacks.clone(), cache.save), ("new", owned(&["n", ""]), SavePolicy::Miss));
}

#[test]
fn a_cache_key_is_a_short_line() {
    let with = |key: &str| JobDraft {
        caches: vec![cache("deps", ".m2")],
        cache_options: vec![
            ("deps".into(), CacheOption::Key(key.into())),
            ("deps".into(), CacheOption::Fallback(key.into())),
        ],
        ..container("job")
    };
    let both = |kind: &str| ["key", "fallback"].map(|function| format!("job cache-{function}(deps) {kind}"));
    assert_eq!(faults(&[with(&"x".repeat(513))]), both("cache-key-too-long"));
    assert_eq!(faults(&[with("a\nb")]), both("control-character"));
    assert_eq!(jobs(&[with(&"x".repeat(512))]).len(), 1);
}

#[test]
fn a_late_job_may_lack_its_image_and_command_until_its_turn_comes() {
    let late = JobDraft { late: true, shell_each: true, ..JobDraft::container("job") };
    assert!(jobs(std::slice::from_ref(&late))[0].late);
    let not_late = JobDraft { late: false, ..late.clone() };
    assert_eq!(
        faults(&[not_late]),
        ["job image missing-image", "job argv missing-command", "job shell-each without-shell"]
    );
    let wrong = JobDraft { image: Some("".into()), argv: Some(vec![]), ..late };
    assert_eq!(faults(&[wrong]), ["job image missing-image", "job argv empty-command", "job shell-each without-shell"]);
}

#[test]
fn a_removed_job_is_checked_like_the_others() {
    let draft = removed(JobDraft { timeout_ms: Some(0), ..action("a", &["nobody"]) });
    assert_eq!(
        faults(&[draft, action("a", &[]), removed(action("A", &[]))]),
        ["a timeout zero", "a needs unknown-need", "a id duplicate-id", "A id similar-id"]
    );
}

#[test]
fn what_a_container_gets_is_checked_and_kept() {
    let wrong = JobDraft { shm_bytes: Some(0), pull: Some("often".into()), ..container("job") };
    assert_eq!(faults(&[wrong]), ["job shm-size zero", "job pull unknown-word"]);
    let large = JobDraft { shm_bytes: Some(u64::MAX), ..container("job") };
    assert_eq!(faults(&[large]), ["job shm-size memory-too-large"]);
    let fine = JobDraft {
        shm_bytes: Some(1 << 30),
        pull: Some("always".into()),
        entrypoint_of_image: true,
        with_git: true,
        caches: vec![cache("deps", ".m2")],
        cache_options: vec![
            ("deps".into(), CacheOption::Path(".gradle".into())),
            ("deps".into(), CacheOption::Save("never".into())),
        ],
        ..container("job")
    };
    let jobs = jobs(&[fine]);
    let spec = jobs[0].container().expect("a container job");
    assert_eq!((spec.shm_bytes, spec.pull), (Some(1 << 30), PullPolicy::Always));
    assert!(spec.entrypoint_of_image && spec.with_git);
    assert_eq!((spec.caches[0].more_paths.clone(), spec.caches[0].save), (owned(&[".gradle"]), SavePolicy::Never));
    let plain = JobDraft { caches: vec![cache("deps", ".m2")], ..container("job") };
    let plain = serde_json::to_string(&self::jobs(&[plain])).expect("JSON");
    for new in ["shm_bytes", "pull", "entrypoint_of_image", "with_git", "more_paths"] {
        assert!(!plain.contains(new), "a journal has nothing of what nobody said: {plain}");
    }
}

#[test]
fn a_home_directory_is_no_path_of_a_job() {
    let draft = JobDraft {
        work_dir: Some("~/app".into()),
        caches: vec![cache("deps", "~/.m2"), cache("more", "a")],
        cache_options: vec![("more".into(), CacheOption::Path("~".into()))],
        save_artifacts: vec![artifact("out", "~/out")],
        restore_artifacts: vec![restore("out", "~")],
        ..container("job")
    };
    let expected = [
        "job work-dir home-path",
        "job save-artifact(out) home-path",
        "job restore-artifact(out) home-path",
        "job cache(deps) home-path",
        "job cache-path(more) home-path",
    ];
    let faults = faults(&[draft]);
    let found: Vec<_> = faults.iter().filter(|fault| fault.ends_with("home-path")).collect();
    assert_eq!(found, expected.iter().collect::<Vec<_>>());
    let fine = JobDraft { caches: vec![cache("deps", "~old"), cache("more", "a/~")], ..container("job") };
    assert_eq!(jobs(&[fine]).len(), 1);
}
