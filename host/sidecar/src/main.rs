//! `monkeyci-sidecar`: the sidecar of a container job, its launcher, and the guard of its containers. See the library's documentation.

#[cfg(all(target_os = "linux", not(test), not(doc), not(target_feature = "crt-static")))]
compile_error!(
    "the sidecar has to be linked statically, which host/sidecar/rustc.sh sees to. Where RUSTC_WRAPPER is set, set \
     RUSTC_WORKSPACE_WRAPPER to the path of that file"
);

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use monkeyci_api::WAITED_IN_VAIN;
use monkeyci_sidecar::sidecar::SidecarError;
use monkeyci_sidecar::{guard, launcher, sidecar};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
Usage: monkeyci-sidecar launcher [--socket PATH] [--cgroup DIR] [--stop-limit SECONDS]
                                 [--entrypoint WORD]...
       monkeyci-sidecar sidecar [--config PATH] [--socket PATH] [--workspace DIR]
                                [--files DIR] [--outputs PATH]
       monkeyci-sidecar guard ORDERS [PROGRAM [ARGUMENT]...]
       monkeyci-sidecar --version";

fn main() {
    // A task that panics must not leave the others waiting for it: the container's end is what the host understands.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next().unwrap_or_default();
    let result = match role.to_str() {
        Some("launcher") => run_launcher(arguments),
        Some("sidecar") => run_sidecar(arguments),
        Some("guard") => run_guard(arguments),
        Some("--version") => {
            println!("monkeyci-sidecar {}", monkeyci_api::API_VERSION);
            Ok(0)
        }
        _ => {
            eprintln!("{USAGE}");
            exit(2);
        }
    };
    match result {
        Ok(code) => exit(i32::from(code)),
        Err(error) => {
            eprintln!("monkeyci {}: {error:#}", role.display());
            exit(if role == "launcher" || role == "guard" { i32::from(launcher::EXIT_LAUNCHER_FAILED) } else { 1 });
        }
    }
}

fn run_guard(mut arguments: impl Iterator<Item = OsString>) -> Result<u8> {
    let Some(orders) = arguments.next() else { bail!("too few arguments\n{USAGE}") };
    let error = guard::run(&orders.to_string_lossy(), arguments);
    // In one write: engines take what is written in parts for lines of their own.
    let _ = std::io::stderr().write_all(format!("monkeyci guard: {error}\n").as_bytes());
    Ok(error.exit_code())
}

fn run_launcher(arguments: impl Iterator<Item = OsString>) -> Result<u8> {
    let mut options = launcher::Options::default();
    for (name, value) in pairs(arguments)? {
        match name.as_str() {
            "--socket" => options.socket = value,
            "--cgroup" => options.cgroup = value,
            "--entrypoint" => options.entrypoint.push(value.to_string_lossy().into_owned()),
            "--stop-limit" => options.stop_limit = seconds(&value)?,
            _ => bail!("unknown option {name}\n{USAGE}"),
        }
    }
    Ok(launcher::run(&options)?)
}

fn run_sidecar(arguments: impl Iterator<Item = OsString>) -> Result<u8> {
    let mut options = sidecar::Options::default();
    for (name, value) in pairs(arguments)? {
        match name.as_str() {
            "--config" => options.config = value,
            "--socket" => options.socket = value,
            "--workspace" => options.workspace = value,
            "--files" => options.files = value,
            "--outputs" => options.outputs = value,
            _ => bail!("unknown option {name}\n{USAGE}"),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("can't start")?;
    let code: Result<u8> = runtime.block_on(async {
        // As PID 1 of its container the sidecar would not die of these by default.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let result = tokio::select! {
            result = sidecar::run(&options) => result,
            _ = terminate.recv() => exit(128 + 15),
            _ = interrupt.recv() => exit(128 + 2),
        };
        match result {
            Err(error @ SidecarError::InVain(_)) => {
                eprintln!("monkeyci sidecar: {error}");
                Ok(WAITED_IN_VAIN)
            }
            result => result.map(|()| 0).map_err(Into::into),
        }
    });
    // What still packs packs for nobody.
    runtime.shutdown_background();
    code
}

fn seconds(value: &Path) -> Result<Duration> {
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    seconds.map(Duration::from_secs).with_context(|| format!("{} is no number of seconds\n{USAGE}", value.display()))
}

fn pairs(mut arguments: impl Iterator<Item = OsString>) -> Result<Vec<(String, PathBuf)>> {
    let mut pairs = Vec::new();
    while let Some(name) = arguments.next() {
        let name = name.to_string_lossy().into_owned();
        let value = arguments.next().with_context(|| format!("{name} needs a value\n{USAGE}"))?;
        pairs.push((name, value.into()));
    }
    Ok(pairs)
}
