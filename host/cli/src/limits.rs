//! `monkeyci-host limits`

mod scopes;

use std::fmt::Write;

use monkeyci_controller::{DiskLimits, LogLimits};
use monkeyci_limits::{Amount, Area, Limit, Per};
use monkeyci_script::Limits;
use monkeyci_sidecar::{launcher, sidecar};
use serde_json::{Value, json};

use crate::Done;
use crate::args::LimitsArgs;
use crate::exit::Exit;
use crate::setup::BLOCKING_THREADS;
use crate::text::print_line;

/// Prints what builds may take, or what tokens open.
pub fn limits(args: &LimitsArgs) -> Done {
    let text = match (args.scopes, args.json) {
        (true, true) => scopes::json().to_string(),
        (true, false) => scopes::text(),
        (false, true) => json(&all()).to_string(),
        (false, false) => text(&all()),
    };
    print_line(text.trim_end());
    Ok(Exit::Success)
}

/// The limits of this command's host.
fn all() -> Vec<Area> {
    let mut all = monkeyci_controller::limits(&Limits::default(), &LogLimits::default(), &DiskLimits::default());
    let threads = Limit::count(
        "threads for what blocks",
        Per::Host,
        BLOCKING_THREADS as u64,
        "files, archives, git; what is beyond waits. No reader that a script holds has one",
    );
    let process = Area { name: "the process", limits: vec![threads] };
    all.extend([monkeyci_server::limits(), sidecar::limits(), launcher::limits(), crate::progress::limits(), process]);
    all
}

/// A row for each resource, a column for each of those who have so much of it for themselves.
fn rows(area: &Area, shown: impl Fn(&Limit) -> String) -> Vec<(&'static str, [String; 5], String)> {
    let mut rows: Vec<(&str, Vec<&Limit>)> = Vec::new();
    for limit in &area.limits {
        match rows.iter_mut().find(|(resource, _)| *resource == limit.resource) {
            Some((_, limits)) => limits.push(limit),
            None => rows.push((limit.resource, vec![limit])),
        }
    }
    let row = |(resource, limits): (&'static str, Vec<&Limit>)| {
        let cell = |per| limits.iter().find(|limit| limit.per == per).map(|limit| shown(limit)).unwrap_or_default();
        let why: Vec<&str> = limits.iter().map(|limit| limit.why).collect();
        (resource, Per::ALL.map(cell), why.join("; "))
    };
    rows.into_iter().map(row).collect()
}

/// An amount; where machines differ, also how it comes about.
fn shown(limit: &Limit) -> String {
    match limit.by_machine {
        Some(rule) => format!("{} here ({rule})", limit.amount),
        None => limit.amount.to_string(),
    }
}

/// For people.
fn text(all: &[Area]) -> String {
    let mut text = String::new();
    for area in all {
        let _ = writeln!(text, "{}", area.name);
        for (resource, cells, why) in rows(area, shown) {
            let cells: Vec<String> = Per::ALL
                .iter()
                .zip(&cells)
                .filter(|(_, cell)| !cell.is_empty())
                .map(|(per, cell)| format!("{cell} per {}", per.word()))
                .collect();
            let _ = writeln!(text, "  {resource}: {}\n      {why}", cells.join(", "));
        }
        text.push('\n');
    }
    text
}

/// For programs: bytes, numbers and milliseconds.
fn json(all: &[Area]) -> Value {
    let limit = |area: &Area, limit: &Limit| {
        let (unit, amount) = match limit.amount {
            Amount::Bytes(bytes) => ("bytes", bytes),
            Amount::Count(count) => ("count", count),
            Amount::Time(time) => ("ms", time.as_millis() as u64),
            Amount::Times(times) => ("times", times),
            Amount::Percent(percent) => ("percent", percent),
        };
        json!({
            "area": area.name, "resource": limit.resource, "per": limit.per.word(), "unit": unit, "amount": amount,
            "by_machine": limit.by_machine, "why": limit.why,
        })
    };
    all.iter().flat_map(|area| area.limits.iter().map(|one| limit(area, one)).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use monkeyci_archive::UnpackLimits;

    use super::*;

    const HEAD: &str = "\
# What a build may take

What `monkeyci-host limits` prints: every limit that keeps a script, a job, a repository or a server from taking what belongs to
others. The numbers are the constants that are enforced, with the defaults of what can be set. A limit holds for one call (request, file,
message), one instance of a script, one attempt of a job, one build, or all builds of a host together.
";

    /// The page of the docs.
    fn page(all: &[Area]) -> String {
        let mut page = HEAD.to_owned();
        for area in all {
            let _ = write!(
                page,
                "\n## {}\n\n| resource | call | instance | job | build | host | why |\n| --- | --- | --- | --- | --- | --- | --- |\n",
                area.name
            );
            let here = |limit: &Limit| limit.by_machine.map_or_else(|| limit.amount.to_string(), str::to_owned);
            for (resource, cells, why) in rows(area, here) {
                let _ = writeln!(page, "| {resource} | {} | {why} |", cells.join(" | "));
            }
        }
        page
    }

    #[test]
    fn the_page_of_limits_is_what_the_command_prints() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../LIMITS.md");
        let (written, now) = (std::fs::read_to_string(&path).unwrap_or_default(), page(&all()));
        let wrong = written.lines().zip(now.lines()).find(|(written, now)| written != now);
        let new = tempfile::Builder::new().prefix("LIMITS").suffix(".md").tempfile().expect("a file");
        std::fs::write(new.path(), &now).expect("written");
        let (_, new) = new.keep().expect("kept");
        assert!(written == now, "host/LIMITS.md is not what is enforced: {wrong:?}. As it should be, it is in {new:?}");
        std::fs::remove_file(new).expect("removed");
    }

    #[test]
    fn every_limit_has_its_place_and_a_reason() {
        let all = all();
        let mut seen = std::collections::BTreeSet::new();
        for area in &all {
            assert!(!area.limits.is_empty(), "{}", area.name);
            for limit in &area.limits {
                let Limit { resource, per, why, .. } = limit;
                assert!(seen.insert((area.name, *resource, *per)), "{resource:?} per {} stands twice", per.word());
                assert!(why.len() > 8 && !resource.is_empty(), "{resource:?}: {why:?}");
            }
        }
        assert!(seen.len() > 100, "these are not all");
    }

    #[test]
    fn what_is_printed_is_what_was_set() {
        let set = Limits { memory_bytes: 7 << 20, calls: 12_345, ..Limits::default() };
        let logs = LogLimits { head: 3 << 10, ..LogLimits::default() };
        let all = monkeyci_controller::limits(&set, &logs, &DiskLimits::default());
        let printed = text(&all);
        let unpack = UnpackLimits::default();
        for expected in [
            "linear memory of a script: 7 MiB per instance".to_owned(),
            "host calls: 12,345 per instance".to_owned(),
            "the start of a log that is kept: 3 KiB per job".to_owned(),
            format!("an archive, unpacked: {} per call", Amount::Bytes(unpack.max_bytes)),
            format!("a frame of a log: {} per call", Amount::Bytes(monkeyci_api::MAX_LOG_FRAME as u64)),
            format!("jobs: {} per build", Amount::Count(monkeyci_build::MAX_JOBS as u64)),
        ] {
            assert!(printed.contains(&expected), "{expected}\n{printed}");
        }
        let told = json(&all);
        let memory =
            told.as_array().expect("a list").iter().find(|limit| limit["resource"] == "linear memory of a script");
        let memory = memory.expect("it is there");
        assert_eq!(
            (&memory["amount"], &memory["unit"], &memory["per"]),
            (&json!(7 << 20), &json!("bytes"), &json!("instance"))
        );
    }
}
