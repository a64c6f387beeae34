//! The exact commands that come next.

use std::path::PathBuf;

use monkeyci_build::{Event, EventBody};
use monkeyci_controller::{BuildRecord, Standing};

use crate::args::{EngineArgs, HomeArgs};
use crate::text::quoted;

/// Says which commands come next, for the home that this one was given.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// The option that names the home, where one was given.
    home: Vec<String>,
    /// The option that names the engine, where one was given.
    engine: Vec<String>,
}

impl Hints {
    /// For the home that these arguments name.
    pub fn of(home: &HomeArgs) -> Self {
        // Whoever types the command may be in another directory.
        let whole = |home: &PathBuf| std::path::absolute(home).unwrap_or_else(|_| home.clone());
        let given = home.home.as_ref().map(|home| whole(home).display().to_string());
        Self { home: given.map_or_else(Vec::new, |home| vec!["--home".to_owned(), home]), engine: Vec::new() }
    }

    /// The same, for the engine that was given.
    pub fn on(self, engine: &EngineArgs) -> Self {
        let given = (engine.engine != EngineArgs::default().engine).then(|| engine.engine.clone());
        Self { engine: given.map_or_else(Vec::new, |engine| vec!["--engine".to_owned(), engine]), ..self }
    }

    /// A command of this program, as a shell takes it.
    pub fn command(&self, words: &[&str]) -> String {
        let own = words.iter().copied().chain(self.home.iter().map(String::as_str));
        std::iter::once("monkeyci-host".to_owned()).chain(own.map(quoted)).collect::<Vec<_>>().join(" ")
    }

    /// What a person may do about an event.
    pub fn event(&self, build: &str, event: &Event) -> Option<String> {
        match &event.body {
            EventBody::JobBlocked { job, .. } => Some(self.approve(build, job)),
            EventBody::JobHeld { job, .. } => Some(self.held(build, job)),
            _ => None,
        }
    }

    /// How a job that is held is looked into, and let go on.
    pub fn held(&self, build: &str, job: &str) -> String {
        let inside = self.kept(build, std::iter::once(job)).concat();
        format!("look into it: {inside}\nlet it go on: {}", self.command(&["debug", short(build), job, "--continue"]))
    }

    /// How a job is approved.
    pub fn approve(&self, build: &str, job: &str) -> String {
        format!("approve it: {}   (or add --reject)", self.command(&["approve", short(build), job]))
    }

    /// How to look at a build of which these jobs failed; each with the build that it is reused from, if it is.
    pub fn failed<'a>(&self, build: &str, jobs: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Vec<String> {
        const SHOWN: usize = 5;
        let build = short(build);
        let jobs: Vec<_> = jobs.collect();
        // Its log is where it ran.
        let logs = jobs.iter().take(SHOWN).map(|(job, from)| self.command(&["logs", from.map_or(build, short), job]));
        let mut commands: Vec<String> = logs.collect();
        if jobs.len() > SHOWN {
            commands.push(self.command(&["logs", build, "--failed"]));
        }
        commands
    }

    /// How to look into the containers of failed jobs that were kept.
    pub fn kept<'a>(&self, build: &str, jobs: impl Iterator<Item = &'a str>) -> Vec<String> {
        jobs.map(|job| self.on_engine(&["shell", short(build), job])).collect()
    }

    /// How a build that has lost its host is gone on with.
    pub fn resume(&self, build: &str) -> String {
        self.on_engine(&["resume", short(build)])
    }

    /// How a build is stopped, and what it has left removed.
    pub fn cancel(&self, build: &str) -> String {
        self.on_engine(&["cancel", short(build)])
    }

    /// How all that was kept is removed.
    pub fn remove_kept(&self) -> String {
        self.on_engine(&["gc", "--kept"])
    }

    /// A command that needs the engine.
    fn on_engine(&self, words: &[&str]) -> String {
        self.command(&words.iter().copied().chain(self.engine.iter().map(String::as_str)).collect::<Vec<_>>())
    }

    /// What to do with a build that is looked at.
    pub fn next(&self, record: &BuildRecord) -> Vec<String> {
        let failed = record.jobs.iter().filter(|job| job.has_failed());
        let with_builds = failed.clone().map(|job| (job.job.as_str(), job.reused_from.as_deref()));
        let mut commands = self.failed(&record.build, with_builds);
        // What a service has written is not in the log of its job, unless one asks for it.
        if let Some(job) = failed.clone().find(|job| !job.services.is_empty() && !job.attempts.is_empty()) {
            commands.push(self.command(&["logs", short(&record.build), &job.job, "--service"]));
        }
        if failed.flat_map(|job| &job.results.tests).any(|tests| tests.failed > 0) {
            commands.push(self.command(&["tests", short(&record.build)]));
        }
        if !commands.is_empty() && record.status != Standing::Running {
            commands.push(self.rerun(&record.build));
        }
        commands
    }

    /// How a manual job is started.
    pub fn start(&self, build: &str, job: &str) -> String {
        format!("start it: {}", self.command(&["rerun", short(build), "--from", job]))
    }

    /// How to run again what failed.
    pub fn rerun(&self, build: &str) -> String {
        self.command(&["rerun", short(build), "--failed"])
    }
}

/// What names a build shortly: the last part of its id.
pub fn short(build: &str) -> &str {
    build.rsplit_once('/').map_or(build, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_what_a_shell_takes_and_names_the_home_that_was_given() {
        let none = Hints::default();
        assert_eq!(none.command(&["logs", "19c-1", "unit"]), "monkeyci-host logs 19c-1 unit");
        let hints = Hints::of(&HomeArgs { home: Some("it's here".into()) });
        let command = hints.command(&["show", "a b"]);
        assert!(command.starts_with("monkeyci-host show 'a b' --home '/"), "{command}");
        assert!(command.ends_with(r"/it'\''s here'"), "{command}");
        let blocked =
            EventBody::JobBlocked { job: "deploy".to_owned(), attempt: 1, message: "go?".to_owned(), runs: None };
        let hint = none.event("o/r/19c-1", &Event { seq: 1, time_ms: 0, body: blocked });
        assert_eq!(hint.as_deref(), Some("approve it: monkeyci-host approve 19c-1 deploy   (or add --reject)"));
    }

    #[test]
    fn a_job_that_is_held_comes_with_the_commands_that_enter_it_and_let_it_go_on() {
        let held = Box::new(monkeyci_build::Held::Failure { ending: monkeyci_build::Ending::Killed { code: 137 } });
        let body = EventBody::JobHeld { job: "unit".to_owned(), attempt: 1, number: 1, held, limit_ms: 1 };
        let engine = EngineArgs { engine: "podman".to_owned(), ..EngineArgs::default() };
        let hint = Hints::default().on(&engine).event("o/r/19c-1", &Event { seq: 1, time_ms: 0, body });
        let lines: Vec<String> = hint.iter().flat_map(|hint| hint.lines()).map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "look into it: monkeyci-host shell 19c-1 unit --engine podman",
                "let it go on: monkeyci-host debug 19c-1 unit --continue"
            ]
        );
    }

    #[test]
    fn of_many_failed_jobs_some_are_named_and_one_command_has_all() {
        let jobs: Vec<String> = (0..9).map(|number| format!("job-{number}")).collect();
        let commands = Hints::default().failed("o/r/1", jobs.iter().map(|job| (job.as_str(), None)));
        assert_eq!((commands.len(), commands[5].as_str()), (6, "monkeyci-host logs 1 --failed"));
    }
}
