//! `monkeyci-host tests`

use monkeyci_controller::{TestCase, TestReports};

use super::{failed, find, plain, table};
use crate::args::TestsArgs;
use crate::exit::Exit;
use crate::progress::{Style, one_line};
use crate::text::{colours, duration, print_line, print_text};
use crate::{Done, setup};

/// Shows which tests of a build failed, which were slow, and which are flaky.
pub async fn tests(args: TestsArgs) -> Done {
    let (builds, build) = find(&args.stores.home, &args.build.build).await?;
    let store = setup::blobs(&args.stores);
    let reports = builds.tests(&store, &build, args.slowest, args.last).await.map_err(failed)?;
    if args.json {
        print_line(&serde_json::json!(reports).to_string());
    } else {
        print_text(&text(Style { colours: colours(&std::io::stdout()) }, &reports));
    }
    Ok(Exit::Success)
}

fn text(style: Style, reports: &TestReports) -> String {
    let TestReports { build, total, skipped, failures, failed, slowest, flaky, looked_at, not_compared } = reports;
    if *total == 0 {
        return format!("no job of {build} has handed a test report in\n");
    }
    let left_out = if *skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    let mut text = format!("{build}: {total} tests, {failures} failed{left_out}\n");
    let title = |text: &mut String, title: &str| text.push_str(&format!("\n{}\n", style.paint("1", title)));
    let name = |test: &TestCase| {
        let attempt = if test.attempt > 1 { format!(" (attempt {})", test.attempt) } else { String::new() };
        format!("{}{attempt}", one_line(&test.name))
    };
    if !failed.is_empty() {
        title(&mut text, "failed");
        for test in failed {
            text.push_str(&format!("  {}  {}\n", style.paint("31", &test.job), name(test)));
            if let Some(message) = test.message.as_ref().filter(|message| !message.is_empty()) {
                text.push_str(&format!("      {}\n", one_line(message)));
            }
        }
        let more = failures.saturating_sub(failed.len() as u64);
        if more > 0 {
            text.push_str(&format!("  … and {more} more, which are too many to be told by name\n"));
        }
    }
    let indented = |rows: &[Vec<super::Cell>]| {
        table(style, rows, &[0]).lines().map(|line| format!("  {line}\n")).collect::<String>()
    };
    if slowest.iter().any(|test| test.took_ms > 0) {
        title(&mut text, "slowest");
        let row = |test: &TestCase| vec![plain(duration(test.took_ms)), plain(test.job.clone()), plain(name(test))];
        text.push_str(&indented(&slowest.iter().map(row).collect::<Vec<_>>()));
    }
    if !flaky.is_empty() {
        title(
            &mut text,
            &format!(
                "flaky in the last {looked_at} builds: they failed and passed, and no change of the code explains it"
            ),
        );
        let rows: Vec<_> = flaky
            .iter()
            .map(|test| {
                let often = format!("{} of {}", test.failed, test.ran);
                vec![plain(often), plain(test.job.clone()), plain(one_line(&test.name))]
            })
            .collect();
        text.push_str(&indented(&rows));
    }
    if *not_compared > 0 {
        text.push_str(&format!(
            "\n{not_compared} results of the last {looked_at} builds were not compared: there are too many\n"
        ));
    }
    text
}

#[cfg(test)]
mod snapshots {
    use monkeyci_controller::FlakyTest;

    use super::*;

    #[test]
    fn tests_are_told_by_what_one_looks_for() {
        let case = |name: &str, took_ms, message: Option<&str>| TestCase {
            job: "unit".to_owned(),
            attempt: 1,
            name: name.to_owned(),
            took_ms,
            message: message.map(str::to_owned),
            skipped: false,
        };
        let reports = TestReports {
            build: "o/r/19c-1".to_owned(),
            total: 12,
            skipped: 1,
            failures: 5,
            failed: vec![case("a: fails", 3, Some("left != right")), TestCase { attempt: 2, ..case("b", 1, Some("")) }],
            slowest: vec![case("slow", 61_000, None), case("a: fails", 3, None)],
            flaky: vec![FlakyTest { job: "unit".to_owned(), name: "shaky".to_owned(), failed: 2, ran: 10 }],
            looked_at: 10,
            not_compared: 7,
        };
        insta::assert_snapshot!(text(Style { colours: false }, &reports), @r"
        o/r/19c-1: 12 tests, 5 failed, 1 skipped

        failed
          unit  a: fails
              left != right
          unit  b (attempt 2)
          … and 3 more, which are too many to be told by name

        slowest
          1 min 1 s  unit  slow
               3 ms  unit  a: fails

        flaky in the last 10 builds: they failed and passed, and no change of the code explains it
          2 of 10  unit  shaky

        7 results of the last 10 builds were not compared: there are too many
        ");
        let none = TestReports { build: "o/r/1".to_owned(), ..TestReports::default() };
        assert_eq!(text(Style { colours: false }, &none), "no job of o/r/1 has handed a test report in\n");
    }
}
