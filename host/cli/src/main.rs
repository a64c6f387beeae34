//! The `monkeyci-host` command.

mod args;
mod builds;
mod bundle;
mod check;
#[cfg(test)]
mod ci;
mod config;
mod debug;
mod doctor;
mod exit;
mod gc;
mod given;
mod help;
mod import;
mod inputs;
mod inspect;
mod languages;
mod limits;
mod logs;
mod new;
mod outside;
mod plan;
mod policy;
mod progress;
mod replay;
mod reports;
mod rerun;
mod resume;
mod run;
mod script;
mod serve;
mod server;
mod setup;
mod shell;
mod signals;
mod sim;
mod test;
mod text;
mod watch;

use std::io::Write;

use crate::args::{Command, ImportCommandArgs};
use crate::exit::Exit;

fn main() -> ! {
    // Scripts are compiled by this program, started once more; in that process, this does not return.
    monkeyci_script::compile_if_child();
    setup::logging();
    let done = config::parse(std::env::args_os().collect()).and_then(|args| run(args.command));
    let exit = done.unwrap_or_else(|(exit, error)| {
        let _ = writeln!(std::io::stderr(), "error: {}", text::harmless_lines(&text::causes(&error)));
        exit
    });
    // Not by returning: a blocking task (a clone from a slow server) must not hold a build up that was cancelled.
    std::process::exit(exit as i32)
}

fn run(command: Command) -> Done {
    match command {
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Run(args) => setup::block_on(run::run(args)),
        Command::Resume(args) => setup::block_on(resume::resume(args)),
        Command::Rerun(args) => setup::block_on(rerun::rerun(args)),
        Command::Serve(args) => setup::block_on(serve::serve(args)),
        Command::Secret(args) => setup::until_interrupted(server::secret(args)),
        Command::Policy(args) => policy::policy(args),
        Command::Param(args) => setup::until_interrupted(server::param(args)),
        Command::List(args) => setup::until_interrupted(builds::list(args)),
        Command::Show(args) => setup::until_interrupted(builds::show(args)),
        Command::Events(args) => setup::while_read(builds::events(args)),
        Command::Artifacts(args) => setup::until_interrupted(builds::artifacts(args)),
        Command::Tests(args) => setup::until_interrupted(builds::tests(args)),
        Command::Doctor(args) => setup::until_interrupted(doctor::doctor(args)),
        Command::Completions(args) => help::completions(&args),
        Command::Man(args) => help::man(&args),
        Command::Version(args) => help::version(&args),
        Command::Help(args) => help::help(&args),
        Command::New(args) => new::new(&args),
        Command::Import(ImportCommandArgs { system: Some(system), bundle: None, json, .. }) => {
            import::import(&system.with_json(json))
        }
        Command::Import(args) => setup::until_interrupted(bundle::import(args)),
        Command::Export(args) => setup::until_interrupted(bundle::export(args)),
        Command::Replay(args) => setup::until_interrupted(replay::replay(args)),
        Command::Check(args) => setup::block_on(check::check(args)),
        Command::Plan(args) => setup::block_on(plan::plan(args)),
        Command::Sim(args) => setup::until_interrupted(sim::sim(args)),
        Command::Shell(args) => setup::block_on(shell::shell(args)),
        Command::Debug(args) => setup::until_interrupted(debug::debug(args)),
        Command::Approve(args) => setup::until_interrupted(outside::approve(args)),
        Command::Publish(args) => setup::until_interrupted(outside::publish(args)),
        Command::Cancel(args) => setup::until_interrupted(outside::cancel(args)),
        Command::Test(args) => test::test(&args),
        Command::Logs(args) => setup::while_read(logs::logs(args)),
        Command::Schema(args) => new::schema(&args),
        Command::Limits(args) => limits::limits(&args),
        Command::Gc(args) => setup::until_interrupted(gc::gc(args)),
        Command::Config(args) => config::config(&args),
    }
}

/// What a command comes to: its exit code, or an error with the exit code of its kind.
type Done = Result<Exit, (Exit, anyhow::Error)>;
