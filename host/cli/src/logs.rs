//! `monkeyci-host logs`

use std::io::{IsTerminal, Write};

use anyhow::anyhow;
use monkeyci_api::{LogFrame, LogStream};
use monkeyci_controller::{LogsError, StoredLog, StoredLogs};

use crate::args::{LogsArgs, Stream};
use crate::exit::Exit;
use crate::progress::{Line, LineCutter, Style, print_log};
use crate::text::{colours, harmless, print_line};
use crate::{Done, setup};

/// Prints the stored logs of a build.
pub async fn logs(args: LogsArgs) -> Done {
    let home = setup::home(&args.stores.home).map_err(|error| (Exit::Infrastructure, error))?;
    let logs = StoredLogs::open(&home, &setup::blobs(&args.stores)).await.map_err(failed)?;
    let build = logs.find(&args.build).await.map_err(failed)?;
    let mut found = logs.of(&build).await.map_err(failed)?;
    if let Some(job) = &args.job {
        let all: Vec<_> = found.iter().filter_map(|log| log.job.clone()).collect();
        found.retain(|log| log.job.as_ref() == Some(job));
        if found.is_empty() {
            let which = if all.is_empty() { "none has".to_owned() } else { format!("these have: {}", all.join(", ")) };
            return Err((Exit::Usage, anyhow!("no job {job:?} of build {build} has a log; {which}")));
        }
    }
    let terminal = std::io::stdout().is_terminal();
    for log in &found {
        let mut printer: Box<dyn Printer> = match (args.json, &args.job) {
            (true, _) => Box::new(Json { log }),
            // What a program reads is what the job has written.
            (false, Some(_)) if !terminal => Box::new(Bytes),
            (false, named) => Box::new(Lines {
                job: log.job.as_deref().filter(|_| named.is_none()),
                style: Style { colours: colours(&std::io::stdout()) },
                cutter: LineCutter::default(),
            }),
        };
        let each = |frame: LogFrame| {
            if args.streams.is_empty() || args.streams.contains(&stream(&frame)) {
                printer.print(&frame);
            }
        };
        logs.read(log, each).await.map_err(failed)?;
        printer.finish();
    }
    Ok(Exit::Success)
}

fn stream(frame: &LogFrame) -> Stream {
    match frame.stream {
        LogStream::Stdout => Stream::Stdout,
        LogStream::Stderr => Stream::Stderr,
        LogStream::Host => Stream::Host,
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

struct Json<'a> {
    log: &'a StoredLog,
}

impl Printer for Json<'_> {
    fn print(&mut self, frame: &LogFrame) {
        print_log(&self.log.build, self.log.job.as_deref(), frame);
    }
}

struct Bytes;

impl Printer for Bytes {
    fn print(&mut self, frame: &LogFrame) {
        let _ = std::io::stdout().write_all(&frame.bytes);
    }

    fn finish(&mut self) {
        let _ = std::io::stdout().flush();
    }
}

struct Lines<'a> {
    /// The job, if lines have to say it.
    job: Option<&'a str>,
    style: Style,
    cutter: LineCutter,
}

impl Lines<'_> {
    fn show(&self, lines: Vec<String>) {
        for line in lines {
            let text = harmless(&line, self.style.colours);
            print_line(&self.style.prefixed(&Line { job: self.job.map(str::to_owned), text }));
        }
    }
}

impl Printer for Lines<'_> {
    fn print(&mut self, frame: &LogFrame) {
        let lines = self.cutter.push(None, frame);
        self.show(lines);
    }

    fn finish(&mut self) {
        let lines = self.cutter.finish(None);
        self.show(lines);
    }
}
