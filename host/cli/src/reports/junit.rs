//! A build as a JUnit report: a suite of its jobs, and one for the tests of each.

use std::collections::BTreeMap;
use std::fmt::Write;

use monkeyci_build::Status;
use monkeyci_controller::{BuildReport, TestCase, Tests};
use quick_xml::escape::escape;

/// The report; tests are in the order of their jobs' ids.
pub fn text(report: &BuildReport, tests: &Tests) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let jobs: Vec<Case> = report
        .jobs
        .iter()
        .map(|job| {
            let status = job.ending.status();
            Case {
                class: "jobs",
                name: &job.job,
                took_ms: job.duration_ms.unwrap_or_default(),
                failure: status.is_failed().then(|| job.ending.to_string()),
                skipped: matches!(status, Status::Skipped | Status::Cancelled | Status::Blocked)
                    .then(|| job.ending.to_string()),
            }
        })
        .collect();
    suite(&mut xml, &report.build, &jobs, report.failure.as_deref(), 0);
    // A job has a suite also where all of its tests are left out.
    let mut of_jobs: BTreeMap<&str, &[TestCase]> = tests.left_out.keys().map(|job| (job.as_str(), &[][..])).collect();
    let cases = tests.cases.chunk_by(|one, other| one.job == other.job);
    of_jobs.extend(cases.filter_map(|of_job| Some((of_job.first()?.job.as_str(), of_job))));
    for (job, of_job) in of_jobs {
        let cases: Vec<Case> = of_job
            .iter()
            .map(|test| Case {
                class: &test.job,
                name: &test.name,
                took_ms: test.took_ms,
                failure: test.message.clone(),
                skipped: test.skipped.then(String::new),
            })
            .collect();
        suite(&mut xml, job, &cases, None, tests.left_out.get(job).copied().unwrap_or_default());
    }
    xml.push_str("</testsuites>\n");
    xml
}

struct Case<'a> {
    class: &'a str,
    name: &'a str,
    took_ms: u64,
    failure: Option<String>,
    skipped: Option<String>,
}

fn suite(xml: &mut String, name: &str, cases: &[Case<'_>], error: Option<&str>, left_out: u64) {
    let failures = cases.iter().filter(|case| case.failure.is_some()).count();
    let skipped = cases.iter().filter(|case| case.skipped.is_some()).count();
    let (tests, errors) = (cases.len() + usize::from(error.is_some()), usize::from(error.is_some()));
    let name = shown(name);
    let _ = writeln!(
        xml,
        r#"  <testsuite name="{name}" tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}">"#
    );
    if let Some(error) = error {
        // What kept the build from starting jobs is a failure of none of them.
        let _ = writeln!(
            xml,
            r#"    <testcase classname="build" name="{name}"><error message="{}"/></testcase>"#,
            shown(error)
        );
    }
    for Case { class, name, took_ms, failure, skipped } in cases {
        let seconds = *took_ms as f64 / 1000.0;
        let _ = write!(xml, r#"    <testcase classname="{}" name="{}" time="{seconds:.3}""#, shown(class), shown(name));
        let _ = match (failure, skipped) {
            (Some(why), _) => {
                let first = why.lines().next().unwrap_or_default();
                writeln!(xml, r#"><failure message="{}">{}</failure></testcase>"#, shown(first), shown(why))
            }
            (None, Some(why)) if why.is_empty() => writeln!(xml, "><skipped/></testcase>"),
            (None, Some(why)) => writeln!(xml, r#"><skipped message="{}"/></testcase>"#, shown(why)),
            (None, None) => writeln!(xml, "/>"),
        };
    }
    if left_out > 0 {
        let _ = writeln!(
            xml,
            "    <system-out>{left_out} {}tests are left out of this report: there are too many</system-out>",
            if cases.is_empty() { "" } else { "more " }
        );
    }
    xml.push_str("  </testsuite>\n");
}

/// A text as XML has it; characters that no XML has are left out.
fn shown(text: &str) -> String {
    let is_xml = |c: &char| !c.is_control() && !['\u{fffe}', '\u{ffff}'].contains(c) || ['\n', '\t'].contains(c);
    escape(text.chars().filter(is_xml).collect::<String>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use monkeyci_build::{BuildStatus, Ending, JobSummary};

    #[test]
    fn jobs_and_their_tests_are_in_the_report_whatever_is_in_their_names() {
        let job =
            |job: &str, ending| JobSummary { job: job.to_owned(), ending, duration_ms: Some(1500), results: None };
        let mut report = BuildReport::new("o/r/1", BuildStatus::Failure);
        let skipped = Ending::Skipped { because: "unit".to_owned() };
        report.jobs = vec![
            job("unit", Ending::Exited { code: 1, line: None }),
            job("lint", Ending::Succeeded),
            job("deploy", skipped),
        ];
        let case = |name: &str, message: Option<&str>| TestCase {
            job: "unit".to_owned(),
            attempt: 2,
            name: name.to_owned(),
            took_ms: 3,
            message: message.map(str::to_owned),
            skipped: name == "later",
        };
        let mut tests = Tests::default();
        tests.cases =
            vec![case("a<b>: \"c\" & \u{1b}[31m", Some("left\nright ]]>")), case("good", None), case("later", None)];
        tests.left_out.insert("unit".to_owned(), 7);
        // There was no room for any of these.
        tests.left_out.insert("lint".to_owned(), 9);
        tests.left_out.insert("unit-2".to_owned(), 3);
        let written = text(&report, &tests);
        insta::assert_snapshot!(written, @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites>
          <testsuite name="o/r/1" tests="3" failures="1" errors="0" skipped="1">
            <testcase classname="jobs" name="unit" time="1.500"><failure message="exited with code 1">exited with code 1</failure></testcase>
            <testcase classname="jobs" name="lint" time="1.500"/>
            <testcase classname="jobs" name="deploy" time="1.500"><skipped message="&quot;unit&quot; did not succeed"/></testcase>
          </testsuite>
          <testsuite name="lint" tests="0" failures="0" errors="0" skipped="0">
            <system-out>9 tests are left out of this report: there are too many</system-out>
          </testsuite>
          <testsuite name="unit" tests="3" failures="1" errors="0" skipped="1">
            <testcase classname="unit" name="a&lt;b&gt;: &quot;c&quot; &amp; [31m" time="0.003"><failure message="left">left
        right ]]&gt;</failure></testcase>
            <testcase classname="unit" name="good" time="0.003"/>
            <testcase classname="unit" name="later" time="0.003"><skipped/></testcase>
            <system-out>7 more tests are left out of this report: there are too many</system-out>
          </testsuite>
          <testsuite name="unit-2" tests="0" failures="0" errors="0" skipped="0">
            <system-out>3 tests are left out of this report: there are too many</system-out>
          </testsuite>
        </testsuites>
        "#);
        let reader = &mut quick_xml::Reader::from_str(&written);
        while reader.read_event().expect("XML") != quick_xml::events::Event::Eof {}
    }
}
