//! What has been seen of a build while it ran: how many jobs are done, the last lines of each, and how often each was tried.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use monkeyci_build::{Ending, Event, EventBody, JobSummary};
use monkeyci_controller::BuildReport;

use super::hints::Hints;
use super::inside::Inside;
use super::lines::{Style, one_line};
use crate::text::{harmless, now_ms};

/// A failed job is shown with so many of its last lines.
const SHOWN: usize = 20;
/// Of so many failed jobs the last lines are shown.
const JOBS: usize = 5;

/// What has been seen of a build.
#[derive(Debug, Default)]
pub struct Seen {
    jobs: usize,
    containers: HashSet<String>,
    running: usize,
    held: usize,
    blocked: usize,
    done: usize,
    failed: usize,
    where_is: HashMap<String, Place>,
    lines: HashMap<String, VecDeque<String>>,
    /// The last attempt of those that were tried more than once.
    attempts: BTreeMap<String, u32>,
}

/// Where a job is that is neither over nor only waiting for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Running,
    Held,
    Blocked,
}

impl Seen {
    /// Takes an event in.
    pub fn event(&mut self, event: &Event) {
        match &event.body {
            EventBody::ScriptDefined { jobs, .. } | EventBody::JobsSubmitted { jobs, .. } => {
                self.jobs += jobs.len();
                let containers = jobs.iter().filter(|job| job.container().is_some());
                self.containers.extend(containers.map(|job| job.id.clone()));
            }
            EventBody::JobBlocked { job, .. } => self.put(job, Some(Place::Blocked)),
            EventBody::JobApproved { job, .. } => self.put(job, None),
            EventBody::JobStarted { job, .. } => {
                // An attempt leaves nothing to the next one.
                self.lines.remove(job);
                self.put(job, Some(Place::Running));
            }
            EventBody::JobHeld { job, .. } => self.put(job, Some(Place::Held)),
            EventBody::JobContinued { job, .. } => self.put(job, Some(Place::Running)),
            EventBody::JobRetried { job, attempt, .. } => {
                self.attempts.insert(job.clone(), attempt.saturating_add(1));
                self.put(job, None);
            }
            EventBody::JobEnded { job, ending, .. } => {
                self.put(job, None);
                self.done += 1;
                if ending.status().is_failed() {
                    self.failed += 1;
                } else {
                    self.lines.remove(job);
                }
            }
            _ => {}
        }
    }

    fn put(&mut self, job: &str, place: Option<Place>) {
        let before = match place {
            Some(place) => self.where_is.insert(job.to_owned(), place),
            None => self.where_is.remove(job),
        };
        match before {
            Some(Place::Running) => self.running -= 1,
            Some(Place::Held) => self.held -= 1,
            Some(Place::Blocked) => self.blocked -= 1,
            None => {}
        }
        match place {
            Some(Place::Running) => self.running += 1,
            Some(Place::Held) => self.held += 1,
            Some(Place::Blocked) => self.blocked += 1,
            None => {}
        }
    }

    /// Whether a job runs in a container.
    pub fn is_container(&self, job: &str) -> bool {
        self.containers.contains(job)
    }

    /// Takes a line of a job's log in.
    pub fn line(&mut self, job: &str, line: &str) {
        let lines = self.lines.entry(job.to_owned()).or_default();
        if lines.len() == SHOWN {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    /// How far the build is, in a line; nothing before its jobs are known.
    pub fn counts(&self) -> String {
        let Self { jobs, running, held, blocked, done, failed, .. } = self;
        if *jobs == 0 {
            return String::new();
        }
        let waiting = jobs.saturating_sub(done + running + held + blocked);
        let parts = [
            (*failed, "failed"),
            (*running, "running"),
            (*held, "held"),
            (*blocked, "wait for approval"),
            (waiting, "waiting"),
        ];
        let parts = parts.into_iter().filter(|(number, _)| *number > 0);
        let parts: String = parts.map(|(number, what)| format!(", {number} {what}")).collect();
        format!("{done} of {jobs} jobs done{parts}")
    }

    /// The last lines of each job that failed.
    pub fn last_lines(&self, style: Style, report: &BuildReport, inside: Inside) -> String {
        let mut text = String::new();
        let failed: Vec<&JobSummary> = failed(report).collect();
        for (number, job) in failed.iter().enumerate().take(JOBS) {
            text.push_str(&inside.error(&job.job, &job.ending.to_string()));
            let Some(lines) = self.lines.get(&job.job).filter(|lines| !lines.is_empty()) else { continue };
            let why = one_line(job.ending.to_string().lines().next().unwrap_or_default());
            let title = format!("{}: {why}; its last lines:", style.paint("1;31", &harmless(&job.job, false)));
            let lines = lines.iter().map(|line| format!("  | {}\n", harmless(line, style.colours)));
            text.push_str(&format!("\n{}", inside.folded(number, &title, &lines.collect::<String>(), now_ms())));
        }
        if failed.len() > JOBS {
            text.push_str(&format!("\n… and {} more jobs failed\n", failed.len() - JOBS));
        }
        text
    }

    /// What comes after the summary: which jobs were tried again, and the commands that say more.
    pub fn after(&self, report: &BuildReport, hints: &Hints) -> String {
        let mut text = String::new();
        if !self.attempts.is_empty() {
            let jobs = self.attempts.iter().map(|(job, attempts)| format!("{} {attempts} times", harmless(job, false)));
            text.push_str(&format!("tried more than once: {}\n", jobs.collect::<Vec<_>>().join(", ")));
        }
        let manual = report.jobs.iter().filter(|job| job.ending == Ending::Manual);
        for job in manual.take(JOBS) {
            let (name, start) = (harmless(&job.job, false), hints.start(&report.build, &job.job));
            text.push_str(&format!("{name} is not started; {start}\n"));
        }
        let commands =
            hints.failed(&report.build, failed(report).map(|job| (job.job.as_str(), job.ending.reused_from())));
        if !commands.is_empty() {
            // With `keep`, all containers are there.
            let has_kept = |job: &str| match report.kept {
                Some(_) => self.is_container(job),
                None => report.kept_jobs.iter().any(|kept| kept == job),
            };
            let kept = failed(report).map(|job| job.job.as_str()).filter(|job| has_kept(job)).take(JOBS);
            for command in commands.into_iter().chain(hints.kept(&report.build, kept)) {
                text.push_str(&format!("  {command}\n"));
            }
            text.push_str(&format!("  {}\n", hints.rerun(&report.build)));
            text.push_str(&format!("  {}\n", hints.command(&["show", super::short(&report.build)])));
        } else if report.kept.is_some() {
            // None failed: whoever keeps them all wants to look into one that went well.
            let ran = report.jobs.iter().filter(|job| job.duration_ms.is_some() && job.ending.reused_from().is_none());
            let ran = ran.map(|job| job.job.as_str()).filter(|job| self.is_container(job)).take(JOBS);
            for command in hints.kept(&report.build, ran) {
                text.push_str(&format!("  {command}\n"));
            }
        }
        text
    }
}

fn failed(report: &BuildReport) -> impl Iterator<Item = &JobSummary> {
    report.jobs.iter().filter(|job| job.ending.status().is_failed())
}

#[cfg(test)]
mod tests {
    use monkeyci_build::{BuildStatus, JobDraft, check};

    use super::*;

    fn exited() -> Ending {
        Ending::Exited { code: 1, line: None }
    }

    fn saw(bodies: Vec<EventBody>) -> Seen {
        let mut seen = Seen::default();
        for body in bodies {
            seen.event(&Event { seq: 1, time_ms: 0, body });
        }
        seen
    }

    fn started(job: &str, attempt: u32) -> EventBody {
        EventBody::JobStarted { job: job.to_owned(), attempt }
    }

    fn ended(job: &str, ending: Ending) -> EventBody {
        EventBody::JobEnded { job: job.to_owned(), attempt: 1, ending }
    }

    #[test]
    fn jobs_are_counted_by_where_they_are() {
        let mut drafts = ["a", "b", "c", "d", "e"].map(JobDraft::action);
        drafts[4] = JobDraft {
            image: Some("debian:12".to_owned()),
            argv: Some(vec!["true".to_owned()]),
            ..JobDraft::container("e")
        };
        let jobs = check(&drafts, &[]).expect("no faults").graph.jobs().to_vec();
        let defined = EventBody::ScriptDefined { jobs, removed: Vec::new(), params: Vec::new() };
        let message = "go?".to_owned();
        let blocked = EventBody::JobBlocked { job: "d".to_owned(), attempt: 1, message, runs: None };
        let retried = EventBody::JobRetried { job: "b".to_owned(), attempt: 1, ending: exited(), delay_ms: 0 };
        let held = Box::new(monkeyci_build::Held::Failure { ending: exited() });
        let held = EventBody::JobHeld { job: "b".to_owned(), attempt: 1, number: 1, held, limit_ms: 1 };
        let continued = EventBody::JobContinued { job: "b".to_owned(), attempt: 1, by: "ann".to_owned() };
        assert_eq!(Seen::default().counts(), "");
        let first = vec![defined, started("a", 1), started("b", 1), ended("a", exited()), blocked];
        assert_eq!(
            saw(first.clone()).counts(),
            "1 of 5 jobs done, 1 failed, 1 running, 1 wait for approval, 2 waiting"
        );
        assert_eq!(["a", "e"].map(|job| saw(first.clone()).is_container(job)), [false, true]);
        let while_held = first.iter().cloned().chain([held.clone()]).collect();
        assert_eq!(saw(while_held).counts(), "1 of 5 jobs done, 1 failed, 1 held, 1 wait for approval, 2 waiting");
        let first: Vec<_> = first.into_iter().chain([held, continued]).collect();
        let approved = EventBody::JobApproved { job: "d".to_owned(), attempt: 1, by: "ann".to_owned(), comment: None };
        let later = [retried, approved, started("b", 2), ended("b", Ending::Succeeded)];
        let seen = saw(first.into_iter().chain(later).collect());
        assert_eq!(seen.counts(), "2 of 5 jobs done, 1 failed, 3 waiting");
    }

    #[test]
    fn a_build_that_succeeded_and_was_kept_ends_with_what_enters_its_containers() {
        let draft = |id: &str| JobDraft {
            image: Some("debian:12".to_owned()),
            argv: Some(vec!["true".to_owned()]),
            ..JobDraft::container(id)
        };
        let drafts = [draft("unit"), draft("late"), JobDraft::action("act")];
        let jobs = check(&drafts, &[]).expect("no faults").graph.jobs().to_vec();
        let seen = saw(vec![EventBody::ScriptDefined { jobs, removed: Vec::new(), params: Vec::new() }]);
        let job = |job: &str, duration_ms| JobSummary {
            job: job.to_owned(),
            ending: Ending::Succeeded,
            duration_ms,
            results: None,
        };
        let mut report = BuildReport::new("o/r/19c-1".to_owned(), BuildStatus::Success);
        report.jobs = vec![job("unit", Some(1)), job("late", None), job("act", Some(1))];
        assert_eq!(seen.after(&report, &Hints::default()), "");
        report.kept = Some("/home/run/x".into());
        assert_eq!(seen.after(&report, &Hints::default()), "  monkeyci-host shell 19c-1 unit\n");
    }

    #[test]
    fn a_failed_build_ends_with_the_last_lines_of_what_failed_and_the_commands_that_say_more() {
        let mut seen = saw(vec![started("unit", 1)]);
        seen.line("unit", "of the first attempt");
        let retried = EventBody::JobRetried { job: "unit".to_owned(), attempt: 1, ending: exited(), delay_ms: 0 };
        for body in [retried, started("unit", 2), started("lint", 1)] {
            seen.event(&Event { seq: 1, time_ms: 0, body });
        }
        (0..30).for_each(|number| seen.line("unit", &format!("line {number} \x1b[2J")));
        seen.line("lint", "all is well");
        for body in [ended("unit", exited()), ended("lint", Ending::Succeeded)] {
            seen.event(&Event { seq: 1, time_ms: 0, body });
        }
        let job = |job: &str, ending| JobSummary { job: job.to_owned(), ending, duration_ms: Some(1), results: None };
        let mut report = BuildReport::new("o/r/19c-1".to_owned(), BuildStatus::Failure);
        report.jobs = vec![job("unit", exited()), job("lint", Ending::Succeeded)];
        report.duration_ms = 1;
        let lines = seen.last_lines(Style { colours: false }, &report, Inside::Nothing);
        let shown: Vec<&str> = lines.lines().collect();
        assert_eq!(
            (shown.len(), shown[1], shown[2]),
            (22, "unit: exited with code 1; its last lines:", "  | line 10 ")
        );
        assert_eq!(shown[21], "  | line 29 ");
        let github = seen.last_lines(Style { colours: false }, &report, Inside::GitHub);
        assert!(github.starts_with("::error title=unit::exited with code 1\n\n::group::unit: exited"), "{github}");
        insta::assert_snapshot!(seen.after(&report, &Hints::default()), @r"
        tried more than once: unit 2 times
          monkeyci-host logs 19c-1 unit
          monkeyci-host rerun 19c-1 --failed
          monkeyci-host show 19c-1
        ");
    }
}
