//! Reports what the job says of its result: its outputs, and its tests.

use std::fs;
use std::io::{BufReader, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;
use cap_std::fs::Dir;
use monkeyci_api::{Body, Client, ClientError, MAX_OUTPUTS, MAX_TEST_REPORT};
use monkeyci_archive::{Found, Globs, find};
use rustix::fs::OFlags;
use tokio::task::spawn_blocking;

use super::StepError;
use super::host::Host;
use super::log::Log;
use super::test_output::without_output;

/// The most test reports of a job.
pub(super) const MAX_TEST_REPORTS: usize = 1000;
/// How much of a test report's file is looked at for what counts, when the output of tests is left out.
pub(super) const MAX_TEST_REPORT_FILE: u64 = 1024 * 1024 * 1024;
/// The most warnings of one job that are kept, of which each is a line in the log.
pub(super) const MAX_WARNINGS: usize = 10;

/// What to look at, should the job succeed.
#[derive(Debug, Default)]
pub(super) struct Warnings(Vec<String>);

impl Warnings {
    pub(super) async fn say(&mut self, log: &Log, warning: String) {
        match self.0.len() {
            len if len < MAX_WARNINGS => self.0.push(warning.clone()),
            MAX_WARNINGS => self.0.push("and more, which its log has".to_owned()),
            _ => {}
        }
        log.say(warning).await;
    }

    /// All in one; none when there are none.
    pub(super) fn message(self) -> Option<String> {
        Some(self.0.join("; ")).filter(|message| !message.is_empty())
    }
}

/// Reports the job's outputs, if it exposes any.
///
/// Outputs that can't be read (no regular file any more, too large) or that the build API refuses are a line in the log, and a
/// warning. That the build API can't be asked is an error.
pub(super) async fn outputs(
    host: &Host,
    log: &Log,
    warnings: &mut Warnings,
    job: &str,
    file: &Path,
) -> Result<(), StepError> {
    match read_outputs(file) {
        Ok(content) if content.is_empty() => {}
        Ok(content) => match host.ask(async |client| client.report_outputs(job, content.clone()).await).await {
            Ok(()) => {}
            // The build API has made a warning of it.
            Err(ClientError::Refused(problem)) if problem.status < 500 => {
                log.say(format!("the job's outputs are not reported: {}", problem.detail)).await;
            }
            Err(error) => return Err(StepError::new("reporting the job's outputs", error)),
        },
        Err(reason) => warnings.say(log, format!("the job's outputs are not reported: {reason}")).await,
    }
    Ok(())
}

/// Reads the outputs' file. The job may have put anything in its place: nothing is followed, and nothing waited for.
fn read_outputs(path: &Path) -> Result<Vec<u8>, String> {
    let not_regular = || Err("their file is not a regular file any more".to_owned());
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return not_regular(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    let file = file.map_err(|error| error.to_string())?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return not_regular();
    }
    let mut content = Vec::new();
    file.take(MAX_OUTPUTS + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
    if content.len() as u64 > MAX_OUTPUTS {
        Err(format!("they are more than {MAX_OUTPUTS} bytes"))
    } else {
        Ok(content)
    }
}

/// Reports the tests, from the files of the working directory that match. Whatever goes wrong is a line in the log, and a
/// warning: that there are no tests must not look like tests that passed.
pub(super) async fn tests(host: &Host, log: &Log, warnings: &mut Warnings, job: &str, globs: &[String], dir: &Dir) {
    if globs.is_empty() {
        return;
    }
    let reports = match find_reports(globs, dir).await {
        Ok(reports) => reports,
        Err(reason) => return warnings.say(log, format!("the tests are not reported: {reason}")).await,
    };
    if reports.is_empty() {
        let said = format!("the tests are not reported: no file matches {}", globs.join(" or "));
        return warnings.say(log, said).await;
    }
    if reports.len() > MAX_TEST_REPORTS {
        warnings.say(log, format!("of the test reports, only the first {MAX_TEST_REPORTS} count")).await;
    }
    let mut reported = 0;
    for report in reports.into_iter().take(MAX_TEST_REPORTS) {
        let path = report.path.clone();
        let result = match read_report(report, dir).await {
            Ok(content) => {
                let content = Bytes::from(content);
                let report =
                    async |client: &Client| client.report_tests(job, Some(reported), Body::from(content.clone())).await;
                host.ask(report).await.map_err(|error| match error {
                    ClientError::Refused(problem) => problem.detail,
                    error => error.to_string(),
                })
            }
            Err(reason) => Err(reason),
        };
        match result {
            Ok(()) => reported += 1,
            Err(reason) => warnings.say(log, format!("the test report {path:?} does not count: {reason}")).await,
        }
    }
    if reported > 0 {
        log.say(format!("reported the tests of {reported} {}", if reported == 1 { "file" } else { "files" })).await;
    }
}

async fn find_reports(globs: &[String], dir: &Dir) -> Result<Vec<Found>, String> {
    let globs = Globs::new(globs).map_err(|error| error.to_string())?;
    let dir = dir.try_clone().map_err(|error| error.to_string())?;
    // One more than count, to know whether there are more.
    let found = spawn_blocking(move || find(&dir, &globs, MAX_TEST_REPORTS + 1)).await;
    found.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

async fn read_report(report: Found, dir: &Dir) -> Result<Vec<u8>, String> {
    let dir = dir.try_clone().map_err(|error| error.to_string())?;
    let read = spawn_blocking(move || -> std::io::Result<Option<Vec<u8>>> {
        if let Some(whole) = report.read(&dir, MAX_TEST_REPORT)? {
            return Ok(Some(whole));
        }
        let file = report.open(&dir)?.take(MAX_TEST_REPORT_FILE);
        without_output(&mut BufReader::new(file), MAX_TEST_REPORT)
    });
    let read = read.await.map_err(|error| error.to_string())?;
    read.map_err(|error| error.to_string())?
        .ok_or_else(|| format!("it is larger than {MAX_TEST_REPORT} bytes, not counting what tests have printed"))
}
