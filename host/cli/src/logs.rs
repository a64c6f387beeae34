//! `monkeyci-host logs`

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use anyhow::anyhow;
use monkeyci_api::{LogFrame, LogStream};
use monkeyci_controller::{LogsError, RunningBuild, StoredLogs};

use crate::args::{LogsArgs, Stream};
use crate::exit::Exit;
use crate::progress::{Line, LineCutter, Style, print_log};
use crate::text::{colours, harmless, print_line};
use crate::{Done, setup};

/// Prints the logs of a build.
pub async fn logs(args: LogsArgs) -> Done {
    let home = setup::home(&args.stores.home).map_err(|error| (Exit::Infrastructure, error))?;
    let logs = StoredLogs::open(&home, &setup::blobs(&args.stores)).await.map_err(failed)?;
    let build = match logs.find(&args.build).await {
        // What a build says first is shown before it is on the disk.
        Err(error @ LogsError::NoBuild { .. }) => match RunningBuild::find(&home, &args.build) {
            Ok(running) => running.id().to_owned(),
            Err(_) => return Err(failed(error)),
        },
        found => found.map_err(failed)?,
    };
    let running = if args.follow { RunningBuild::find(&home, &build).ok() } else { None };
    let mut out = Out { args: &args, build: &build, logs: BTreeMap::new() };
    if let Some(running) = running {
        match running.follow(args.job.as_deref(), |job, frame| out.print(job, frame)).await {
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
    if let Some(job) = &args.job {
        let all: Vec<_> = found.iter().filter_map(|log| log.job.clone()).collect();
        found.retain(|log| log.job.as_ref() == Some(job));
        if found.is_empty() {
            let which = if all.is_empty() { "none has".to_owned() } else { format!("these have: {}", all.join(", ")) };
            return Err((Exit::Usage, anyhow!("no job {job:?} of build {build} has a log; {which}")));
        }
    }
    for log in &found {
        let mut out = Out { args: &args, build: &build, logs: BTreeMap::new() };
        logs.read(log, |frame| out.print(log.job.as_deref(), &frame)).await.map_err(failed)?;
        out.finish();
    }
    if args.follow && !logs.is_over(&build).await.map_err(failed)? {
        let gone = anyhow!("the process of build {build} has gone before its end; this is what it had stored");
        return Err((Exit::Infrastructure, gone));
    }
    Ok(Exit::Success)
}

/// What has been printed of which log.
struct Out<'a> {
    args: &'a LogsArgs,
    build: &'a str,
    logs: BTreeMap<Option<String>, Box<dyn Printer>>,
}

impl Out<'_> {
    fn print(&mut self, job: Option<&str>, frame: &LogFrame) {
        let Self { args, build, logs } = self;
        let printer = logs.entry(job.map(str::to_owned)).or_insert_with(|| match (args.json, &args.job) {
            (true, _) => Box::new(Json { build: (*build).to_owned(), job: job.map(str::to_owned) }),
            // What a program reads is what the job has written.
            (false, Some(_)) if !std::io::stdout().is_terminal() => Box::new(Bytes),
            (false, named) => Box::new(Lines {
                job: job.filter(|_| named.is_none()).map(str::to_owned),
                style: Style { colours: colours(&std::io::stdout()) },
                cutter: LineCutter::default(),
            }),
        });
        let stream = stream(frame);
        let wanted = match (args.service, args.streams.is_empty()) {
            (true, _) if stream == Stream::Service => true,
            // A service may write far more than its job: who wants to see it says so. Programs get all.
            (false, true) => args.json || stream != Stream::Service,
            _ => args.streams.contains(&stream),
        };
        if wanted {
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
        LogsError::NoBuild { .. } | LogsError::Ambiguous { .. } => (Exit::Usage, error.into()),
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

struct Lines {
    /// The job, if lines have to say it.
    job: Option<String>,
    style: Style,
    cutter: LineCutter,
}

impl Lines {
    fn show(&self, lines: Vec<String>) {
        for line in lines {
            let text = harmless(&line, self.style.colours);
            print_line(&self.style.prefixed(&Line { job: self.job.clone(), text }));
        }
    }
}

impl Printer for Lines {
    fn print(&mut self, frame: &LogFrame) {
        let lines = self.cutter.push(None, frame);
        self.show(lines);
    }

    fn finish(&mut self) {
        let lines = self.cutter.finish(None);
        self.show(lines);
    }
}
