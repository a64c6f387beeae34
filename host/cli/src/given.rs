//! What is said of the code, from the command line and from the event of a forge.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use monkeyci_build::{Changes, Given};
use monkeyci_server::given_of_event;

use crate::args::GivenArgs;
use crate::text::causes;

/// What starts a build of this command's.
pub fn trigger(given: &Given) -> String {
    given.trigger.clone().unwrap_or_else(|| "cli".to_owned())
}

/// Collects what is said of the code of one build.
pub fn collect(args: &GivenArgs) -> anyhow::Result<Given> {
    match args.event.as_slice() {
        [] => with_event(args, None),
        [event] => with_event(args, Some(event)),
        more => bail!("a build has one event, and --event names {}; `plan` takes several", more.len()),
    }
}

/// Collects what is said of the code of each build, with the event that says so: of one build if there is none. Of several events that
/// can't be used, all are told.
pub fn collect_all(args: &GivenArgs) -> anyhow::Result<Vec<(Option<&Path>, Given)>> {
    match args.event.as_slice() {
        [] => Ok(vec![(None, with_event(args, None)?)]),
        events => {
            let (mut all, mut wrong) = (Vec::new(), Vec::new());
            for event in events {
                match with_event(args, Some(event)) {
                    Ok(given) => all.push((Some(event.as_path()), given)),
                    Err(error) => wrong.push(error),
                }
            }
            match wrong.len() {
                0 => Ok(all),
                1 => Err(wrong.remove(0)),
                // So that nobody mends one after the other.
                _ => Err(anyhow!(wrong.iter().map(causes).collect::<Vec<_>>().join("\n"))),
            }
        }
    }
}

fn with_event(args: &GivenArgs, event: Option<&PathBuf>) -> anyhow::Result<Given> {
    let mut given = Given::default();
    if let Some(path) = event {
        let read = std::fs::read(path).map_err(anyhow::Error::from).and_then(|bytes| Ok(given_of_event(&bytes)?));
        given = read.with_context(|| format!("the event {} can't be used", path.display()))?;
    }
    if args.branch.is_some() || args.tag.is_some() {
        (given.branch, given.tag) = (args.branch.clone(), args.tag.clone());
    }
    given.trigger = args.trigger.clone().or(given.trigger);
    if !args.changed.is_empty() {
        let mut modified: Vec<String> =
            args.changed.iter().map(|path| path.strip_prefix("./").unwrap_or(path).to_owned()).collect();
        modified.sort();
        modified.dedup();
        given.changes = Some(Changes { modified, ..Changes::default() });
    }
    given.check().map_err(|wrong| anyhow!(wrong))?;
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn an_option_counts_before_the_event_and_what_is_no_event_is_refused() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let event = dir.path().join("event.json");
        std::fs::write(&event, r#"{"ref": "refs/heads/topic", "commits": [{"added": ["a"]}]}"#)?;
        let args = GivenArgs {
            tag: Some("v2".to_owned()),
            changed: paths(&["./b", "a", "b"]),
            event: vec![event.clone()],
            ..GivenArgs::default()
        };
        let given = collect(&args)?;
        assert_eq!((given.branch.clone(), given.tag.as_deref()), (None, Some("v2")));
        assert_eq!(given.changes.map(|changes| changes.modified), Some(paths(&["a", "b"])));
        for (text, why) in [
            ("{", "no JSON"),
            ("{}", "neither what was pushed"),
            (r#"{"ref": "refs/notes/x"}"#, "neither a branch"),
            (r#"{"ref": "refs/heads/a b"}"#, "can't be the name of a branch"),
        ] {
            std::fs::write(&event, text)?;
            let error = format!(
                "{:#}",
                collect(&GivenArgs { event: vec![event.clone()], ..GivenArgs::default() }).expect_err(text)
            );
            assert!(error.contains(why), "{text}: {error}");
        }
        Ok(())
    }

    #[test]
    fn of_several_events_that_can_not_be_used_all_are_told() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let event = |name: &str, text: &str| -> std::io::Result<PathBuf> {
            let path = dir.path().join(name);
            std::fs::write(&path, text)?;
            Ok(path)
        };
        let fits = event("fits.json", r#"{"ref": "refs/heads/a"}"#)?;
        let events = vec![event("one.json", "{")?, fits, event("two.json", "{}")?];
        let error = collect_all(&GivenArgs { event: events, ..GivenArgs::default() }).expect_err("two are broken");
        let error = error.to_string();
        let told: Vec<_> = error.lines().collect();
        assert!(told.len() == 2 && told[0].contains("one.json") && told[1].contains("two.json"), "{told:?}");
        Ok(())
    }

    #[test]
    fn a_build_has_one_event_and_a_plan_many() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let event = |name: &str| -> std::io::Result<PathBuf> {
            let path = dir.path().join(name);
            std::fs::write(&path, format!(r#"{{"ref": "refs/heads/{name}"}}"#))?;
            Ok(path)
        };
        let args = GivenArgs { event: vec![event("a")?, event("b")?], ..GivenArgs::default() };
        let error = collect(&args).expect_err("two events");
        assert!(error.to_string().contains("`plan` takes several"), "{error}");
        let all = collect_all(&args)?;
        let branches: Vec<_> =
            all.iter().filter_map(|(event, given)| Some((*event)?.ends_with(given.branch.as_ref()?))).collect();
        assert_eq!(branches, [true, true]);
        let args = GivenArgs { branch: Some("main".to_owned()), ..GivenArgs::default() };
        let none = collect_all(&args)?;
        assert_eq!(none, [(None, Given { branch: Some("main".to_owned()), ..Given::default() })]);
        Ok(())
    }
}
