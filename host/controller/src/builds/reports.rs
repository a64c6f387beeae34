//! The test reports of builds: which tests failed, which were slow, and which can't make up their mind.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use monkeyci_storage::{BlobStore, Blobs, names};
use serde::Serialize;

use super::{Builds, BuildsError};
use crate::error::ControllerError;
use crate::junit::{self, MAX_NAMED, Told};

/// The test reports of a build.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TestReports {
    /// The build's id.
    pub build: String,
    /// How many tests there were, in all attempts of all jobs.
    pub total: u64,
    /// How many were skipped, or did not run for another reason.
    pub skipped: u64,
    /// How many failed.
    pub failures: u64,
    /// Those that failed: the first 64 MiB of them.
    pub failed: Vec<TestCase>,
    /// Those that took longest, the slowest first.
    pub slowest: Vec<TestCase>,
    /// Those that failed and passed in the last builds of the repository without a change of the code that would explain it, the worst first.
    pub flaky: Vec<FlakyTest>,
    /// How many builds were looked at for that.
    pub looked_at: usize,
    /// How often a test was not looked at for that, because there are more names than 64 MiB hold.
    pub not_compared: u64,
}

/// The tests of a build, by name.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Tests {
    /// The tests: the first 64 MiB of them.
    pub cases: Vec<TestCase>,
    /// How many there are beyond, by their jobs.
    pub left_out: BTreeMap<String, u64>,
}

/// A test of a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TestCase {
    /// The job.
    pub job: String,
    /// The attempt of the job, from 1.
    pub attempt: u32,
    /// The test's name, with its class or suite in front.
    pub name: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// What it says of its failure; `None` if it did not fail.
    pub message: Option<String>,
    /// It was skipped, or did not run for another reason.
    pub skipped: bool,
}

impl TestCase {
    fn of(job: &str, attempt: u32, told: &junit::Told<'_>) -> Self {
        Self {
            job: job.to_owned(),
            attempt,
            name: junit::short(told.name),
            took_ms: (told.seconds * 1000.0).round() as u64,
            message: told.failure.map(junit::short),
            skipped: told.skipped || told.not_run,
        }
    }
}

/// Memory for names of tests.
struct Room(usize);

impl Room {
    /// Whether so much more has room. After one that has none there is none for others either: what is told has no gaps.
    fn take(&mut self, bytes: usize) -> bool {
        let has_room = bytes <= self.0;
        self.0 = if has_room { self.0 - bytes } else { 0 };
        has_room
    }

    fn of_case(case: &TestCase) -> usize {
        size_of::<TestCase>() + case.job.len() + case.name.len() + case.message.as_ref().map_or(0, String::len)
    }
}

/// A test that failed and passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlakyTest {
    /// The job.
    pub job: String,
    /// The test's name.
    pub name: String,
    /// How often it failed.
    pub failed: usize,
    /// How often it ran.
    pub ran: usize,
}

/// How a test ended each time, the oldest first: of which code, and whether it failed.
#[derive(Default)]
struct Course(Vec<(String, bool)>);

impl Course {
    /// Whether a change of the code does not explain it: of the same code it passed and failed, or it changed its mind more than once.
    fn is_flaky(&self) -> bool {
        let changes = self.0.windows(2).filter(|two| two[0].1 != two[1].1).count();
        let mut by_code = BTreeMap::<&str, bool>::new();
        let of_one_code =
            self.0.iter().any(|(code, failed)| by_code.insert(code, *failed).is_some_and(|before| before != *failed));
        of_one_code || changes > 1
    }
}

impl Builds {
    /// The tests of a build, the `slowest` so many of them, and those of the last `last` builds of its repository that are flaky: up to this one.
    ///
    /// # Errors
    /// When journal or store can't be read, or a report is damaged.
    pub async fn tests(
        &self,
        store: &BlobStore,
        build: &str,
        slowest: usize,
        last: usize,
    ) -> Result<TestReports, BuildsError> {
        let blobs = self.blobs(store).await?;
        let mut reports = TestReports { build: build.to_owned(), ..TestReports::default() };
        let mut room = Room(MAX_NAMED);
        self.read_reports(&blobs, build, &mut |job, attempt, told| {
            reports.total += 1;
            reports.skipped += u64::from(told.skipped || told.not_run);
            let case = || TestCase::of(job, attempt, &told);
            if told.failure.is_some() {
                reports.failures += 1;
                reports.failed.extend(Some(case()).filter(|case| room.take(Room::of_case(case))));
            }
            let at = reports.slowest.partition_point(|slower| slower.took_ms as f64 >= told.seconds * 1000.0);
            if at < slowest {
                reports.slowest.insert(at, case());
                reports.slowest.truncate(slowest);
            }
        })
        .await?;
        let repository = build.rsplit_once('/').map_or(build, |(repository, _)| repository);
        let of_it = |id: &String| id.rsplit_once('/').is_some_and(|(other, _)| other == repository);
        let all = self.all().await?;
        let until = all.iter().position(|id| id == build).map_or(all.len(), |at| at + 1);
        let mut builds: Vec<&String> = all[..until].iter().rev().filter(|id| of_it(id)).take(last).collect();
        builds.reverse();
        let mut courses = BTreeMap::<(String, String), Course>::new();
        let mut room = Room(MAX_NAMED);
        for build in &builds {
            let code = self.code(build).await?;
            self.read_reports(&blobs, build, &mut |job, _, told| {
                if told.skipped || told.not_run {
                    return;
                }
                let of = (job.to_owned(), junit::short(told.name));
                let name = if courses.contains_key(&of) { 0 } else { size_of::<Course>() + of.0.len() + of.1.len() };
                if room.take(name + size_of::<(String, bool)>() + code.len()) {
                    courses.entry(of).or_default().0.push((code.clone(), told.failure.is_some()));
                } else {
                    reports.not_compared += 1;
                }
            })
            .await?;
        }
        reports.looked_at = builds.len();
        let flaky = courses.into_iter().filter(|(_, course)| course.is_flaky());
        reports.flaky = flaky
            .map(|((job, name), Course(course))| FlakyTest {
                job,
                name,
                failed: course.iter().filter(|(_, failed)| *failed).count(),
                ran: course.len(),
            })
            .collect();
        reports.flaky.sort_by_key(|test| std::cmp::Reverse(test.failed * 1000 / test.ran.max(1)));
        Ok(reports)
    }

    /// The tests of a build by name, of the last attempt of each job that has handed a report in, in the order of the jobs' ids.
    ///
    /// # Errors
    /// When the store can't be read, or a report is damaged.
    pub async fn test_cases(&self, store: &BlobStore, build: &str) -> Result<Tests, BuildsError> {
        self.test_cases_within(store, build, MAX_NAMED).await
    }

    pub(super) async fn test_cases_within(
        &self,
        store: &BlobStore,
        build: &str,
        most: usize,
    ) -> Result<Tests, BuildsError> {
        let blobs = self.blobs(store).await?;
        let mut tests = Tests::default();
        let mut room = Room(most);
        let mut last = None;
        self.read_reports(&blobs, build, &mut |job, attempt, told| {
            if last.as_ref().is_none_or(|(of, _)| of != job) {
                last = Some((job.to_owned(), attempt));
            } else if let Some((_, before)) = &mut last
                && *before < attempt
            {
                *before = attempt;
                let from = tests.cases.partition_point(|case| case.job.as_str() < job);
                tests.cases.drain(from..).for_each(|case| room.0 += Room::of_case(&case));
                tests.left_out.remove(job);
            }
            let case = TestCase::of(job, attempt, &told);
            if room.take(Room::of_case(&case)) {
                tests.cases.push(case);
            } else {
                *tests.left_out.entry(case.job).or_default() += 1;
            }
        })
        .await?;
        Ok(tests)
    }

    /// Reads the reports of a build one by one, in the order of jobs and attempts.
    async fn read_reports(
        &self,
        blobs: &Blobs,
        build: &str,
        each: &mut (dyn FnMut(&str, u32, Told<'_>) + Send),
    ) -> Result<(), BuildsError> {
        let below = names::test_reports(build);
        let mut found = Vec::new();
        for (name, _) in blobs.list(&below).await.map_err(ControllerError::from)? {
            found.extend(names::test_report_of(&below, &name).map(|of| (of, name)));
        }
        found.sort();
        for ((job, attempt), name) in found {
            // It may have been removed meanwhile.
            let Some(bytes) = blobs.get(&name).await.map_err(ControllerError::from)? else { continue };
            let bytes: Vec<bytes::Bytes> = bytes.try_collect().await.map_err(ControllerError::from)?;
            let damaged = |reason| BuildsError::Report { name: name.to_string(), reason };
            let bytes = bytes.concat();
            let xml = junit::decode(&bytes).map_err(damaged)?;
            junit::read(&xml, &mut |told| each(&job, attempt, told)).map_err(damaged)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_flaky_that_no_change_of_the_code_explains() {
        let course =
            |all: &[(&str, bool)]| Course(all.iter().map(|(code, failed)| ((*code).to_owned(), *failed)).collect());
        assert!(course(&[("a", true), ("a", false)]).is_flaky(), "an attempt passed after one that failed");
        assert!(course(&[("a", false), ("b", true), ("c", false)]).is_flaky());
        assert!(!course(&[("a", false), ("b", true), ("c", true)]).is_flaky(), "it was broken");
        assert!(!course(&[("a", true), ("b", false)]).is_flaky(), "it was mended");
    }
}
