//! `monkeyci-host export`, and `import` of what it writes.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use monkeyci_controller::{BUNDLE_BYTES, Bundle, BundleError, BundlingError, Host, Imported, Silent};

use crate::args::{EngineArgs, ExportArgs, ImportCommandArgs, StoreArgs};
use crate::exit::Exit;
use crate::import::System;
use crate::text::{did_you_mean, harmless, print_line};
use crate::{Done, builds, setup};

/// Writes a build into a file.
pub async fn export(args: ExportArgs) -> Done {
    let (_, build) = builds::find(&args.stores.home, &args.build).await?;
    let bundle = open(&args.stores).await?.export(&build).await.map_err(failed)?;
    let path = args.output.unwrap_or_else(|| {
        let name = build.rsplit_once('/').map_or(build.as_str(), |(_, name)| name);
        PathBuf::from(format!("{name}.bundle"))
    });
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    let unwritten = || format!("{} can't be written; name another file with -o", path.display());
    let file = file.with_context(unwritten).map_err(|error| (Exit::Usage, error))?;
    let written = bundle.write(BufWriter::new(&file)).map_err(anyhow::Error::from).and_then(|()| Ok(file.sync_all()?));
    if let Err(error) = written {
        // Half a bundle is none.
        let _ = std::fs::remove_file(&path);
        return Err((Exit::Infrastructure, error.context(unwritten())));
    }
    let lacking = bundle.lacking();
    match args.json {
        true => print_line(&serde_json::json!({ "build": build, "file": path, "lacking": lacking }).to_string()),
        false => print_line(&format!("{build} is in {}", path.display())),
    }
    if !args.json && lacking > 0 {
        print_line(&format!(
            "it lacks {lacking} of the answers that its script was told, which are secrets, have one in them, or are large and not there any \
             more: `replay` stops where it needs one; see --secret there"
        ));
    }
    Ok(Exit::Success)
}

/// Takes a build into the home.
pub async fn import(args: ImportCommandArgs) -> Done {
    if let Some(word) = args.bundle.as_ref().filter(|_| args.file.is_some() || args.output.is_some()) {
        return Err((Exit::Usage, no_system(&word.to_string_lossy())));
    }
    let Some(path) = args.bundle.filter(|_| args.system.is_none()) else {
        return Err((Exit::Usage, anyhow!("name a bundle, or a system and a file of it, and not both")));
    };
    let bundle = read(&path)?;
    let Imported { build, was_there, .. } = open(&args.stores).await?.import(&bundle).await.map_err(failed)?;
    match (args.json, was_there) {
        (true, _) => print_line(&serde_json::json!({ "build": build, "was_there": was_there }).to_string()),
        (false, true) => print_line(&format!("the home has {} already", harmless(&build, false))),
        (false, false) => print_line(&format!("{} is in the home now", harmless(&build, false))),
    }
    Ok(Exit::Success)
}

/// That files of a system are not read, which stands before a file.
fn no_system(word: &str) -> anyhow::Error {
    let known: Vec<String> = System::value_variants().iter().map(|system| system.word()).collect();
    let hint = did_you_mean(word, known.iter().map(String::as_str));
    anyhow!("files of {word:?} are not read, but those of {}{hint}", known.join(", "))
}

/// Opens the host: no engine is looked for.
pub async fn open(stores: &StoreArgs) -> Result<Host, (Exit, anyhow::Error)> {
    setup::host(stores, &EngineArgs::default(), Arc::new(Silent)).await
}

/// Reads a bundle's file.
pub fn read(path: &Path) -> Result<Bundle, (Exit, anyhow::Error)> {
    let mut bytes = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(BUNDLE_BYTES + 1).read_to_end(&mut bytes));
    let unreadable = |error: io::Error| anyhow!(error).context(format!("{} can't be read", path.display()));
    opened.map_err(|error| (Exit::Usage, unreadable(error)))?;
    let bundle = Bundle::read(&bytes);
    bundle.map_err(|error| (Exit::Usage, anyhow!(error).context(format!("{} is not used", path.display()))))
}

/// An error, with its exit code.
pub fn failed(error: BundlingError) -> (Exit, anyhow::Error) {
    let exit = match &error {
        BundlingError::Replay(monkeyci_controller::ReplayError::Script(error)) if error.is_script() => Exit::BadScript,
        BundlingError::Host(_) | BundlingError::Bundle(BundleError::Archive(_)) => Exit::Infrastructure,
        _ => Exit::Usage,
    };
    (exit, error.into())
}
