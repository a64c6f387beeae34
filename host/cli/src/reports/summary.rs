//! A build as a table in Markdown, for the page of a run of GitHub Actions.

use std::fmt::Write;

use monkeyci_controller::BuildReport;

use crate::progress::{Hints, short};
use crate::text::{build_status, duration, harmless};

/// The most bytes of it: GitHub takes 1 MiB of a step, and nothing of more.
const BYTES: usize = 900 << 10;
/// The most characters of a cell.
const CELL: usize = 300;

/// The table, and what was reported and warned of.
pub fn text(report: &BuildReport, hints: &Hints) -> String {
    let mut text = format!("### {} {}\n\n", cell(&report.build), build_status(report.status).1.trim_end_matches(','));
    if let Some(failure) = &report.failure {
        let _ = writeln!(text, "{}\n", cell(failure));
    }
    if !report.jobs.is_empty() {
        text.push_str("| job | result | took | tests |\n| --- | --- | --- | --- |\n");
    }
    let mut left_out = 0;
    for job in &report.jobs {
        let took = job.duration_ms.map(duration).unwrap_or_default();
        let tests = job.results.as_ref().and_then(|results| results.tests.as_ref());
        let tests = tests.map_or_else(String::new, |tests| format!("{}, {} failed", tests.total, tests.failed));
        let row = format!("| {} | {} | {took} | {tests} |\n", cell(&job.job), cell(&job.ending.to_string()));
        left_out += add(&mut text, &row, BYTES / 2);
    }
    say(&mut text, left_out, "jobs");
    text.push('\n');
    // What was warned of is most wanted.
    for (what, said, kind) in [("warning: ", &report.warnings, "warnings"), ("", &report.reports, "reports")] {
        let left_out = said.iter().map(|message| add(&mut text, &format!("- {what}{}\n", cell(message)), BYTES)).sum();
        say(&mut text, left_out, kind);
    }
    let _ = writeln!(
        text,
        "\n`{}` says more, on the machine that has run it.\n",
        hints.command(&["show", short(&report.build)])
    );
    text
}

/// Adds a line if there is room up to so many bytes; how many are left out, 1 or none.
fn add(text: &mut String, line: &str, room: usize) -> usize {
    let fits = text.len() + line.len() <= room;
    if fits {
        text.push_str(line);
    }
    usize::from(!fits)
}

/// Says how many are left out.
fn say(text: &mut String, left_out: usize, kind: &str) {
    if left_out > 0 {
        let _ = writeln!(text, "\n… and {left_out} {kind} more\n");
    }
}

/// A stranger's text as it may stand in a table: on one line, and no Markdown.
fn cell(text: &str) -> String {
    let line = text.lines().map(|line| harmless(line, false)).collect::<Vec<_>>().join(" ");
    let mut shown = String::new();
    for c in line.chars().take(CELL) {
        match c {
            '<' => shown.push_str("&lt;"),
            '&' => shown.push_str("&amp;"),
            '@' => shown.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~' | '>' => {
                shown.extend(['\\', c])
            }
            c => shown.push(c),
        }
    }
    if line.chars().count() > CELL {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use monkeyci_build::{BuildStatus, Ending, JobSummary, Results, ShellLine, TestSummary};

    use super::*;

    #[test]
    fn a_build_is_a_table_in_which_nothing_is_markdown_but_the_table() {
        let tests = Some(TestSummary { total: 12, failed: 1, ..TestSummary::default() });
        let results = Some(Box::new(Results { tests, ..Results::default() }));
        let line = ShellLine { number: 1, text: "echo | tee `x` <b> [a](javascript:x)".to_owned() };
        let mut report = BuildReport::new("o/r/19c-1", BuildStatus::Failure);
        report.jobs = vec![JobSummary {
            job: "unit".to_owned(),
            ending: Ending::Exited { code: 1, line: Some(line) },
            duration_ms: Some(1500),
            results,
        }];
        report.warnings = vec!["a\n| b | @everyone".to_owned()];
        insta::assert_snapshot!(text(&report, &Hints::default()), @r"
        ### o/r/19c-1 failed

        | job | result | took | tests |
        | --- | --- | --- | --- |
        | unit | exited with code 1 at line 1: echo \| tee \`x\` &lt;b\> \[a\]\(javascript:x\) | 1.5 s | 12, 1 failed |

        - warning: a \| b \| &#64;everyone

        `monkeyci-host show 19c-1` says more, on the machine that has run it.
        ");
    }

    #[test]
    fn of_a_build_that_is_too_large_for_the_page_as_much_is_there_as_fits_and_how_much_is_not() {
        let mut report = BuildReport::new("o/r/1", BuildStatus::Failure);
        let long = "|".repeat(400);
        let job = |number| JobSummary {
            job: format!("{number}-{long}"),
            ending: Ending::Succeeded,
            duration_ms: None,
            results: None,
        };
        report.jobs = (0..2000).map(job).collect();
        report.reports = vec![long.clone(); 2000];
        report.warnings = vec![long; 600];
        let text = text(&report, &Hints::default());
        assert!(text.len() < 1 << 20, "{}", text.len());
        let lines = |begin: &str| text.lines().filter(|line| line.starts_with(begin)).count();
        let (rows, warnings) = (lines("| ") - 2, lines("- warning: "));
        let reports = lines("- ") - warnings;
        for (there, all, kind) in [(rows, 2000, "jobs"), (warnings, 600, "warnings"), (reports, 2000, "reports")] {
            let said = format!("… and {} {kind} more", all - there);
            assert!(there == all || text.contains(&said), "{there} of {all} {kind}: {said}");
        }
        assert!(rows > 500 && warnings == 600 && reports < 2000, "{rows} {warnings} {reports}");
    }
}
