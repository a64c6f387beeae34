//! `monkeyci-host config show`

use clap::CommandFactory;
use serde::Serialize;

use super::keys::{KEYS, PARAM, SECRET};
use super::{Config, File, Setting};
use crate::Done;
use crate::args::{Args, ConfigCommand, ConfigShowArgs};
use crate::exit::Exit;
use crate::inputs::{PARAM_PREFIX, SECRET_PREFIX};
use crate::text::{harmless, print_line};

/// What counts of a key, and who says so.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Shown {
    key: String,
    /// Several, where it may be repeated; none where nothing is set.
    values: Vec<String>,
    from: From,
}

/// Who says what counts.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum From {
    /// A variable of the environment.
    Environment(String),
    /// A file, at a line.
    File { path: String, line: usize },
    /// Nobody.
    Default,
}

/// Shows what counts where the command line says nothing.
pub fn config(args: &crate::args::ConfigArgs) -> Done {
    let ConfigCommand::Show(ConfigShowArgs { dir, json }) = &args.command;
    let config = Config::load(Some(dir)).map_err(|error| (Exit::Usage, error))?;
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let shown = shown(&config, &environment);
    if *json {
        print_line(&serde_json::to_string(&shown).map_err(|error| (Exit::Infrastructure, error.into()))?);
        return Ok(Exit::Success);
    }
    let width = shown.iter().map(|shown| shown.key.chars().count()).max().unwrap_or(0);
    for Shown { key, values, from } in shown {
        let values = if values.is_empty() { "–".to_owned() } else { values.join(", ") };
        let from = match from {
            From::Environment(name) => format!("the variable {name}"),
            From::File { path, line } => format!("{path}, line {line}"),
            From::Default => "default".to_owned(),
        };
        print_line(&harmless(&format!("{key:width$}  {values}  ({from})"), false));
    }
    Ok(Exit::Success)
}

/// What counts of each key, parameter and secret.
fn shown(config: &Config, environment: &[(String, String)]) -> Vec<Shown> {
    let variable = |name: &str| {
        let found = environment.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(name, value)| (vec![value.clone()], From::Environment(name.clone())))
    };
    let in_file = |(file, setting): (&File, &Setting)| {
        let from = From::File { path: file.path.display().to_string(), line: setting.line };
        (setting.values.clone(), from)
    };
    let mut shown = Vec::new();
    for key in KEYS {
        let arg = option(key.name);
        let known = arg.as_ref().and_then(|arg| arg.get_env()).and_then(|name| name.to_str());
        let default = || {
            let defaults = arg.iter().flat_map(|arg| arg.get_default_values());
            (defaults.map(|value| value.to_string_lossy().into_owned()).collect(), From::Default)
        };
        let found = key.variable.or(known).and_then(variable);
        let found = found.or_else(|| config.setting(key.name).map(in_file));
        let (values, from) = found.unwrap_or_else(default);
        shown.push(Shown { key: key.name.to_owned(), values, from });
    }
    for (table, prefix) in [(PARAM, PARAM_PREFIX), (SECRET, SECRET_PREFIX)] {
        let named = |file: &File| if table == PARAM { file.params.clone() } else { file.secrets.clone() };
        let mut all: std::collections::BTreeMap<String, (Vec<String>, From)> = std::collections::BTreeMap::new();
        for file in config.files().rev() {
            all.extend(named(file).iter().map(|(name, setting)| (name.clone(), in_file((file, setting)))));
        }
        for (variable, value) in environment {
            if let Some(name) = variable.strip_prefix(prefix).filter(|name| !name.is_empty()) {
                // A secret stands in the variable itself.
                let values = if table == PARAM { vec![value.clone()] } else { vec!["…".to_owned()] };
                all.insert(name.to_owned(), (values, From::Environment(variable.clone())));
            }
        }
        shown.extend(all.into_iter().map(|(name, (values, from))| Shown {
            key: format!("{table}.{name}"),
            values,
            from,
        }));
    }
    shown
}

/// An option of any command.
fn option(long: &str) -> Option<clap::Arg> {
    let mut commands = vec![Args::command()];
    while let Some(command) = commands.pop() {
        if let Some(found) = command.get_arguments().find(|arg| arg.get_long() == Some(long)) {
            return Some(found.clone());
        }
        commands.extend(command.get_subcommands().cloned());
    }
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::keys::By;
    use super::*;

    #[test]
    fn each_value_is_shown_with_who_says_it() {
        let file = |path: &str, text: &str, by| File::parse(Path::new(path), text, by).expect("a file");
        let repository = file(
            "repo/monkeyci-host.toml",
            "progress = \"plain\"\ntimeout = \"2h\"\n[param]\na = 1\nb = 2\n",
            By::Both,
        );
        let user = file(
            "user.toml",
            "jobs = 3\nblobs = \"s3://mine\"\ntimeout = \"1h\"\nprogress = \"json\"\n[param]\nb = 3\n[secret]\ntoken = \"/t\"\n",
            By::User,
        );
        let config = Config { repository: Some(repository), user: Some(user) };
        let environment =
            [("MONKEYCI_BLOBS", "s3://theirs"), ("MONKEYCI_PARAM_a", "4"), ("MONKEYCI_SECRET_key", "hunter2")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let shown = shown(&config, &environment);
        let of = |key: &str| {
            let found = shown.iter().find(|shown| shown.key == key).unwrap_or_else(|| panic!("{key}"));
            format!("{} {:?}", found.values.join(","), found.from)
        };
        assert_eq!(of("progress"), r#"plain File { path: "repo/monkeyci-host.toml", line: 1 }"#);
        assert_eq!(
            of("timeout"),
            r#"1h File { path: "user.toml", line: 3 }"#,
            "a repository gives itself no more time"
        );
        assert_eq!(of("jobs"), r#"3 File { path: "user.toml", line: 1 }"#);
        assert_eq!(of("blobs"), r#"s3://theirs Environment("MONKEYCI_BLOBS")"#);
        assert_eq!(of("engine"), "auto Default");
        assert_eq!(of("param.a"), r#"4 Environment("MONKEYCI_PARAM_a")"#);
        assert_eq!(of("param.b"), r#"2 File { path: "repo/monkeyci-host.toml", line: 5 }"#);
        assert_eq!(of("secret.token"), r#"/t File { path: "user.toml", line: 8 }"#);
        assert_eq!(of("secret.key"), r#"… Environment("MONKEYCI_SECRET_key")"#);
    }
}
