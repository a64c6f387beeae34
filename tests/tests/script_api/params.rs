use monkeyci_tests::host::Host;

use crate::{faults, run, says};

#[test]
fn declared_parameters_have_types_and_defaults() {
    let ended = Host::default().run("params-declared", &["--param", "workers=7", "--param", "profile=release"]);
    let log = ended.log(None);
    assert!(log.contains("declared: workers=7 ratio=0.5 fast=false profile=release note=None"), "{log}");
    assert!(log.contains("given: case image profile scratch-image workers"), "{log}");
}

#[test]
fn what_is_wrong_with_parameters_and_jobs_is_told_at_once_before_anything_runs() {
    let found = faults("params-bad-kind", &["--param", "workers=many"]);
    for part in ["workers", "many", "mode", "nobody"] {
        assert!(found.contains(part), "{part} is missing in {found}");
    }
    assert!(faults("params-two-ways", &[]).contains("workers"));
}

#[test]
fn a_required_parameter_that_nobody_gave_says_where_it_was_looked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("params.toml");
    std::fs::write(&file, "other = 1\n").expect("written");
    let file = file.to_str().expect("text");
    let found = faults("params-required", &["--param-file", file]);
    assert!(found.contains("version") && found.contains(file) && found.contains("MONKEYCI_PARAM_"), "{found}");
    assert!(!found.contains("--secret"), "{found}");
}

#[test]
fn parameters_come_from_files_of_every_format() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in
        [("p.env", "workers=5"), ("p.json", r#"{"workers": 5}"#), ("p.yaml", "workers: 5"), ("p.toml", "workers = 5")]
    {
        let file = dir.path().join(name);
        std::fs::write(&file, text).expect("written");
        let ended = Host::default().run("params-declared", &["--param-file", file.to_str().expect("text")]);
        assert!(ended.log(None).contains("workers=5"), "{name}: {ended:#?}");
    }
}

#[test]
fn a_parameter_that_nobody_declared_or_asked_for_is_a_warning_with_the_nearest_name() {
    let warnings = |case: &str, params: &[&str]| -> Vec<String> {
        let params: Vec<&str> = params.iter().flat_map(|param| ["--param", param]).collect();
        let ended = Host::default().run(case, &params);
        let warned = ended.of_type("build/warned").map(|event| event["message"].as_str().expect("text").to_owned());
        warned.filter(|message| message.contains("the parameter")).collect()
    };
    let told =
        |name: &str, hint: &str| format!("the script neither declares nor asks for the parameter {name:?}{hint}");
    let hint = "; did you mean \"notes\"?";
    assert_eq!(
        warnings("param-file", &["ntoes=x", "unheard-of=1"]),
        [told("ntoes", hint), told("unheard-of", "")],
        "a job is given it"
    );
    assert_eq!(warnings("params-declared", &["unheard-of=1"]), [""; 0], "it has listed all that were given");
}

#[test]
fn a_parameter_becomes_a_file_of_a_job() {
    let ended = run("param-file", &["--param", "notes=one\ntwo"], 0);
    says(&ended, "read", &["the notes: one", "two", "end of the notes"]);
    let ended = run("param-file", &[], 1);
    assert_eq!(ended.cause("read"), "value-missing");
}

#[test]
fn a_script_knows_its_base_commit_and_what_triggered_it() {
    let repository = monkeyci_tests::repository::Repository::default();
    let base = repository.git(&["rev-parse", "HEAD~1"]);
    let ended = Host::default().run("more-info", &["--dir", repository.path().to_str().expect("text")]);
    let log = ended.log(None);
    assert!(log.contains(&format!("base: {base}")) && log.contains("by: true false false"), "{log}");
}
