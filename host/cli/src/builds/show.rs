//! `monkeyci-host show`

use monkeyci_build::{Ending, RequestedSource, Status};
use monkeyci_controller::{BuildRecord, JobRecord, Standing};

use super::{failed, find, plain, standing, table};
use crate::Done;
use crate::args::ShowArgs;
use crate::exit::Exit;
use crate::progress::{Hints, Style, beginning, checked_out, one_line, said};
use crate::text::{self, ago, colours, duration, harmless, now_ms, print_line, print_text, size, utc};

/// Shows all that is known of a build.
pub async fn show(args: ShowArgs) -> Done {
    let (builds, build) = find(&args.home, &args.build.build).await?;
    let record = builds.record(&build).await.map_err(failed)?;
    if args.json {
        print_line(&serde_json::json!(record).to_string());
    } else {
        let style = Style { colours: colours(&std::io::stdout()) };
        print_text(&text(style, &record, now_ms(), &Hints::of(&args.home)));
    }
    Ok(Exit::Success)
}

fn text(style: Style, record: &BuildRecord, now_ms: u64, hints: &Hints) -> String {
    let (colour, word) = standing(record.status);
    let took = match (record.status, record.began_ms) {
        (Standing::Running, Some(began)) => format!(" for {}", duration(now_ms.saturating_sub(began))),
        (Standing::Lost, _) => ": its host has died".to_owned(),
        _ => format!(" after {}", duration(record.took_ms())),
    };
    let build = harmless(&record.build, false);
    let mut text = format!("build {build}: {}{took}\n", style.paint(colour, word));
    text.push_str(&table(style, &facts(record, now_ms), &[]));
    if !record.jobs.is_empty() || !record.removed.is_empty() {
        text.push_str(&format!("\n{}", jobs(style, record, now_ms, hints)));
    }
    let mut block = |lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{}\n", lines.join("\n")));
        }
    };
    let labelled = |label: &str, all: &[String]| -> Vec<String> {
        let lines = all.iter().flat_map(|one| one.lines());
        lines.map(|line| format!("{label}{}", harmless(line, false))).collect()
    };
    block(labelled("report: ", &record.reports));
    block(labelled(&format!("{} ", style.paint("33", "warning:")), &record.warnings));
    let failure: Vec<String> = record.failure.iter().cloned().collect();
    block(labelled(&format!("{} ", style.paint("31", "error:")), &failure));
    let mut next = hints.next(record);
    if record.status == Standing::Lost {
        next.push(hints.command(&["resume", crate::progress::short(&record.build)]));
    }
    block(next.into_iter().map(|command| format!("  {command}")).collect());
    text
}

/// What there is to say of the build as a whole: a word, and what it stands for.
fn facts(record: &BuildRecord, now_ms: u64) -> Vec<Vec<super::Cell>> {
    let mut rows = Vec::new();
    let mut row = |what: &str, text: String| rows.push(vec![(format!("  {what}"), "2"), plain(text)]);
    if let Some(source) = &record.source {
        row("code", checked_out(source).trim_start_matches("checked out").trim_start_matches([' ', ':']).to_owned());
    }
    match &record.from {
        Some(RequestedSource::Dir { path }) => row("from", harmless(path, false)),
        Some(RequestedSource::Git { url, .. }) => row("from", harmless(url, false)),
        None => {}
    }
    if let (Some(of), Some(what)) = (&record.rerun_of, &record.rerun_what) {
        row("rerun", one_line(&format!("of {of}: {what}")));
    }
    if let Some(began) = record.began_ms {
        row("began", format!("{}, {}; by {}", utc(began), ago(now_ms, began), harmless(&record.trigger, false)));
    }
    for (name, value) in &record.params {
        row("param", one_line(&format!("{name} = {}", beginning(value))));
    }
    if !record.secrets.is_empty() {
        row("secrets", one_line(&record.secrets.join(", ")));
    }
    if !record.resumed_by.is_empty() {
        row("resumed", format!("by {}", one_line(&record.resumed_by.join(", "))));
    }
    if !record.cancelled_by.is_empty() {
        row("stopped", format!("by {}", one_line(&record.cancelled_by.join(", "))));
    }
    rows
}

/// The jobs, one below the other, each with what there is to say of it.
fn jobs(style: Style, record: &BuildRecord, now_ms: u64, hints: &Hints) -> String {
    let ids = record.jobs.iter().map(|job| &job.job).chain(record.removed.iter().map(|removed| &removed.job));
    let width = ids.map(|id| id.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut row = |id: &str, (colour, word): (&str, &str), took: &str, why: &str| {
        let padding = " ".repeat(9usize.saturating_sub(word.len()));
        let row = format!("  {:width$}  {}{padding}  {took:>9}  {why}", harmless(id, false), style.paint(colour, word));
        text.push_str(row.trim_end());
        text.push('\n');
    };
    for job in &record.jobs {
        let took = match (job.took_ms(), job.attempts.last()) {
            (Some(took), _) => duration(took),
            (None, Some(attempt)) if record.status == Standing::Running => {
                duration(now_ms.saturating_sub(attempt.started_ms))
            }
            _ => String::new(),
        };
        let mut lines = lines(record, job, hints).into_iter();
        row(&job.job, status(record, job.status), &took, &lines.next().unwrap_or_default());
        for line in lines {
            row("", ("", ""), "", &line);
        }
    }
    for removed in &record.removed {
        row(&removed.job, ("2", "removed"), "", &one_line(&removed.reason));
    }
    text
}

fn status(record: &BuildRecord, status: Status) -> (&'static str, &'static str) {
    match status {
        // Of a build that is over, or that nobody drives, nothing runs.
        Status::Running if record.status != Standing::Running => ("31", "ran"),
        status => text::status(status),
    }
}

/// What there is to say of a job; the first line is why it ended so.
fn lines(record: &BuildRecord, job: &JobRecord, hints: &Hints) -> Vec<String> {
    let is_reused = job.reused_from.is_some();
    let why = job.why.as_ref().filter(|_| is_reused || !matches!(job.status, Status::Success | Status::Cancelled));
    let mut lines = match (&job.waits_for, why) {
        (Some(message), None) => {
            // Nobody hears it while the build has no host.
            let heard = record.status == Standing::Running;
            let approve = heard.then(|| hints.approve(&record.build, &job.job));
            std::iter::once(format!("waits for approval: {}", one_line(message))).chain(approve).collect()
        }
        (_, Some(why)) if job.status == Status::Skipped && !is_reused => {
            vec![format!("did not run: {}", one_line(why))]
        }
        (_, Some(why)) => why.lines().map(|line| harmless(line, false)).collect(),
        _ => vec![String::new()],
    };
    if let Some(held) = job.held.as_ref().filter(|_| record.is_running()) {
        lines.push(format!("held: {}", one_line(&held.to_string())));
        lines.extend(hints.held(&record.build, &job.job).lines().map(str::to_owned));
    }
    if job.ending == Some(Ending::Manual) && record.status != Standing::Running {
        lines.push(hints.start(&record.build, &job.job));
    }
    if job.attempts.len() > 1 {
        for attempt in job.attempts.iter().rev().skip(1).rev() {
            let took = attempt.ended_ms.map(|ended| duration(ended.saturating_sub(attempt.started_ms)));
            let why = attempt.why.as_deref().unwrap_or("nobody knows how it ended");
            let took = took.map_or_else(String::new, |took| format!(" after {took}"));
            lines.push(format!("attempt {}{took}: {}", attempt.attempt, one_line(why)));
        }
        lines.push(format!("this was attempt {}", job.attempts.len()));
    }
    if !job.services.is_empty() {
        lines.push(format!("beside it: {}", job.services.join(", ")));
    }
    lines.extend(job.submitted_by.as_ref().map(|by| format!("submitted by {by}")));
    lines.extend(job.approved_by.as_ref().map(|by| format!("approved by {}", one_line(by))));
    if let Some(ending) = &job.ending {
        lines.extend(said(ending, &job.results).iter().map(|line| harmless(line, false)));
    }
    let outputs = job.results.outputs.iter();
    lines.extend(outputs.map(|(name, value)| one_line(&format!("output {name} = {}", beginning(value)))));
    let artifacts = job.artifacts.iter();
    lines.extend(artifacts.map(|artifact| format!("artifact {}, {}", artifact.id, size(artifact.size))));
    // What there is to say may stand beside the job.
    if lines.first().is_some_and(String::is_empty) && lines.len() > 1 {
        lines.remove(0);
    }
    lines
}

#[cfg(test)]
mod snapshots;
