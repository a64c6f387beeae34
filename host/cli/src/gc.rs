//! `monkeyci-host gc`

use monkeyci_controller::{ControllerError, Retention, Sweep};

use crate::args::GcArgs;
use crate::exit::Exit;
use crate::text::{harmless, print_line};
use crate::{Done, setup};

/// Removes what no live build owns, and what is not to be kept any more; says what that was, one name a line.
pub async fn gc(args: GcArgs) -> Done {
    let controller = setup::controller(&args.stores, &args.engine).await?;
    let failed = |error: ControllerError| (Exit::Infrastructure, error.into());
    let GcArgs { dry_run, kept, older_than, keep_last, cache_size, .. } = args;
    let retention = Retention { older_than, keep_last, cache_bytes: cache_size };
    // What is old needs no engine: it is removed, and said, whatever becomes of the rest.
    let old = controller.remove_old(retention, dry_run).await.map_err(failed)?;
    old.iter().for_each(|name| print_line(&harmless(name, false)));
    let swept = controller.collect_garbage(Sweep { dry_run, kept }).await.map_err(failed)?;
    swept.removed.iter().for_each(|name| print_line(name));
    for build in &swept.left {
        print_line(&format!(
            "{build} is left: its containers wait for another host; `monkeyci-host resume {build}` goes on, `cancel` removes it"
        ));
    }
    for (build, job) in &swept.kept {
        let shell = harmless(&format!("monkeyci-host shell {build} {job}"), false);
        print_line(&format!("kept: `{shell}` looks into a failed job, `gc --kept` removes its containers"));
    }
    let done = if dry_run { "would be removed" } else { "removed" };
    print_line(&format!("{} {done}", old.len() + swept.removed.len()));
    Ok(Exit::Success)
}
