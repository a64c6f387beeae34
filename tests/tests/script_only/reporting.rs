//! What other CIs read of a build: a JUnit report, outputs as variables, and a table on GitHub's page.

use std::fs;
use std::path::Path;
use std::process::Output;

use monkeyci_tests::host::Host;
use monkeyci_tests::place;

fn run(host: &Host, case: &str, arguments: &[&str], variables: &[(&str, &Path)]) -> Output {
    let empty = host.home().join("empty");
    fs::create_dir_all(&empty).expect("a directory");
    let mut command = host.command(&["run", "--progress", "plain", "--param", &format!("case={case}")]);
    command.arg(place::script("probe_script")).arg("--dir").arg(empty).args(arguments);
    command.envs(variables.iter().copied()).output().expect("the host runs")
}

#[test]
fn a_build_is_reported_to_the_ci_around_it_also_when_it_failed() {
    let host = Host::default();
    let [junit, outputs, page] = ["junit.xml", "outputs.env", "page.md"].map(|name| host.home().join(name));
    let options = ["--junit", junit.to_str().expect("text"), "--outputs-env", outputs.to_str().expect("text")];
    fs::write(&page, "before\n").expect("written");
    let inside = [("GITHUB_ACTIONS", Path::new("true")), ("GITHUB_STEP_SUMMARY", &page)];
    let failed = run(&host, "action-fails", &options, &inside);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let report = fs::read_to_string(&junit).expect("a report");
    assert!(report.contains("tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"1\""), "{report}");
    assert!(report.contains("<failure message=\"no luck today\">"), "{report}");
    assert_eq!(fs::read_to_string(&outputs).expect("a file"), "");
    let table = fs::read_to_string(&page).expect("a page");
    assert!(table.starts_with("before\n### ") && table.contains("| fails | no luck today |"), "{table}");

    let well = run(&host, "resume", &options, &[("GITHUB_STEP_SUMMARY", &page)]);
    assert_eq!(well.status.code(), Some(0), "{well:?}");
    assert_eq!(fs::read_to_string(&outputs).expect("a file"), "OUTPUT_FIRST_FILES=0\n");
    assert!(!fs::read_to_string(&junit).expect("a report").contains("no luck today"), "the report of before is gone");
    assert_eq!(fs::read_to_string(&page).expect("a page"), table, "outside of GitHub Actions it has no page");
}

#[test]
fn a_build_that_runs_again_is_reported_with_what_it_reuses() {
    let host = Host::default();
    let first = run(&host, "resume", &[], &[]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let [junit, outputs] = ["junit.xml", "outputs.env"].map(|name| host.home().join(name));
    let options = ["--junit", junit.to_str().expect("text"), "--outputs-env", outputs.to_str().expect("text")];
    let again = host.command(&["rerun", "--job", "first"]).args(options).output().expect("the host runs");
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert_eq!(fs::read_to_string(&outputs).expect("a file"), "OUTPUT_FIRST_FILES=0\n");
    assert!(fs::read_to_string(&junit).expect("a report").contains("name=\"first\""));
    let refused =
        host.command(&["resume", "latest", "--junit", "/no/such/folder/file"]).output().expect("the host runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("(--junit) can't be written"), "{said}");
}

#[test]
fn a_report_that_can_not_be_written_is_said_before_anything_runs() {
    let host = Host::default();
    for option in ["--junit", "--outputs-env"] {
        let refused = run(&host, "events", &[option, "/no/such/folder/file"], &[]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("/no/such/folder/file ({option}) can't be written")), "{said}");
    }
    assert!(!host.home().join("run").exists(), "nothing has run");
}
