//! The outputs of jobs as variables, for the next step of another CI.

use std::collections::BTreeMap;

use monkeyci_controller::BuildReport;

/// Lines NAME=value, and what is said of outputs that can't stand there.
///
/// Each name begins with `OUTPUT_`: so no job of the build sets a variable that means something to programs, `LD_PRELOAD` say.
pub fn text(report: &BuildReport) -> (String, Vec<String>) {
    let (mut lines, mut left_out) = (BTreeMap::<String, (String, &str)>::new(), Vec::new());
    for job in &report.jobs {
        for (output, value) in job.results.iter().flat_map(|results| &results.outputs) {
            let what = format!("{}.{output}", job.job);
            let name = name(&job.job, output);
            if value.contains(['\n', '\r', '\0']) {
                left_out.push(format!("the output {what} is not written: it has several lines"));
            } else if let Some((other, _)) = lines.get(&name) {
                left_out.push(format!("the output {what} is not written: {other} has the name {name} too"));
            } else {
                lines.insert(name, (what, value));
            }
        }
    }
    (lines.into_iter().map(|(name, (_, value))| format!("{name}={value}\n")).collect(), left_out)
}

fn name(job: &str, output: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("OUTPUT_{job}_{output}").chars().map(fits).collect()
}

#[cfg(test)]
mod tests {
    use monkeyci_build::{BuildStatus, Ending, JobSummary, Results};

    use super::*;

    #[test]
    fn outputs_are_variables_and_those_that_can_not_be_are_named() {
        let job = |job: &str, outputs: &[(&str, &str)]| {
            let outputs = outputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let results = Some(Box::new(Results { outputs, ..Results::default() }));
            JobSummary { job: job.to_owned(), ending: Ending::Succeeded, duration_ms: None, results }
        };
        let mut report = BuildReport::new("o/r/1", BuildStatus::Success);
        report.jobs = vec![
            job("unit-test", &[("version", "1.2 = x"), ("notes", "a\nLD_PRELOAD=x")]),
            job("unit.test", &[("version", "2")]),
            job("none", &[]),
        ];
        let (lines, left_out) = text(&report);
        assert_eq!(lines, "OUTPUT_UNIT_TEST_VERSION=1.2 = x\n");
        assert_eq!(
            left_out,
            [
                "the output unit-test.notes is not written: it has several lines",
                "the output unit.test.version is not written: unit-test.version has the name OUTPUT_UNIT_TEST_VERSION too",
            ]
        );
    }
}
