//! The faults of graphs, one by one and together.

mod declared;

use declared::{action, artifact, cache, container, faults, restore, service};
use monkeyci_build::{
    Command, DEFAULT_JOB_TIMEOUT_MS, FaultKind, GraphFaults, JobDraft, JobKind, MAX_JOBS, Readiness, ServiceDraft,
    check,
};

#[test]
fn one_report_names_every_fault_with_its_job_and_field() {
    let drafts = [
        JobDraft { timeout_ms: Some(0), shell: Some(vec![]), ..JobDraft::container("build") },
        action("test", &["biuld", "lint"]),
        action("lint", &["docs"]),
        action("docs", &["lint"]),
        JobDraft { restore_artifacts: vec![restore("dist", "/out")], ..container("deploy") },
    ];
    assert_eq!(
        check(&drafts, &[]).expect_err("the graph has faults").to_string(),
        r#"the graph has 7 faults:
job "build", timeout: is 0; give at least 1, or leave it out
job "build", image: there is no image; name one, "debian:12" say
job "build", shell: the command is empty; give it a program or a line to run
job "test", needs: there is no job "biuld"; did you mean "build"?
job "lint", needs: the needs go in a cycle: "lint" needs "docs" needs "lint"; take one of these needs away
job "deploy", restore-artifact(dist): the path "/out" is absolute; paths are relative to the workspace
job "deploy", restore-artifact(dist): no job saves an artifact "dist"; save it in another job"#
    );
}

#[test]
fn ids_have_a_form_and_are_unique_whatever_their_capitals() {
    let long = "x".repeat(65);
    let drafts = ["", ".a", "a b", &long, "a", "a", "A", "b.c_d-9"].map(JobDraft::action);
    assert_eq!(
        faults(&drafts),
        [
            "#1 id invalid-id".to_owned(),
            ".a id invalid-id".to_owned(),
            "a b id invalid-id".to_owned(),
            format!("{long} id invalid-id"),
            "a id duplicate-id".to_owned(),
            "A id similar-id".to_owned(),
        ]
    );
}

#[test]
fn needs_exist_and_lead_nowhere_in_a_cycle() {
    assert_eq!(faults(&[action("a", &["a", "b"])]), ["a needs needs-itself", "a needs unknown-need"]);
    let cycle = [action("x", &["c"]), action("c", &["b"]), action("a", &["c"]), action("b", &["a", "x2"])];
    let faults = check(&cycle, &[]).expect_err("the graph has faults").0;
    assert_eq!(faults[0].job(), Some("c"));
    assert_eq!(faults[0].kind, FaultKind::Cycle { path: declared::owned(&["c", "b", "a"]), causes: vec![] });
    assert_eq!(faults[1].kind, FaultKind::UnknownNeed { need: "x2".into(), nearest: Some("x".into()) });
    assert_eq!(faults.len(), 2);
}

#[test]
fn a_container_job_has_one_command_that_says_something() {
    let with = |argv: Option<&[&str]>, shell: Option<&[&str]>| {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        JobDraft { argv: argv.map(owned), shell: shell.map(owned), ..container("job") }
    };
    assert_eq!(faults(&[with(None, None)]), ["job argv missing-command"]);
    assert_eq!(faults(&[with(Some(&["true"]), Some(&["true"]))]), ["job argv two-commands"]);
    assert_eq!(faults(&[with(Some(&[]), None)]), ["job argv empty-command"]);
    assert_eq!(faults(&[with(Some(&["", "x"]), None)]), ["job argv empty-command"]);
    assert_eq!(faults(&[with(Some(&["a", "b\0"]), None)]), ["job argv contains-nul"]);
    assert_eq!(faults(&[with(None, Some(&[" ", "\n"]))]), ["job shell empty-command"]);
    assert_eq!(check(&[with(None, Some(&["", "true"]))], &[]).map(|_| ()), Ok(()));
}

#[test]
fn an_action_job_has_nothing_of_a_container_job() {
    let draft = JobDraft {
        container: false,
        shell: Some(vec![]),
        env: vec![("".into(), "".into())],
        work_dir: Some("".into()),
        memory_bytes: Some(0),
        cpu_millis: Some(0),
        save_artifacts: vec![artifact("", "")],
        restore_artifacts: vec![restore("", "")],
        caches: vec![cache("", "")],
        services: vec![service("")],
        ..container("job")
    };
    let fields = ["image", "argv", "shell", "env", "work-dir", "memory", "cpu"];
    let lists = ["save-artifact", "restore-artifact", "cache", "service"];
    let expected: Vec<_> = fields.iter().chain(&lists).map(|field| format!("job {field} not-for-action")).collect();
    assert_eq!(faults(&[draft]), expected);
}

#[test]
fn limits_are_such_as_an_engine_can_keep() {
    let with = |memory, cpu| JobDraft { memory_bytes: Some(memory), cpu_millis: Some(cpu), ..container("job") };
    assert_eq!(faults(&[with(6 * 1024 * 1024 - 1, 0)]), ["job memory memory-too-small", "job cpu zero"]);
    assert_eq!(faults(&[with(u64::MAX, 1)]), ["job memory memory-too-large"]);
    assert_eq!(check(&[with(6 * 1024 * 1024, 1)], &[]).map(|_| ()), Ok(()));
}

#[test]
fn what_no_program_can_be_given_is_a_fault_before_a_container_fails_to_start() {
    let with = |bytes: usize| JobDraft { env: vec![("BIG".to_owned(), "x".repeat(bytes))], ..container("job") };
    let most = 128 * 1024 - 1 - "BIG=".len();
    assert_eq!(check(&[with(most)], &[]).map(|_| ()), Ok(()));
    assert_eq!(faults(&[with(most + 1)]), ["job env(BIG) too-long-argument"]);
    let argv = vec!["echo".to_owned(), "x".repeat(200_000)];
    let argument = JobDraft { argv: Some(argv), shell: None, ..container("argument") };
    let line = JobDraft { argv: None, shell: Some(vec![": ".repeat(100_000)]), ..container("line") };
    assert_eq!(faults(&[argument, line]), ["argument argv too-long-argument", "line shell too-long-argument"]);
}

#[test]
fn environment_variables_have_names_that_can_be_set() {
    let env = ["HOME", "", "A=B", "A\0", "OK"].map(|name| (name.to_owned(), "v\0".repeat(usize::from(name == "OK"))));
    let draft = JobDraft { env: env.to_vec(), ..container("job") };
    assert_eq!(
        faults(&[draft]),
        [
            "job env(#2) invalid-env-name",
            "job env(#3) invalid-env-name",
            "job env(#4) invalid-env-name",
            "job env(OK) contains-nul",
        ]
    );
}

#[test]
fn paths_stay_in_the_workspace() {
    for (path, kind) in [
        ("", "empty-path"),
        ("/etc", "absolute-path"),
        ("a/../b", "parent-path"),
        ("..", "parent-path"),
        ("a\0", "contains-nul"),
    ] {
        let draft = JobDraft {
            work_dir: Some(path.into()),
            save_artifacts: vec![artifact("out", path)],
            caches: vec![cache("deps", path)],
            ..container("job")
        };
        let fields = ["work-dir", "save-artifact(out)", "cache(deps)"];
        assert_eq!(faults(&[draft]), fields.map(|field| format!("job {field} {kind}")), "{path:?}");
    }
    let fine = JobDraft {
        work_dir: Some("./a..b".into()),
        save_artifacts: vec![artifact("out", ".")],
        caches: vec![cache("deps", ".m2/repository")],
        ..container("job")
    };
    assert_eq!(check(&[fine], &[]).map(|_| ()), Ok(()));
}

#[test]
fn an_artifact_has_one_saver_which_is_another_job() {
    let drafts = [
        JobDraft {
            save_artifacts: vec![artifact("dist", "."), artifact("twice", "."), artifact("twice", "x")],
            ..container("build")
        },
        JobDraft { save_artifacts: vec![artifact("dup", "."), artifact("dup", "x")], ..container("test") },
        JobDraft { save_artifacts: vec![artifact("dup", ".")], ..container("lint") },
        JobDraft { creates_artifacts: vec!["dup".into(), "made".into(), "made".into()], ..action("make", &[]) },
        JobDraft {
            restore_artifacts: ["dits", "dist", "twice", "dup", "made"].map(|id| restore(id, ".")).to_vec(),
            ..container("early")
        },
        JobDraft {
            save_artifacts: vec![artifact("mine", ".")],
            restore_artifacts: vec![restore("mine", "."), declared::restore_if_there("mine")],
            ..container("self")
        },
    ];
    assert_eq!(
        faults(&drafts),
        [
            "build save-artifact(twice) duplicate-artifact",
            "test save-artifact(dup) duplicate-artifact",
            "lint save-artifact(dup) duplicate-artifact",
            "make creates-artifact(dup) duplicate-artifact",
            "early restore-artifact(dits) unknown-artifact",
            "self restore-artifact(mine) own-artifact",
            "self restore-artifact(mine) own-artifact",
        ]
    );
}

#[test]
fn services_are_hosts_that_can_be_told_apart_and_become_ready() {
    let names = ["", "Db", "db-", "9db", "a_b", "localhost", "sidecar", "db", "db"].map(service);
    assert_eq!(
        faults(&[JobDraft { services: names.to_vec(), ..container("job") }]),
        [
            "job service(#1) invalid-service-name",
            "job service(Db) invalid-service-name",
            "job service(db-) invalid-service-name",
            "job service(9db) invalid-service-name",
            "job service(a_b) invalid-service-name",
            "job service(localhost) reserved-service-name",
            "job service(sidecar) reserved-service-name",
            "job service(db) duplicate-service",
        ]
    );
    let broken = ServiceDraft {
        image: " ".into(),
        argv: Some(vec![]),
        env: vec![("=".into(), "".into())],
        ready_port: Some(0),
        ready_command: Some(vec![]),
        ready_timeout_ms: Some(0),
        ..service("db")
    };
    assert_eq!(
        faults(&[JobDraft { services: vec![broken], ..container("job") }]),
        [
            "job service(db).image missing-image",
            "job service(db).argv empty-command",
            "job service(db).env(#1) invalid-env-name",
            "job service(db).ready-port zero",
            "job service(db).ready-command empty-command",
            "job service(db).ready-timeout zero",
        ]
    );
}

#[test]
fn two_caches_of_a_job_have_two_ids() {
    let draft = JobDraft { caches: vec![cache("deps", "a"), cache("deps", "b"), cache("", "c")], ..container("job") };
    assert_eq!(faults(&[draft]), ["job cache(deps) duplicate-cache", "job cache(#3) invalid-id"]);
}

#[test]
fn a_graph_without_fault_gets_every_default() {
    let db = ServiceDraft { ready_port: Some(5432), ready_command: Some(vec!["pg_isready".into()]), ..service("db") };
    let test = JobDraft {
        needs: ["plan", "build", "plan"].map(String::from).to_vec(),
        env: [("A", "1"), ("B", "2"), ("A", "3")].map(|(name, value)| (name.into(), value.into())).to_vec(),
        services: vec![db],
        ..container("test")
    };
    let drafts = [test, action("plan", &[]), container("build")];
    let graph = check(&drafts, &[]).expect("the graph has no fault").graph;
    let test = graph.get("test").expect("the job was declared");
    assert_eq!(test.needs, ["plan", "build"]);
    assert_eq!(test.timeout_ms, DEFAULT_JOB_TIMEOUT_MS);
    let JobKind::Container(spec) = &test.kind else { panic!("not a container job: {test:?}") };
    assert_eq!(spec.command, Command::Argv(vec!["true".into()]));
    assert_eq!(spec.env, [("A".into(), "3".into()), ("B".into(), "2".into())].into());
    assert_eq!(spec.work_dir, "");
    assert_eq!(spec.services[0].ready_timeout_ms, 60_000);
    assert_eq!(spec.services[0].readiness, [Readiness::Port(5432), Readiness::Command(vec!["pg_isready".into()])]);
    assert_eq!(graph.jobs().iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["test", "plan", "build"]);
    assert_eq!(graph.dependents("plan").map(|job| job.id.as_str()).collect::<Vec<_>>(), ["test"]);
    assert_eq!(graph.dependents("nobody").count(), 0);
}

#[test]
fn too_many_jobs_are_refused_without_a_further_look() {
    let drafts = vec![JobDraft::default(); MAX_JOBS + 1];
    assert_eq!(faults(&drafts), [format!("#{} id too-many-jobs", MAX_JOBS + 1)]);
    let distinct: Vec<_> = (0..MAX_JOBS).map(|job| JobDraft::action(job.to_string())).collect();
    assert_eq!(check(&distinct, &[]).map(|checked| checked.graph.jobs().len()), Ok(MAX_JOBS));
}

#[test]
fn a_fault_shows_no_more_of_a_hostile_text_than_a_person_reads() {
    let faults = check(&[JobDraft::action("\u{1b}[31m".repeat(1_000_000))], &[]).expect_err("the graph has faults");
    let text = faults.to_string();
    assert!(text.len() < 4_000, "{} bytes", text.len());
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn faults_survive_the_journal() {
    let drafts = [action("a", &["b", "a"]), JobDraft::container("A"), action("c", &["d"]), action("d", &["c"])];
    let faults = check(&drafts, &[]).expect_err("the graph has faults");
    let json = serde_json::to_string(&faults).expect("faults are JSON");
    assert_eq!(serde_json::from_str::<GraphFaults>(&json).expect("JSON is faults"), faults);
    assert!(
        json.starts_with(r#"[{"job":"a","field":"needs","kind":"unknown-need","need":"b","nearest":null}"#),
        "{json}"
    );
}
