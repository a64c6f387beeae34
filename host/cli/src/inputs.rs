//! Parameters and secrets from the command line, from files and from the environment.

mod file;

use std::collections::BTreeMap;
use std::ffi::OsString;

use anyhow::{Context, bail};
use monkeyci_api::Hidden;
use monkeyci_controller::{Inputs, Needed};

use crate::args::InputArgs;

/// Environment variables with this in front of their names are parameters.
pub const PARAM_PREFIX: &str = "MONKEYCI_PARAM_";
/// Environment variables with this in front of their names are secrets.
pub const SECRET_PREFIX: &str = "MONKEYCI_SECRET_";

/// Collects parameters and secrets: from config files, then from `environment`, then from files in their order, then from the command line; the last one of
/// a name counts.
pub fn collect(args: &InputArgs, environment: impl Iterator<Item = (OsString, OsString)>) -> anyhow::Result<Inputs> {
    collect_of(args, environment, None)
}

/// The same for a build that there is already and that `needs` these again: what else stands in config files and in the environment is
/// meant for other builds. What the command line says is meant.
pub fn collect_again(
    args: &InputArgs,
    environment: impl Iterator<Item = (OsString, OsString)>,
    needs: &Needed,
) -> anyhow::Result<Inputs> {
    collect_of(args, environment, Some(needs))
}

fn collect_of(
    args: &InputArgs,
    environment: impl Iterator<Item = (OsString, OsString)>,
    needs: Option<&Needed>,
) -> anyhow::Result<Inputs> {
    let (mut params, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    let is_param = |name: &str| needs.is_none_or(|needs| needs.params.iter().any(|needed| needed == name));
    let is_secret = |name: &str| needs.is_none_or(|needs| needs.secrets.iter().any(|needed| needed == name));
    params.extend(args.from_files.params.clone().into_iter().filter(|(name, _)| is_param(name)));
    for (name, path) in args.from_files.secrets.iter().filter(|(name, _)| is_secret(name)) {
        let content = std::fs::read(path).with_context(|| {
            format!("the file {} of the secret {name:?}, which the config file names, can't be read", path.display())
        })?;
        secrets.insert(name.clone(), content);
    }
    for (name, value) in environment {
        let Some(name) = name.to_str() else { continue };
        if let Some(name) = name.strip_prefix(PARAM_PREFIX).filter(|name| !name.is_empty() && is_param(name)) {
            let value = value.into_string().map_err(|_| anyhow::anyhow!("{PARAM_PREFIX}{name} is not UTF-8"))?;
            params.insert(name.to_owned(), value);
        } else if let Some(name) = name.strip_prefix(SECRET_PREFIX).filter(|name| !name.is_empty() && is_secret(name)) {
            secrets.insert(name.to_owned(), std::os::unix::ffi::OsStringExt::into_vec(value));
        }
    }
    for path in &args.param_files {
        params
            .extend(file::read(path).with_context(|| format!("the parameter file {} can't be used", path.display()))?);
    }
    let of_config = args.from_files.secret_files.iter().map(|path| (path, true));
    // One that is not there keeps no build back that needs none.
    let of_config = of_config.filter(|_| needs.is_none_or(|needs| !needs.secrets.is_empty()));
    for (path, of_config) in of_config.chain(args.secret_files.iter().map(|path| (path, false))) {
        let read = file::read(path).with_context(|| format!("the secret file {} can't be used", path.display()))?;
        let meant = read.into_iter().filter(|(name, _)| !of_config || is_secret(name));
        secrets.extend(meant.map(|(name, value)| (name, value.into_bytes())));
    }
    for pair in &args.params {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => params.insert(name.to_owned(), value.to_owned()),
            _ => bail!("--param {pair:?} is not of the form NAME=VALUE"),
        };
    }
    for pair in &args.secrets {
        let Some((name, path)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            // Perhaps it is the secret itself, and so might be what stands for the file.
            bail!("what --secret was given is not of the form NAME=FILE");
        };
        let content = std::fs::read(path)
            .with_context(|| format!("the file of the secret {name:?} can't be read; --secret takes NAME=FILE"))?;
        secrets.insert(name.to_owned(), content);
    }
    if let Some(unknown) = args.reveal.iter().find(|name| !secrets.contains_key(*name)) {
        bail!("--reveal {unknown}: there is no such secret");
    }
    let files = |option: &str, paths: &[std::path::PathBuf]| {
        paths.iter().map(|path| format!("{option} {}", path.display())).collect::<Vec<_>>()
    };
    let looked_in = |option: &str, paths: &[std::path::PathBuf], prefix: &str| {
        let mut places = vec![option.to_owned()];
        places.extend(files(&format!("{option}-file"), paths));
        places.push(format!("{prefix}* in the environment"));
        places.extend(args.from_files.files.iter().map(|file| file.display().to_string()));
        places
    };
    Ok(Inputs {
        params,
        secrets: secrets.into_iter().map(|(name, value)| (name, Hidden(value))).collect(),
        reveal: args.reveal.iter().cloned().collect(),
        params_looked_in: looked_in("--param", &args.param_files, PARAM_PREFIX),
        secrets_looked_in: looked_in(
            "--secret",
            &[&args.from_files.secret_files[..], &args.secret_files].concat(),
            SECRET_PREFIX,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> impl Iterator<Item = (OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect::<Vec<_>>().into_iter()
    }

    fn params(inputs: &Inputs) -> Vec<String> {
        inputs.params.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn the_command_line_counts_before_files_and_files_before_the_environment() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let file = |name: &str, text: &str| -> anyhow::Result<_> {
            let path = dir.path().join(name);
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let args = InputArgs {
            params: vec!["A=from pair".to_owned(), "E=a=b".to_owned()],
            param_files: vec![
                file("params.env", "# a comment\nA=from env\nB='two words'\nexport D=\"$HOME\"\n")?,
                file("params.json", r#"{"B": 2, "C": true}"#)?,
                file("params.yaml", "f: yes it is\ng: 1.5\nh: |\n  two\n  lines\n")?,
                file("params.toml", "i = 'from toml'\nj = 7\n")?,
            ],
            ..InputArgs::default()
        };
        let given = environment(&[("MONKEYCI_PARAM_A", "x"), ("MONKEYCI_PARAM_k", "from env"), ("PATH", "/bin")]);
        let inputs = collect(&args, given)?;
        let all = ["A=from pair", "B=2", "C=true", "D=$HOME", "E=a=b", "f=yes it is", "g=1.5", "h=two\nlines\n"];
        assert_eq!(params(&inputs), [&all[..], &["i=from toml", "j=7", "k=from env"]].concat());
        Ok(())
    }

    #[test]
    fn a_build_that_is_there_takes_of_files_and_environment_only_what_it_needs_and_all_that_is_typed()
    -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let file = |name: &str, text: &str| -> anyhow::Result<_> {
            let path = dir.path().join(name);
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let from_files = crate::args::FromFiles {
            secrets: [("one".to_owned(), file("one", "1")?), ("new".to_owned(), dir.path().join("gone"))].into(),
            secret_files: vec![file("many.env", "many=2\nlater=3\n")?],
            ..Default::default()
        };
        let typed = file("typed", "4")?;
        let args = InputArgs {
            from_files,
            params: vec!["typed=yes".to_owned()],
            secrets: vec![format!("typed={}", typed.display())],
            ..InputArgs::default()
        };
        let given = || {
            environment(&[("MONKEYCI_PARAM_url", "u"), ("MONKEYCI_PARAM_other", "o"), ("MONKEYCI_SECRET_other", "5")])
        };
        let needs = Needed { secrets: vec!["one".to_owned(), "many".to_owned()], params: vec!["url".to_owned()] };
        let inputs = collect_again(&args, given(), &needs)?;
        assert_eq!(inputs.secrets.keys().collect::<Vec<_>>(), ["many", "one", "typed"]);
        assert_eq!(params(&inputs), ["typed=yes", "url=u"]);
        let none = collect_again(&args, given(), &Needed::default())?;
        assert_eq!(none.secrets.keys().collect::<Vec<_>>(), ["typed"]);
        assert_eq!(params(&none), ["typed=yes"]);
        assert!(collect(&args, given()).is_err(), "a new build needs what its files name");
        Ok(())
    }

    #[test]
    fn secrets_come_from_files_and_the_environment_and_only_some_may_be_revealed() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let (many, one) = (dir.path().join("many.toml"), dir.path().join("key.pem"));
        std::fs::write(&many, "token = 'abc'\n")?;
        std::fs::write(&one, b"\xffbinary")?;
        let args = InputArgs {
            secret_files: vec![many],
            secrets: vec![format!("key={}", one.display())],
            reveal: vec!["token".to_owned()],
            ..InputArgs::default()
        };
        let inputs = collect(&args, environment(&[("MONKEYCI_SECRET_pin", "1234")]))?;
        let secrets: Vec<_> = inputs.secrets.iter().map(|(name, value)| (name.as_str(), value.0.as_slice())).collect();
        assert_eq!(secrets, [("key", &b"\xffbinary"[..]), ("pin", b"1234"), ("token", b"abc")]);
        assert_eq!(inputs.reveal.into_iter().collect::<Vec<_>>(), ["token"]);
        let unknown = InputArgs { reveal: vec!["nobody".to_owned()], ..InputArgs::default() };
        assert!(collect(&unknown, environment(&[])).is_err());
        Ok(())
    }

    #[test]
    fn a_secret_that_was_given_in_place_of_its_file_is_not_shown() {
        for pair in ["sup3rs3cret", "token=sup3rs3cret", "=sup3rs3cret"] {
            let args = InputArgs { secrets: vec![pair.to_owned()], ..InputArgs::default() };
            let error = format!("{:?}", collect(&args, environment(&[])).expect_err(pair));
            assert!(error.contains("NAME=FILE") && !error.contains("sup3rs3cret"), "{error}");
        }
    }

    #[test]
    fn what_has_not_the_right_form_is_refused() {
        for pair in ["novalue", "=x"] {
            let params = InputArgs { params: vec![pair.to_owned()], ..InputArgs::default() };
            assert!(collect(&params, environment(&[])).is_err(), "{pair}");
            let secrets = InputArgs { secrets: vec![pair.to_owned()], ..InputArgs::default() };
            assert!(collect(&secrets, environment(&[])).is_err(), "{pair}");
        }
    }
}
