//! Config files of a repository and of a user, and what they come to.

use std::path::Path;

use monkeyci_tests::host::Host;
use monkeyci_tests::place;
use serde_json::Value;

/// Writes a config file.
fn write(dir: &Path, text: &str) {
    std::fs::create_dir_all(dir).expect("a directory");
    std::fs::write(dir.join("monkeyci-host.toml"), text).expect("written");
}

/// Runs a command in a directory; its exit code, and what it said.
fn run(host: &Host, dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = host.command(arguments).current_dir(dir).output().expect("the host runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_build_has_the_parameters_of_the_files_and_config_show_says_whose_each_is() {
    let (host, code) = (Host::default(), tempfile::tempdir().expect("a directory"));
    write(code.path(), "progress = \"json\"\n[param]\ncase = \"hello\"\n");
    write(&host.home().join("config/monkeyci-host"), "jobs = 2\n[param]\ncase = \"faults\"\nimage = \"none\"\n");
    let (_, shown, stderr) = run(&host, code.path(), &["config", "show", "--json"]);
    let shown: Vec<Value> = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let of = |key: &str| shown.iter().find(|shown| shown["key"] == key).unwrap_or_else(|| panic!("{key}: {shown:?}"));
    assert_eq!(
        (&of("param.case")["values"][0], &of("param.case")["from"]["file"]["line"]),
        (&"hello".into(), &3.into())
    );
    assert_eq!(of("jobs")["values"][0], "2");
    assert_eq!(of("home")["from"]["environment"], "MONKEYCI_HOME");
    assert_eq!(of("engine")["from"], "default");
    let script = place::script("probe_script").display().to_string();
    // What the repository says counts before what the user says, and the command line before both.
    let (code_of_check, said, stderr) = run(&host, code.path(), &["check", &script]);
    assert!(code_of_check == Some(0) && said.contains("hello"), "{said}{stderr}");
    let (code_of_check, _, stderr) = run(&host, code.path(), &["check", &script, "--param", "case=faults"]);
    assert_eq!(code_of_check, Some(3), "{stderr}");
}

#[test]
fn a_build_begins_again_with_the_secrets_that_the_users_file_names() {
    let (host, code) = (Host::default(), tempfile::tempdir().expect("a directory"));
    let config = host.home().join("config/monkeyci-host");
    write(&config, "[secret]\ntoken = \"token.txt\"\n[param]\ncase = \"again\"\nluck = \"yes\"\n");
    std::fs::write(config.join("token.txt"), "hunter22").expect("written");
    let script = place::script("probe_script").display().to_string();
    let images = ["--param", "image=none", "--param", "scratch-image=none"];
    let ended = run(&host, code.path(), &[&["run", &script][..], &images].concat());
    assert_eq!(ended.0, Some(0), "{ended:?}");
    let again = || run(&host, code.path(), &["rerun", "--all"]);
    assert_eq!(again().0, Some(0));
    write(&config, "[param]\ncase = \"define-fails\"\n");
    let (code_of_rerun, _, stderr) = again();
    assert!(code_of_rerun == Some(2) && stderr.contains("--secret token=FILE"), "{stderr}");
    // A build whose script asks for none runs again without.
    write(&config, "[secret]\ntoken = \"token.txt\"\n[param]\ncase = \"nothing\"\n");
    let ended = run(&host, code.path(), &[&["run", &script][..], &images].concat());
    assert_eq!(ended.0, Some(0), "{ended:?}");
    write(&config, "");
    assert_eq!(again().0, Some(0));
}

#[test]
fn a_plain_shell_reads_no_secret_and_no_parameter_of_a_file() {
    let (host, code) = (Host::default(), tempfile::tempdir().expect("a directory"));
    let config = host.home().join("config/monkeyci-host");
    let secrets = "reveal = [\"token\"]\nsecret-file = \"gone.env\"\nparam-file = \"gone.env\"\n";
    let script = place::script("probe_script").display().to_string();
    let ended = run(&host, code.path(), &["run", &script, "--param", "case=nothing"]);
    assert_eq!(ended.0, Some(0), "{ended:?}");
    write(&config, &format!("{secrets}[secret]\ntoken = \"gone.txt\"\n"));
    let (code_of_shell, _, stderr) = run(&host, code.path(), &["shell", "nobody"]);
    assert!(code_of_shell == Some(2) && stderr.contains("has no job \"nobody\""), "{stderr}");
    let (code_of_shell, _, stderr) = run(&host, code.path(), &["shell", "--with-secrets", "nobody"]);
    // Nothing is needed of a job that is not there.
    assert!(code_of_shell == Some(2) && stderr.contains("has no job \"nobody\""), "{stderr}");
    // What is typed is not passed over.
    let (code_of_shell, _, stderr) = run(&host, code.path(), &["shell", "nobody", "--secret", "token=gone.txt"]);
    assert!(code_of_shell == Some(2) && stderr.contains("give that too"), "{stderr}");
}

#[test]
fn a_config_file_with_an_unknown_key_or_one_that_is_not_a_repositorys_is_refused_with_its_line() {
    let (host, code) = (Host::cold(), tempfile::tempdir().expect("a directory"));
    for (text, words) in [
        ("\nprogres = \"plain\"\n", "line 2: there is no key \"progres\"; did you mean \"progress\"?"),
        ("engine = \"unix:///hostile.sock\"\n", "line 1: a repository's file may not set \"engine\""),
        ("[secret]\na = \"token\"\n", "line 1: a repository's file may not set \"secret\""),
        ("timeout = \"soon\"\n", "line 1: timeout: invalid value 'soon'"),
    ] {
        write(code.path(), text);
        let (code_of_run, _, stderr) = run(&host, code.path(), &["run", "none.wasm"]);
        assert_eq!(code_of_run, Some(2), "{stderr}");
        assert!(stderr.contains(words) && stderr.contains("monkeyci-host.toml"), "{stderr}");
    }
    // What has nothing to do with it works on.
    assert_eq!(run(&host, code.path(), &["version"]).0, Some(0));
}
