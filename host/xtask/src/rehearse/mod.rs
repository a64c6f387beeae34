//! `cargo xtask rehearse`: the README's commands on a machine that was made a moment ago.
//!
//! A machine that was used before has what nobody remembers to have installed. So this makes one: a Debian 12 root from
//! packages, in namespaces of its own (`machine`), with the toolchain lent and nothing else (`machine.sh` says what it has).

mod base;
mod machine;
mod plan;
mod quick;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use plan::Request;
pub use quick::run as run_quick_tests;

use crate::command::{output, program, tail};
use crate::paths::Paths;
use crate::programs::For;
use crate::say::{self, failure, heading, seconds};
use crate::setup::is_root;
use base::Places;
use machine::{Folder, Machine, Network, Outcome, Seen};
use plan::{Guest, Order, What};

/// Where the clone is, in a machine that shares nothing.
const CLONE: &str = "/root/monkeyci-host";
/// How long one of the README's commands may take: a cold build on a slow machine.
const LIMIT: Duration = Duration::from_secs(5400);

/// What a real fresh machine has that this cannot imitate.
pub const NOT_REHEARSED: &str = "\
What a fresh machine has that a rehearsal cannot imitate: a kernel and modules of its own (here they are this machine's, warm
caches included); systemd as process 1, with its units, control groups and journal; AppArmor; an address of its own and IPv6 (what
goes out goes through slirp4netns); logins other than root; and another processor, memory and disk than this machine's.";

/// Says when somebody wants the rehearsal to end.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// Listens to Ctrl-C and to what service managers and terminals send.
    fn on_signals() -> Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let stop = Self::default();
        for (signal, number) in [(SIGINT, 2), (SIGTERM, 15), (SIGHUP, 1)] {
            signal_hook::flag::register_usize(signal, stop.0.clone(), number).context("cannot handle signals")?;
        }
        Ok(stop)
    }

    #[cfg(test)]
    fn never() -> Self {
        Self::default()
    }

    fn asked(&self) -> bool {
        self.signal() != 0
    }

    fn signal(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    fn code(&self, otherwise: ExitCode) -> ExitCode {
        match u8::try_from(self.signal()) {
            Ok(0) | Err(_) => otherwise,
            Ok(signal) => ExitCode::from(128 + signal),
        }
    }
}

/// Does what is asked for.
pub fn run(paths: &Paths, request: &Request) -> Result<ExitCode> {
    let gigabytes = match request.what {
        What::Help => {
            print!("{}\n{NOT_REHEARSED}\n", plan::USAGE);
            return Ok(ExitCode::SUCCESS);
        }
        What::Orders(_) => 15,
        What::Quick | What::Command(_) => 4,
    };
    if !is_root() {
        bail!("a rehearsal makes a machine of namespaces and mounts, which needs root: sudo, or a virtual machine");
    }
    let stop = Stop::on_signals()?;
    let step = say::step("rehearsal");
    let places = Places::find(paths)?;
    places.need_room(gigabytes)?;
    crate::setup::apt::ensure(&step, paths, &[For::Rehearsals]).context("a rehearsal needs programs")?;
    say_what_is_not_committed(paths)?;
    let stage = Stage { paths, request, places, network: base::network(&step)?, stop: stop.clone() };
    let passed = match &request.what {
        What::Help => true,
        What::Command(words) => return Ok(stop.code(stage.command(words)?)),
        What::Quick => stage.quick()?,
        What::Orders(orders) => stage.orders(orders)?,
    };
    heading(NOT_REHEARSED);
    Ok(stop.code(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// What is rehearsed is a clone.
fn say_what_is_not_committed(paths: &Paths) -> Result<()> {
    let status = output(git(&paths.root).args(["status", "--porcelain"]))?;
    let files: Vec<&str> = status.lines().filter_map(|line| line.get(3..)).collect();
    if !files.is_empty() {
        let shown = files.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = if files.len() > 5 { ", ..." } else { "" };
        say::step("rehearsal").note(&format!("NOT rehearsed, since not committed: {shown}{more} ({})", files.len()));
    }
    Ok(())
}

fn git(dir: &Path) -> Command {
    let mut command = program("git");
    command.arg("-C").arg(dir);
    command
}

/// Gives the files of a clone the times of the same files where it was cloned from, so that cargo takes what was compiled
/// there for theirs. A file with another content stays new.
fn take_times(from: &Path, to: &Path) -> Result<()> {
    for name in output(git(to).args(["ls-files", "-z"]))?.split_terminator('\0') {
        let (old, new) = (from.join(name), to.join(name));
        if fs::read(&old).is_ok_and(|content| fs::read(&new).is_ok_and(|cloned| cloned == content)) {
            let time = fs::metadata(&old).and_then(|old| old.modified());
            time.and_then(|time| fs::File::options().append(true).open(&new)?.set_modified(time))
                .with_context(|| format!("cannot set the time of {}", new.display()))?;
        }
    }
    Ok(())
}

/// What all machines of one call have in common.
struct Stage<'a> {
    paths: &'a Paths,
    request: &'a Request,
    places: Places,
    network: Network,
    stop: Stop,
}

/// A command of a plan, and what came of it.
struct Done {
    shown: String,
    /// None when it was not run.
    outcome: Option<Outcome>,
}

impl Done {
    fn passed(&self) -> bool {
        self.outcome.as_ref().and_then(|outcome| outcome.status).is_some_and(|status| status.success())
    }
}

impl Stage<'_> {
    /// A fresh machine with a clone at `at`, and folders of this machine.
    fn machine(&self, at: &Path, seen: Vec<Seen>, logs: &Path) -> Result<Machine> {
        let step = say::step("machine");
        fs::create_dir_all(logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let folder = Folder::create(&self.places.cache, &self.places.script)?;
        self.places.fill(&step, &folder, self.request.new_base, &logs.join("base.log"))?;
        self.clone(&folder.root().join(at.strip_prefix("/").unwrap_or(at)), at)?;
        let mut all = vec![Seen { lower: self.places.rustup.clone(), at: "/root/.rustup".into() }];
        all.extend(seen);
        let mut machine = Machine::start(folder, self.network, at, &all)?;
        if self.request.guest == Guest::Debian {
            // Nobody listens there.
            machine.set("RUSTUP_DIST_SERVER", "http://127.0.0.1:9");
        }
        // A toolchain that was installed a moment ago has this machine's own target alone.
        let hide = "for target in $(rustup target list --installed | grep -vxF \"$(rustc --print host-tuple)\"); do
            rustup target remove \"$target\"; done";
        let words = ["sh", "-ec", hide].map(OsString::from);
        let log = logs.join("toolchain.log");
        let outcome = machine.run(&words, Duration::from_secs(60), &log, &self.stop, |_| false)?;
        if !outcome.status.is_some_and(|status| status.success()) {
            bail!("cannot lend the machine a toolchain as a fresh one; {}", tail(&log, 10));
        }
        step.done("a fresh Debian 12 with the Rust toolchain");
        Ok(machine)
    }

    fn clone(&self, to: &Path, shown: &Path) -> Result<()> {
        let step = say::step("clone");
        let mut command = program("git");
        command.args(["clone", "--quiet", "--no-hardlinks"]).arg(&self.paths.root).arg(to);
        output(&mut command).context("cannot clone the repository")?;
        if self.request.what == What::Quick {
            take_times(&self.paths.root, to)?;
        }
        let head = output(git(to).args(["log", "-1", "--format=%h %s"]))?;
        step.done(&format!("{} at {}", head.trim(), shown.display()));
        Ok(())
    }

    fn logs(&self, name: &str) -> PathBuf {
        self.paths.target.join("xtask/rehearsal").join(name)
    }

    fn command(&self, words: &[OsString]) -> Result<ExitCode> {
        let machine = self.machine(Path::new(CLONE), Vec::new(), &self.logs("command"))?;
        let outcome = machine.interact(words, &self.stop)?;
        let code = outcome.status.and_then(|status| u8::try_from(status.code()?).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }

    /// Runs a plan on a machine, until a command is stopped: one that fails does not keep the next from being tried.
    fn perform(&self, machine: &Machine, plan: &[&'static [&'static str]], logs: &Path) -> Result<Vec<Done>> {
        let mut all = Vec::new();
        let mut stopped = false;
        for (number, words) in plan.iter().enumerate() {
            let shown = words.join(" ");
            if stopped || self.stop.asked() {
                all.push(Done { shown, outcome: None });
                continue;
            }
            let log = logs.join(format!("{}-{}.log", number + 1, words[2..].join("")));
            heading(&format!("$ {shown}   (log: {})", log.display()));
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let outcome = machine.run(&words, LIMIT, &log, &self.stop, plan::first_line_of_a_build())?;
            stopped = outcome.status.is_none();
            let done = Done { shown, outcome: Some(outcome) };
            match done.passed() {
                true => heading(&format!("  {}", verdict(&done))),
                false => failure(&format!("{}; {}", verdict(&done), tail(&log, 30))),
            }
            all.push(done);
        }
        Ok(all)
    }

    fn orders(&self, orders: &[Order]) -> Result<bool> {
        let mut passed = true;
        let mut table = Vec::new();
        for order in orders {
            heading(&format!("== rehearsal: {order}"));
            let logs = self.logs(order.name());
            let done = match self.machine(Path::new(CLONE), Vec::new(), &logs) {
                Ok(machine) => self.perform(&machine, &order.plan(), &logs),
                Err(error) => Err(error),
            };
            table.push(format!("{order}  (logs: {})", logs.display()));
            match done {
                Ok(done) => {
                    passed &= done.iter().all(Done::passed);
                    table.extend(done.iter().map(|done| format!("  {}  {}", verdict(done), done.shown)));
                    let results = done.iter().map(|done| (done.shown.as_str(), done.outcome.as_ref()));
                    table.extend(plan::figures(results).into_iter().map(|figure| format!("  {figure}")));
                }
                Err(error) => {
                    passed = false;
                    table.push(format!("  FAILED: {error:#}"));
                }
            }
            if self.stop.asked() {
                passed = false;
                table.push("  stopped by a signal".to_owned());
                break;
            }
        }
        heading("== summary of the rehearsal");
        table.iter().for_each(|line| eprintln!("{line}"));
        Ok(passed)
    }

    /// One test of each kind. What has been compiled here is lent; programs, images, daemons and folders are not.
    fn quick(&self) -> Result<bool> {
        heading("== rehearsal: one test of each kind");
        let logs = self.logs("quick");
        // Cargo takes the sources for unchanged when they are where they were, and no newer.
        let at = self.paths.root.clone();
        let mut seen = vec![Seen { lower: self.paths.target.clone(), at: self.paths.target.clone() }];
        let registry = self.places.cargo.join("registry");
        if registry.is_dir() {
            seen.push(Seen { lower: registry, at: "/root/.cargo/registry".into() });
        }
        let mut machine = self.machine(&at, seen, &logs)?;
        machine.set("CARGO_TARGET_DIR", self.paths.target.clone());
        let done = self.perform(&machine, &[&["cargo", "xtask", "test", "--quick"]], &logs)?;
        let passed = done.iter().all(Done::passed);
        drop(machine);
        say::step("rehearsal").note("not fresh: what was compiled, and the crates that were fetched; the rest was");
        Ok(passed)
    }
}

fn verdict(done: &Done) -> String {
    match &done.outcome {
        None => "not run".to_owned(),
        Some(outcome) => {
            let word = match outcome.status {
                Some(status) if status.success() => "passed",
                Some(_) => "FAILED",
                None => "STOPPED",
            };
            format!("{word} after {}", seconds(outcome.time))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_takes_the_times_of_files_that_are_the_same_and_what_was_changed_stays_new() {
        let dir = std::env::temp_dir().join(format!("xtask-{}-times", std::process::id()));
        let (from, to) = (dir.join("from"), dir.join("to"));
        fs::create_dir_all(&from).expect("a folder");
        let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for name in ["same", "changed"] {
            fs::write(from.join(name), name).expect("a file");
        }
        for words in [
            &["init", "--quiet"][..],
            &["add", "."],
            &["-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "--quiet", "--message", "both"],
        ] {
            output(git(&from).args(words)).expect("git");
        }
        output(program("git").args(["clone", "--quiet"]).args([&from, &to])).expect("git");
        fs::write(from.join("changed"), "since then").expect("a file");
        for name in ["same", "changed"] {
            let file = fs::File::options().append(true).open(from.join(name)).expect("a file");
            file.set_modified(old).expect("a time");
        }
        take_times(&from, &to).expect("taken");
        let time = |name: &str| fs::metadata(to.join(name)).and_then(|file| file.modified()).expect("a time");
        let (same, changed) = (time("same"), time("changed"));
        fs::remove_dir_all(&dir).ok();
        assert_eq!(same, old);
        assert!(changed > old);
    }
}
