//! What is said of the code, from the command line and from the event of a forge.

use anyhow::{Context, anyhow};
use monkeyci_build::{Changes, Given};
use monkeyci_server::given_of_event;

use crate::args::GivenArgs;

/// Collects what is said of the code.
pub fn collect(args: &GivenArgs) -> anyhow::Result<Given> {
    let mut given = Given::default();
    if let Some(path) = &args.event {
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
            event: Some(event.clone()),
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
                collect(&GivenArgs { event: Some(event.clone()), ..GivenArgs::default() }).expect_err(text)
            );
            assert!(error.contains(why), "{text}: {error}");
        }
        Ok(())
    }
}
