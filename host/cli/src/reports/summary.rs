//! A build as a table in Markdown, for the page of a run of GitHub Actions.

use std::fmt::Write;

use monkeyci_controller::BuildReport;

use crate::progress::{Hints, short};
use crate::text::{build_status, duration, harmless};

/// The most jobs of a table: GitHub takes 1 MiB.
const JOBS: usize = 500;
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
    for job in report.jobs.iter().take(JOBS) {
        let took = job.duration_ms.map(duration).unwrap_or_default();
        let tests = job.results.as_ref().and_then(|results| results.tests.as_ref());
        let tests = tests.map_or_else(String::new, |tests| format!("{}, {} failed", tests.total, tests.failed));
        let _ = writeln!(text, "| {} | {} | {took} | {tests} |", cell(&job.job), cell(&job.ending.to_string()));
    }
    if report.jobs.len() > JOBS {
        let _ = writeln!(text, "\n… and {} more jobs", report.jobs.len() - JOBS);
    }
    text.push('\n');
    for (what, said) in [("", &report.reports), ("warning: ", &report.warnings)] {
        for message in said.iter().take(JOBS) {
            let _ = writeln!(text, "- {what}{}", cell(message));
        }
    }
    let _ = writeln!(
        text,
        "\n`{}` says more, on the machine that has run it.\n",
        hints.command(&["show", short(&report.build)])
    );
    text
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
}
