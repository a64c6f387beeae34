//! `monkeyci-host logs`

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};

use anyhow::{Context, anyhow};
use monkeyci_api::{LogFrame, LogStream};
use monkeyci_controller::{BuildRecord, BuildsError, JobRecord, LogsError, RunningBuild, StoredLogs};
use regex_automata::meta::Regex;

use crate::args::{LogsArgs, Stream};
use crate::exit::Exit;
use crate::progress::{Hints, Line, LineCutter, Style, one_line, print_log, short};
use crate::text::{colours, did_you_mean, harmless, print_line};
use crate::{Done, builds, setup};

/// What the log of `define` is called.
const DEFINE: &str = "define";

/// Prints the logs of a build.
pub async fn logs(args: LogsArgs) -> Done {
    let (builds, build) = match builds::find(&args.stores.home, &args.build.build).await {
        Err((exit, error)) => return Err((exit, with_job(&args, error).await)),
        Ok(found) => found,
    };
    let logs = StoredLogs::open(builds.home(), &setup::blobs(&args.stores)).await.map_err(failed)?;
    let record = builds.record(&build).await.map_err(builds::failed)?;
    let wanted = Wanted::new(&args, &record)?;
    let mut out = Out { args: &args, build: &build, wanted: &wanted, logs: BTreeMap::new() };
    let running = if args.follow { RunningBuild::find(builds.home(), &build).ok() } else { None };
    if let Some(running) = running {
        match running.follow(wanted.job(), |job, frame| out.print(job, frame)).await {
            Ok(()) if !out.logs.is_empty() => {
                out.finish();
                return Ok(Exit::Success);
            }
            // Its process may have gone between, or long ago: what it has stored says more.
            Err(error) if !out.logs.is_empty() => {
                out.finish();
                let over = logs.is_over(&build).await.map_err(failed)?;
                return if over { Ok(Exit::Success) } else { Err((Exit::Infrastructure, error.into())) };
            }
            _ => {}
        }
    }
    let mut found = logs.of(&build).await.map_err(failed)?;
    let all: Vec<String> = found.iter().filter_map(|log| log.job.clone()).collect();
    found.retain(|log| wanted.wants(log.job.as_deref()));
    if let Some(job) = args.job.as_ref().filter(|_| found.is_empty()) {
        return without_log(&record, job, &all);
    }
    for log in &found {
        let mut out = Out { args: &args, build: &build, wanted: &wanted, logs: BTreeMap::new() };
        logs.read(log, |frame| out.print(log.job.as_deref(), &frame)).await.map_err(failed)?;
        out.finish();
    }
    if args.job.is_none() && !args.json {
        let ran = |job: &JobRecord| !job.attempts.is_empty() && wanted.wants(Some(&job.job));
        if found.is_empty() && record.jobs.iter().any(ran) {
            note(&format!("there are no logs: no job has said anything, or {NOT_BROUGHT}"));
        }
        for job in record.jobs.iter().filter(|job| job.attempts.is_empty() && wanted.wants(Some(&job.job))) {
            note(&did_not_run(job));
        }
    }
    if args.follow && !logs.is_over(&build).await.map_err(failed)? {
        let gone = anyhow!("the process of build {build} has gone before its end; this is what it had stored");
        return Err((Exit::Infrastructure, gone));
    }
    Ok(Exit::Success)
}

/// That there is no such build; and where a job of the newest one is called so, what prints its log.
async fn with_job(args: &LogsArgs, error: anyhow::Error) -> anyhow::Error {
    let name = &args.build.build;
    let is_no_build = matches!(error.downcast_ref::<BuildsError>(), Some(BuildsError::NoBuild { .. }));
    if args.job.is_some() || !is_no_build || !is_job_of_the_newest(args, name).await {
        return error;
    }
    let command = Hints::of(&args.stores.home).command(&["logs", "latest", name]);
    anyhow!("{error}; {name:?} is a job of the newest build: `{command}` prints its log")
}

async fn is_job_of_the_newest(args: &LogsArgs, name: &str) -> bool {
    let Ok((builds, latest)) = builds::find(&args.stores.home, "latest").await else { return false };
    builds.record(&latest).await.is_ok_and(|record| record.job(name).is_some())
}

/// A word beside the log, which is no part of it.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", harmless(text, false));
}

/// Why there is no log of a job.
fn did_not_run(job: &JobRecord) -> String {
    let why = match (&job.waits_for, &job.why) {
        (Some(message), _) => format!("it waits for approval: {}", one_line(message)),
        (None, Some(why)) => match &job.reused_from {
            Some(from) => format!("{}; see `monkeyci-host logs {} {}`", one_line(why), short(from), job.job),
            None => one_line(why),
        },
        (None, None) => "its turn has not come".to_owned(),
    };
    format!("{} did not run: {why}", job.job)
}

/// Why a build that a bundle has brought has no logs.
const NOT_BROUGHT: &str = "the build was imported, and its logs are in the home where it ran";

/// Says why there is no log of the job that was asked for.
fn without_log(record: &BuildRecord, name: &str, all: &[String]) -> Done {
    let build = &record.build;
    if let Some(removed) = record.removed.iter().find(|removed| removed.job == name) {
        note(&format!("{name} was removed: {}", one_line(&removed.reason)));
        return Ok(Exit::Success);
    }
    if let Some(job) = record.job(name) {
        let said = match job.attempts.is_empty() {
            true => did_not_run(job),
            false => format!("there is no log of {name}: it has said nothing, or {NOT_BROUGHT}"),
        };
        note(&said);
        return Ok(Exit::Success);
    }
    if name == DEFINE {
        note(&format!("there is no log of the script: it said nothing while it declared its jobs, or {NOT_BROUGHT}"));
        return Ok(Exit::Success);
    }
    let jobs = record.jobs.iter().map(|job| job.job.as_str());
    let hint = did_you_mean(name, jobs);
    let which = if all.is_empty() { "none has".to_owned() } else { format!("these have: {}", all.join(", ")) };
    Err((Exit::Usage, anyhow!("no job {name:?} of build {build} has a log; {which}{hint}")))
}

/// Which logs are wanted, and what of them.
struct Wanted {
    /// The only log that is wanted, if it is one: of a job, or with `None` of `define`.
    only: Option<Option<String>>,
    /// The only jobs that are wanted, if not all are.
    jobs: Option<BTreeSet<String>>,
    /// When the attempt of each job began that is wanted, and when the next one did.
    attempts: Option<BTreeMap<String, (u64, u64)>>,
    /// When the attempts began of jobs that were tried more than once.
    began: BTreeMap<String, Vec<u64>>,
    grep: Option<Regex>,
}

impl Wanted {
    fn new(args: &LogsArgs, record: &BuildRecord) -> Result<Self, (Exit, anyhow::Error)> {
        // A job may be called so too: then that is meant.
        let only = |job: &String| (job != DEFINE || record.job(DEFINE).is_some()).then(|| job.clone());
        let failed = || record.jobs.iter().filter(|job| job.has_failed()).map(|job| job.job.clone()).collect();
        let attempts = args.attempt.map(|wanted| {
            let of = |job: &JobRecord| {
                let began = job.attempts.iter().find(|attempt| attempt.attempt == wanted)?.started_ms;
                let next = job.attempts.iter().find(|attempt| attempt.attempt > wanted);
                Some((job.job.clone(), (began, next.map_or(u64::MAX, |next| next.started_ms))))
            };
            record.jobs.iter().filter_map(of).collect::<BTreeMap<_, _>>()
        });
        if let (Some(attempts), Some(wanted), Some(job)) = (&attempts, args.attempt, &args.job)
            && !attempts.contains_key(job)
        {
            let made = record.job(job).map_or(0, |job| job.attempts.len());
            return Err((Exit::Usage, anyhow!("{job:?} has no attempt {wanted}; it was tried {made} times")));
        }
        let regex = args
            .grep
            .as_ref()
            .map(|text| Regex::new(text).with_context(|| format!("--grep {text:?} is no regular expression")));
        let began = record.jobs.iter().filter(|job| job.attempts.len() > 1);
        Ok(Self {
            only: args.job.as_ref().map(only),
            jobs: args.failed.then(failed),
            attempts,
            began: began.map(|job| (job.job.clone(), job.attempts.iter().map(|it| it.started_ms).collect())).collect(),
            grep: regex.transpose().map_err(|error| (Exit::Usage, error))?,
        })
    }

    /// The job whose log is the only one that is wanted.
    fn job(&self) -> Option<&str> {
        self.only.as_ref().and_then(Option::as_deref)
    }

    fn wants(&self, job: Option<&str>) -> bool {
        let is_one = self.only.as_ref().is_none_or(|only| only.as_deref() == job);
        let listed = |jobs: &BTreeSet<String>| job.is_some_and(|job| jobs.contains(job));
        let tried = |attempts: &BTreeMap<String, _>| job.is_none_or(|job| attempts.contains_key(job));
        is_one && self.jobs.as_ref().is_none_or(listed) && self.attempts.as_ref().is_none_or(tried)
    }

    /// Whether what was said at this time is of the attempt that is wanted.
    fn wants_at(&self, job: Option<&str>, time_ms: u64) -> bool {
        let (Some(attempts), Some(job)) = (&self.attempts, job) else { return true };
        attempts.get(job).is_some_and(|(began, next)| (*began..*next).contains(&time_ms))
    }

    /// The attempt, from 1, that said something of a job at this time; `None` if there was only one.
    fn attempt(&self, job: &str, time_ms: u64) -> Option<usize> {
        let began = self.began.get(job)?;
        Some(began.partition_point(|began| *began <= time_ms).max(1))
    }

    fn wants_line(&self, line: &str) -> bool {
        self.grep.as_ref().is_none_or(|regex| regex.is_match(line))
    }
}

/// What has been printed of which log.
struct Out<'a> {
    args: &'a LogsArgs,
    build: &'a str,
    wanted: &'a Wanted,
    logs: BTreeMap<Option<String>, Box<dyn Printer + 'a>>,
}

impl Out<'_> {
    fn print(&mut self, job: Option<&str>, frame: &LogFrame) {
        let Self { args, build, wanted, logs } = self;
        let wanted: &Wanted = wanted;
        if !wanted.wants(job) || !wanted.wants_at(job, frame.time_ms) {
            return;
        }
        let printer = logs.entry(job.map(str::to_owned)).or_insert_with(|| match (args.json, &args.job) {
            (true, _) => Box::new(Json { build: (*build).to_owned(), job: job.map(str::to_owned) }),
            // What a program reads is what the job has written.
            (false, Some(_)) if wanted.grep.is_none() && !std::io::stdout().is_terminal() => Box::new(Bytes),
            (false, named) => Box::new(Lines {
                prefix: named.is_none().then(|| job.unwrap_or(DEFINE).to_owned()),
                job: job.unwrap_or(DEFINE).to_owned(),
                attempt: None,
                style: Style { colours: colours(&std::io::stdout()) },
                cutter: LineCutter::default(),
                wanted,
            }),
        });
        let stream = stream(frame);
        let is_wanted = match (args.service, args.streams.is_empty()) {
            (true, _) if stream == Stream::Service => true,
            // A service may write far more than its job: who wants to see it says so. Programs get all.
            (false, true) => args.json || stream != Stream::Service,
            _ => args.streams.contains(&stream),
        };
        if is_wanted {
            printer.print(frame);
        }
    }

    fn finish(&mut self) {
        self.logs.values_mut().for_each(|printer| printer.finish());
    }
}

fn stream(frame: &LogFrame) -> Stream {
    match frame.stream {
        LogStream::Stdout => Stream::Stdout,
        LogStream::Stderr => Stream::Stderr,
        LogStream::Host => Stream::Host,
        LogStream::Service => Stream::Service,
    }
}

fn failed(error: LogsError) -> (Exit, anyhow::Error) {
    match error {
        LogsError::Store(error) => setup::not_opened(error),
        LogsError::Damaged { .. } => (Exit::Infrastructure, error.into()),
    }
}

/// A form of output. A reader that has gone (`| head`) is no reason to fail.
trait Printer {
    fn print(&mut self, frame: &LogFrame);
    fn finish(&mut self) {}
}

struct Json {
    build: String,
    job: Option<String>,
}

impl Printer for Json {
    fn print(&mut self, frame: &LogFrame) {
        print_log(&self.build, self.job.as_deref(), frame);
    }
}

struct Bytes;

impl Printer for Bytes {
    fn print(&mut self, frame: &LogFrame) {
        let mut out = std::io::stdout();
        // At once: somebody may be waiting for it.
        let _ = out.write_all(&frame.bytes).and_then(|()| out.flush());
    }
}

struct Lines<'a> {
    job: String,
    /// The job, if lines have to say it.
    prefix: Option<String>,
    /// The attempt whose log is being printed.
    attempt: Option<usize>,
    style: Style,
    cutter: LineCutter,
    wanted: &'a Wanted,
}

impl Lines<'_> {
    fn show(&self, lines: Vec<String>) {
        for line in lines {
            if !self.wanted.wants_line(&line) {
                continue;
            }
            let text = harmless(&line, self.style.colours);
            self.line(text);
        }
    }

    fn line(&self, text: String) {
        print_line(&self.style.prefixed(&Line { job: self.prefix.clone(), text }));
    }
}

impl Printer for Lines<'_> {
    fn print(&mut self, frame: &LogFrame) {
        let attempt = self.wanted.attempt(&self.job, frame.time_ms);
        if let Some(now) = attempt.filter(|_| attempt != self.attempt && self.wanted.grep.is_none()) {
            self.finish();
            self.line(self.style.paint("2", &format!("(attempt {now})")));
        }
        self.attempt = attempt;
        let lines = self.cutter.push(None, frame);
        self.show(lines);
    }

    fn finish(&mut self) {
        let lines = self.cutter.finish(None);
        self.show(lines);
    }
}
