//! `monkeyci-host policy`: what a server's builds may have and do.

use anyhow::anyhow;
use monkeyci_server::{BuildFacts, Origin, Policy};

use crate::args::{ExplainArgs, HomeArgs, PolicyArgs, PolicyCommand};
use crate::exit::Exit;
use crate::text::print_line;
use crate::{Done, setup};

/// Says what a policy comes to.
pub fn policy(args: PolicyArgs) -> Done {
    let PolicyCommand::Explain(ExplainArgs { event, branch, data, policy }) = args.command;
    let read = match policy {
        Some(path) => Policy::read(&path),
        None => Policy::of_dir(&setup::home(&HomeArgs { home: data }).map_err(|error| (Exit::Usage, error))?),
    };
    let policy = read.map_err(|error| (Exit::Usage, error.into()))?;
    let Some(event) = event else {
        print_line(&policy.to_string());
        return Ok(Exit::Success);
    };
    let origin = Origin::of(&event).ok_or_else(|| {
        let known = Origin::ALL.map(Origin::as_str).join(", ");
        (Exit::Usage, anyhow!("no build comes from {event:?}; name one of {known}"))
    })?;
    let mut facts = BuildFacts::new("", origin);
    facts.branch = branch;
    print_line(&policy.explain(&facts));
    Ok(Exit::Success)
}
