//! `monkeyci-host events`

use std::time::Duration;

use anyhow::anyhow;
use monkeyci_build::{Event, EventBody};

use super::{failed, find};
use crate::Done;
use crate::args::EventsArgs;
use crate::exit::Exit;
use crate::progress::{Hints, Line, Style, count, print_event};
use crate::text::{colours, duration, print_line};

/// How often a build that runs is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// After so many looks at which there was nothing new, it is looked whether the build still runs.
const QUIET: u32 = 5;

/// Prints the events of a build.
pub async fn events(args: EventsArgs) -> Done {
    let (builds, build) = find(&args.home, &args.build.build).await?;
    let style = Style { colours: colours(&std::io::stdout()) };
    let (mut last, mut began_ms, mut quiet) = (0, None, 0);
    loop {
        let events = builds.events_after(&build, last).await.map_err(failed)?;
        let is_new = !events.is_empty();
        for event in events {
            last = event.seq;
            let began_ms = *began_ms.get_or_insert(event.time_ms);
            match (args.json, event.body.is_shown()) {
                // These are for the host that goes on with the build.
                (_, false) => {}
                (true, true) => print_event(&build, &event),
                (false, true) => print_line(&text(style, &event, began_ms)),
            }
            if matches!(event.body, EventBody::BuildEnded { .. }) {
                return Ok(Exit::Success);
            }
        }
        quiet = if is_new { 0 } else { quiet + 1 };
        if is_new {
            continue;
        }
        if !args.follow {
            return Ok(Exit::Success);
        }
        if quiet % QUIET == 1 && !builds.is_live(&build).map_err(failed)? {
            // It may have ended since it was looked at.
            if builds.events_after(&build, last).await.map_err(failed)?.is_empty() {
                let resume = Hints::of(&args.home).resume(&build);
                let gone = anyhow!(
                    "the host of build {build} has died before its end: these are the events that it has written down; \
                     `{resume}` goes on with it"
                );
                return Err((Exit::Infrastructure, gone));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// An event in a line, or some: when, of which job, and what.
fn text(style: Style, event: &Event, began_ms: u64) -> String {
    let when = format!("{:>10}  ", duration(event.time_ms.saturating_sub(began_ms)));
    let line = match &event.body {
        EventBody::BuildEnded { status, jobs } => {
            let status = serde_json::json!(status);
            let text = format!("build ended: {} ({})", status.as_str().unwrap_or_default(), count(jobs.len(), "job"));
            Line { job: None, text }
        }
        body => style
            .event(event)
            .unwrap_or_else(|| Line { job: body.job().map(str::to_owned), text: style.paint("2", body.kind()) }),
    };
    let text = style.prefixed(&line);
    format!("{}{}", style.paint("2", &when), text.replace('\n', &format!("\n{}", " ".repeat(when.len()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_its_time_since_the_beginning_and_its_kind_where_there_are_no_words() {
        let style = Style { colours: false };
        let line = |time_ms, body| text(style, &Event { seq: 1, time_ms, body }, 1000);
        let job = || "unit".to_owned();
        let lines = [
            line(1000, EventBody::BuildTriggered { build: "o/r/19c-1".to_owned(), trigger: "cli".to_owned() }),
            line(3500, EventBody::JobStarted { job: job(), attempt: 1 }),
            line(3600, EventBody::JobResults { job: job(), attempt: 1, results: Box::default() }),
            line(3700, EventBody::JobBlocked { job: job(), attempt: 1, message: "go?".to_owned(), runs: None }),
            line(90_000, EventBody::BuildEnded { status: monkeyci_build::BuildStatus::Failure, jobs: Vec::new() }),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
              0 ms  build o/r/19c-1
             2.5 s  [unit] started
             2.6 s  [unit] job/results
             2.7 s  [unit] waits for approval: go?
        1 min 29 s  build ended: failure (0 jobs)
        ");
    }
}
