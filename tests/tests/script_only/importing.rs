//! `import`: what comes of files of other systems is a script that `check` takes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Output;

use monkeyci_tests::host::Host;
use monkeyci_tests::place;

fn workflows() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("imported-script/workflows")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The secrets that a script asks for.
fn secrets(script: &str) -> Vec<String> {
    let ask = "build.secret(\"";
    script.split(ask).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

fn import(host: &Host, system: &str, file: &Path, to: &Path, arguments: &[&str]) -> Output {
    let mut command = host.command(&["import", system]);
    command.arg(file).arg("-o").arg(to).args(arguments).output().expect("the host runs")
}

#[test]
fn what_comes_of_each_file_is_a_script_without_faults_on_branches_and_tags() {
    let host = Host::default();
    let code = host.home().join("code");
    fs::create_dir(&code).expect("a directory");
    let mut files = 0;
    for system in ["github", "gitlab", "woodpecker"] {
        for entry in
            fs::read_dir(workflows().join(system)).expect("a folder").map(|entry| entry.expect("an entry").path())
        {
            if entry.extension().is_none_or(|end| end != "rs") {
                continue;
            }
            let name = format!("{system}/{}", entry.file_stem().expect("a name").to_string_lossy());
            let secrets = secrets(&fs::read_to_string(&entry).expect("text"));
            let mut there = 0;
            for given in [["--branch", "main"], ["--tag", "v1.2.3"], ["--trigger", "webhook/pull_request"]] {
                let mut command = host.command(&["check", "--json", "--param", &format!("file={name}")]);
                command.arg(place::script("imported_script")).arg("--dir").arg(&code).args(given);
                command.envs(secrets.iter().map(|secret| (format!("MONKEYCI_SECRET_{secret}"), "a-secret-value")));
                let checked = command.output().expect("the host runs");
                assert_eq!(checked.status.code(), Some(0), "{name} {given:?}: {}", text(&checked.stderr));
                let answer: serde_json::Value = serde_json::from_slice(&checked.stdout).expect("JSON");
                there += answer["jobs"].as_array().map_or(0, Vec::len);
            }
            assert!(there > 0, "{name}: no job is ever there");
            files += 1;
        }
    }
    assert_eq!(files, 10);
}

#[test]
fn a_file_is_imported_checked_and_its_list_is_printed_for_people_and_programs() {
    let host = Host::default();
    // At the same place each time: what cargo makes of it is replaced, and does not pile up.
    let demo = Path::new(env!("CARGO_TARGET_TMPDIR")).join("imported-script");
    match fs::remove_dir_all(&demo) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.expect("removed"),
    }
    let file = workflows().join("github/rust-library.yml");
    let made = import(&host, "github", &file, &demo, &[]);
    let said = text(&made.stdout);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], format!("a script with 5 jobs is in {}", demo.join(".monkeyci").display()));
    let place = format!("{}:11: concurrency: builds of this host do not stop each other", file.display());
    assert!(lines.iter().any(|line| line.trim() == place), "{said}");
    assert!(said.ends_with("monkeyci-host run   runs the build\n"), "{said}");
    let script = fs::read_to_string(demo.join(".monkeyci/src/lib.rs")).expect("a script");
    assert_eq!(script, fs::read_to_string(file.with_extension("rs")).expect("a script"));

    let again = import(&host, "github", &file, &demo, &[]);
    assert!(again.status.code() == Some(2) && text(&again.stderr).contains("is there already"), "{again:?}");

    let other = host.home().join("other");
    let told = import(&host, "woodpecker", &workflows().join("woodpecker/site.yml"), &other, &["--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(answer["jobs"], serde_json::json!(["install", "check", "build", "publish"]));
    assert_eq!(answer["secrets"], serde_json::json!(["deploy_host", "rsync_key"]));
    let first = serde_json::json!({
        "line": 7, "path": "labels", "why": "jobs run in containers, on the machine of the host",
    });
    assert_eq!(answer["missing"][0], first);

    // With what the samples are made of, which is there: this test asks no registry.
    let samples = place::script("probe_script").parent().expect("a folder").join("../..");
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample-scripts/Cargo.lock");
    fs::copy(lock, demo.join(".monkeyci/Cargo.lock")).expect("copied");
    let mut check = host.command(&["check", "--branch", "main"]);
    check.current_dir(&demo).env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", samples);
    let checked = check.output().expect("the host runs");
    // Elsewhere scripts are compiled with Debian's toolchain, and the script that is checked above has the same lines.
    if !text(&checked.stderr).contains("`rustup target add wasm32-wasip2` installs it") {
        assert!(checked.status.success(), "{}", text(&checked.stderr));
        assert!(text(&checked.stdout).ends_with("5 jobs, no faults\n"), "{}", text(&checked.stdout));
    }
}

#[test]
fn a_file_that_can_not_be_imported_is_named_with_the_line_and_what_to_do() {
    let host = Host::default();
    let file = host.home().join("file.yml");
    let to = host.home().join("to");
    for (system, content, says) in [
        ("github", "on: push\n", "line 1: this is no workflow file of GitHub Actions: it has no `jobs`"),
        ("gitlab", "stages: [a]\n", "line 1: this is no workflow file of GitLab CI: it has no jobs"),
        ("woodpecker", "a: 1\n", "line 1: this is no workflow file of Woodpecker: it has no `steps`"),
        ("github", "", "it is empty"),
        ("gitlab", "a:\n  script: [\n", "this is not YAML"),
    ] {
        fs::write(&file, content).expect("written");
        let refused = import(&host, system, &file, &to, &[]);
        let said = text(&refused.stderr);
        assert!(refused.status.code() == Some(2) && said.contains(says) && said.contains("file.yml"), "{said}");
    }
    let refused = import(&host, "github", &host.home().join("none.yml"), &to, &[]);
    let said = text(&refused.stderr);
    assert!(
        refused.status.code() == Some(2) && said.contains("none.yml can't be read; name a workflow file"),
        "{said}"
    );
    assert!(!to.exists(), "a file that is refused leaves nothing");
    let refused = host.command(&["import", "githb"]).arg(&file).arg("-o").arg(&to).output().expect("the host runs");
    let said = text(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("did you mean \"github\"?"), "{said}");
}
