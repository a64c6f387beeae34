//! Config files: what a command's options are where neither the command line nor the environment says it.
//!
//! What a file says becomes the option's default, so that options, variables and files count in this order: the command line, the
//! environment, the repository's file, the user's own, what the option is without all of them. A repository may be a stranger's: its file
//! says little; see [`keys`].

mod file;
mod keys;
mod show;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::args::{Args, CheckArgs, Command, FromFiles, PlanArgs, RerunArgs, ResumeArgs, RunArgs, ShellArgs, SimArgs};
use crate::exit::Exit;
use file::{File, Setting};
use keys::{By, Key};
pub use show::config;

/// What the files are called.
const NAME: &str = "monkeyci-host.toml";
/// The option whose shorter value counts: a repository's file can't give its builds more time than its user does.
const TIMEOUT: &str = "timeout";
/// Commands about builds that there are.
const OF_EARLIER_BUILDS: [&str; 3] = ["resume", "rerun", "shell"];

/// What the config files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Config {
    repository: Option<File>,
    user: Option<File>,
}

/// Reads a command line, with what the config files say to it.
///
/// A command line that can't be read ends the process.
pub fn parse(words: Vec<OsString>) -> Result<Args, (Exit, anyhow::Error)> {
    let usage = |error: anyhow::Error| (Exit::Usage, error);
    let matches = Args::command().get_matches_from(&words);
    let read = |matches| Args::from_arg_matches(matches).map_err(|error| usage(error.into()));
    let (path, innermost) = innermost(&matches);
    let named = command_named(&path);
    if !named.get_arguments().any(|arg| key_of(arg).is_some()) {
        return read(&matches);
    }
    let builds = matches!(path.as_slice(), ["run" | "check" | "plan" | "sim"]);
    // The code of `--git` is not here yet, and is a stranger's.
    let dir = innermost
        .try_get_one::<PathBuf>("dir")
        .ok()
        .flatten()
        .filter(|_| builds && !innermost.try_contains_id("git").unwrap_or(false));
    let config = Config::load(dir.map(PathBuf::as_path)).map_err(usage)?;
    let command = config.defaults_of(Args::command(), &path).map_err(usage)?;
    let mut args = read(&command.get_matches_from(words))?;
    match &mut args.command {
        Command::Run(RunArgs { script, .. })
        | Command::Check(CheckArgs { script, .. })
        | Command::Plan(PlanArgs { script, .. }) => {
            script.inputs.from_files = config.inputs();
        }
        Command::Sim(SimArgs { inputs, .. }) => inputs.from_files = config.inputs(),
        // Parameters are what they were, and so is what actions may read; of secrets no journal has any.
        Command::Resume(ResumeArgs { inputs, .. })
        | Command::Rerun(RerunArgs { inputs, .. })
        | Command::Shell(ShellArgs { inputs, with_secrets: true, .. }) => {
            let files = config.setting("secret-file").map(|(_, setting)| setting.values.clone()).unwrap_or_default();
            let secret_files = files.into_iter().map(PathBuf::from).collect();
            inputs.from_files = FromFiles { params: BTreeMap::new(), secret_files, ..config.inputs() };
        }
        _ => {}
    }
    Ok(args)
}

/// The names of a command and of those that it stands in, and what it was told.
fn innermost(mut matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let mut path = Vec::new();
    while let Some((name, inner)) = matches.subcommand() {
        path.push(name);
        matches = inner;
    }
    (path, matches)
}

fn command_named(path: &[&str]) -> clap::Command {
    path.iter().fold(Args::command(), |command, name| command.find_subcommand(name).cloned().unwrap_or(command))
}

/// The key of an option.
fn key_of(arg: &clap::Arg) -> Option<&'static Key> {
    keys::find(arg.get_long()?)
}

impl Config {
    /// Reads the user's file, and that of the code in a directory.
    fn load(dir: Option<&Path>) -> anyhow::Result<Self> {
        let read = |path: Option<PathBuf>, by| path.map_or(Ok(None), |path| File::read(&path, by));
        Ok(Self { repository: read(dir.map(|dir| dir.join(NAME)), By::Both)?, user: read(user_file(), By::User)? })
    }

    /// The files, the one that counts first in front.
    fn files(&self) -> impl DoubleEndedIterator<Item = &File> {
        self.repository.iter().chain(&self.user)
    }

    /// What counts of a key, and the file that says it.
    fn setting(&self, key: &str) -> Option<(&File, &Setting)> {
        let mut found = self.files().filter_map(|file| Some((file, file.settings.get(key)?)));
        if key == TIMEOUT {
            let time = |(_, setting): &(&File, &Setting)| humantime::parse_duration(setting.values.first()?).ok();
            return found.min_by_key(|found| time(found).unwrap_or_default());
        }
        found.next()
    }

    /// The parameters and the files of secrets.
    fn inputs(&self) -> FromFiles {
        let (mut params, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        let pairs = |named: &BTreeMap<String, Setting>| {
            named
                .iter()
                .filter_map(|(name, setting)| Some((name.clone(), setting.values.first()?.clone())))
                .collect::<Vec<_>>()
        };
        // The last one counts.
        for file in self.files().rev() {
            params.extend(pairs(&file.params));
            secrets.extend(pairs(&file.secrets).into_iter().map(|(name, path)| (name, PathBuf::from(path))));
        }
        FromFiles {
            params,
            secrets,
            secret_files: Vec::new(),
            files: self.files().map(|file| file.path.clone()).collect(),
        }
    }

    /// The command with what the files say as the defaults of its options.
    fn defaults_of(&self, command: clap::Command, path: &[&str]) -> anyhow::Result<clap::Command> {
        let [name, inner @ ..] = path else {
            let mut command = command;
            for arg in command.clone().get_arguments() {
                let Some(key) = key_of(arg) else { continue };
                if key.of_new_builds && OF_EARLIER_BUILDS.contains(&command.get_name()) {
                    continue;
                }
                let Some((file, setting)) = self.setting(key.name) else { continue };
                if key
                    .variable
                    .is_some_and(|variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty()))
                {
                    continue;
                }
                check(arg, file, setting)?;
                let values = setting.values.clone();
                command = command.mut_arg(arg.get_id(), |arg| arg.default_values(values));
            }
            return Ok(command);
        };
        let found = command.find_subcommand(name).cloned();
        let Some(found) = found else { return Ok(command) };
        let found = self.defaults_of(found, inner)?;
        Ok(command.mut_subcommand(name, |_| found))
    }
}

/// Whether an option takes what a file says.
fn check(arg: &clap::Arg, file: &File, setting: &Setting) -> anyhow::Result<()> {
    let long = arg.get_long().unwrap_or_default();
    let wrong =
        |reason: String| anyhow!("the config file {}: line {}: {long}: {reason}", file.path.display(), setting.line);
    let is_flag = matches!(arg.get_action(), clap::ArgAction::SetTrue);
    let is_list = matches!(arg.get_action(), clap::ArgAction::Append);
    if !is_list && setting.values.len() != 1 {
        return Err(wrong("it takes one value".to_owned()));
    }
    for value in &setting.values {
        if is_flag {
            if !["true", "false"].contains(&value.as_str()) {
                return Err(wrong(format!("{value:?} is neither true nor false")));
            }
            continue;
        }
        let tried = clap::Command::new(NAME).arg(alone(arg)).try_get_matches_from([NAME, &format!("--{long}={value}")]);
        if let Err(error) = tried {
            let text = error.to_string();
            let reason = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return Err(wrong(reason));
        }
    }
    Ok(())
}

/// Where the user's own file is; `None` where the environment names no place.
fn user_file() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = variable("XDG_CONFIG_HOME").or_else(|| variable("HOME").map(|home| home.join(".config")))?;
    Some(dir.join("monkeyci-host").join(NAME))
}

/// The option without those that it wants beside itself.
fn alone(arg: &clap::Arg) -> clap::Arg {
    let long = arg.get_long().unwrap_or_default().to_owned();
    let parser = arg.get_value_parser().clone();
    clap::Arg::new(arg.get_id().clone()).long(long).value_parser(parser).action(arg.get_action().clone())
}

#[cfg(test)]
mod tests;
