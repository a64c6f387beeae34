//! `monkeyci-host gc`

use monkeyci_controller::Sweep;

use crate::args::GcArgs;
use crate::exit::Exit;
use crate::text::print_line;
use crate::{Done, setup};

/// Removes what no live build owns, and says what that was, one name a line.
pub async fn gc(args: GcArgs) -> Done {
    let controller = setup::controller(&args.stores, &args.engine).await?;
    let sweep = Sweep { dry_run: args.dry_run, kept: args.kept };
    let removed = controller.collect_garbage(sweep).await.map_err(|error| (Exit::Infrastructure, error.into()))?;
    for name in &removed {
        print_line(name);
    }
    let done = if args.dry_run { "would be removed" } else { "removed" };
    print_line(&format!("{} {done}", removed.len()));
    Ok(Exit::Success)
}
