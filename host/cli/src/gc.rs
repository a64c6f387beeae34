//! `monkeyci-host gc`

use std::sync::Arc;

use monkeyci_controller::{ControllerError, Retention, Silent, Sweep};

use crate::args::GcArgs;
use crate::exit::Exit;
use crate::progress::Hints;
use crate::text::{harmless, print_line};
use crate::{Done, builds, setup};

/// Removes what no live build owns, and what is not to be kept any more; says what that was, one name a line.
pub async fn gc(args: GcArgs) -> Done {
    // Before the host is opened: that makes a home where none is.
    drop(builds::open(&args.stores.home).await?);
    let host = setup::host(&args.stores, &args.engine, Arc::new(Silent)).await?;
    let hints = Hints::of(&args.stores.home).on(&args.engine);
    let failed = |error: ControllerError| (Exit::Infrastructure, error.into());
    let GcArgs { dry_run, kept, older_than, keep_last, cache_size, .. } = args;
    let mut retention = Retention::default();
    (retention.older_than, retention.keep_last, retention.cache_bytes) = (older_than, keep_last, cache_size);
    // What is old needs no engine: it is removed, and said, whatever becomes of the rest.
    let old = host.clean(&retention, dry_run).await.map_err(failed)?;
    old.iter().for_each(|removed| print_line(&harmless(&removed.to_string(), false)));
    let swept = host.collect_garbage(Sweep { dry_run, kept }).await.map_err(failed)?;
    swept.removed.iter().for_each(|name| print_line(name));
    let quiet = |command: String| harmless(&command, false);
    for build in &swept.left {
        let (resume, cancel) = (quiet(hints.resume(build)), quiet(hints.cancel(build)));
        print_line(&format!(
            "{build} is left: its containers wait for another host; `{resume}` goes on, `{cancel}` removes it"
        ));
    }
    for (build, job) in &swept.kept {
        let shell = quiet(hints.kept(build, std::iter::once(job.as_str())).concat());
        print_line(&format!(
            "kept: `{shell}` looks into a failed job of {build}, `{}` removes its containers",
            quiet(hints.remove_kept())
        ));
    }
    let done = if dry_run { "would be removed" } else { "removed" };
    let bytes: u64 = old.iter().map(|removed| removed.bytes).sum();
    let of_store = if bytes > 0 { format!(", {bytes} bytes") } else { String::new() };
    print_line(&format!("{} {done}{of_store}", old.len() + swept.removed.len()));
    Ok(Exit::Success)
}
