//! What every command needs before it starts.

use std::future::Future;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use monkeyci_controller::{
    ApiOverTcp, BlobStore, BlobStoreError, ControllerError, GitAuth, Host, HostBuilder, Observer, SourceRequest,
    sidecar_beside_this_program,
};
use monkeyci_engines::{DockerOptions, NetworkFence};
use tokio::io::Interest;
use tokio::net::unix::pipe;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Done;
use crate::args::{EngineArgs, Fence, HomeArgs, ScriptArgs, StoreArgs};
use crate::exit::Exit;
use crate::languages;
use crate::signals::Signals;

/// The host's own log goes to stderr: warnings and worse, or from the level that MONKEYCI_LOG names. The libraries
/// stay at warnings whatever it names: some of them log the bodies of requests, and what jobs are given is in those.
pub fn logging() {
    let level = std::env::var("MONKEYCI_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        // Without the crate's own colours: it has no feature for "only on a terminal".
        .with_ansi(false);
    let levels = Targets::new().with_target("monkeyci", level).with_default(LevelFilter::WARN);
    tracing_subscriber::registry().with(lines).with(levels).init();
}

/// The most threads for what blocks: files, archives, git, compilers that are waited for. As many as tokio has unless told.
pub const BLOCKING_THREADS: usize = 512;

/// How long what a command leaves behind has to come to its end.
const GRACE: Duration = Duration::from_secs(1);
/// A command that was interrupted and has not come to its end by then waits for something that may never come.
const STUCK: Duration = Duration::from_secs(3);

/// Runs a command's future. Threads that block on after its end (a clone from a slow server) are not waited for.
pub fn block_on(command: impl Future<Output = Done>) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(|error| (Exit::Infrastructure, anyhow!(error).context("the async runtime can't be set up")))?;
    let done = runtime.block_on(command);
    runtime.shutdown_timeout(GRACE);
    done
}

/// Runs the future of a command that Ctrl-C ends wherever it is: what it has made for a moment goes with it.
pub fn until_interrupted(command: impl Future<Output = Done>) -> Done {
    block_on(async {
        let taken = || {
            let failed = "signals can't be handled";
            Signals::take().map_err(|error| (Exit::Infrastructure, anyhow!(error).context(failed)))
        };
        let (mut signals, again) = (taken()?, taken()?);
        // A command that prints for somebody who does not read hears nothing itself.
        tokio::spawn(again.end_the_process(STUCK));
        tokio::select! {
            done = command => done,
            () = signals.next() => Err((Exit::Interrupted, anyhow!("stopped before its end"))),
        }
    })
}

/// The same for one that only prints: it ends too when nobody reads any more what it prints (`| head`), also where it waits for more to
/// print.
pub fn while_read(command: impl Future<Output = Done>) -> Done {
    until_interrupted(async {
        tokio::select! {
            // Whose end has come says how it ended.
            biased;
            done = command => done,
            () = reader_gone() => Ok(Exit::Success),
        }
    })
}

/// Returns when the reader of standard output has gone. Files and devices have none that could.
async fn reader_gone() {
    // A pipe without a reader has an error. It is only watched: it blocks whoever writes, as before.
    let watched = std::io::stdout().as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd_unchecked);
    if let Ok(stdout) = watched
        && stdout.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Reads the script's file.
pub fn script(path: &Path) -> Result<Vec<u8>, (Exit, anyhow::Error)> {
    std::fs::read(path)
        .with_context(|| format!("the script {} can't be read", path.display()))
        .map_err(|error| (Exit::Usage, error))
}

/// Where the code is.
pub fn source(args: &ScriptArgs) -> Result<SourceRequest, (Exit, anyhow::Error)> {
    if let Some(url) = &args.git {
        return Ok(SourceRequest::Git {
            url: url.clone(),
            reference: args.reference.clone(),
            auth: git_auth(&args.git_auth)?,
        });
    }
    if args.dir.is_dir() {
        return Ok(SourceRequest::Dir(args.dir.clone()));
    }
    Err((Exit::Usage, anyhow!("{} is not a directory; name the code's directory with --dir", args.dir.display())))
}

/// The kind of a file that `--git-auth` names, and its path.
pub fn git_auth_parts(given: &str) -> (Option<&str>, &str) {
    match given.split_once('=') {
        Some((kind @ ("ssh-key" | "known-hosts"), path)) => (Some(kind), path),
        _ => (None, given),
    }
}

/// Who we are for git servers.
pub fn git_auth(given: &[String]) -> Result<GitAuth, (Exit, anyhow::Error)> {
    let mut auth = GitAuth::default();
    for given in given {
        let (kind, path) = git_auth_parts(given);
        let (place, what) = match kind {
            Some("ssh-key") => (&mut auth.ssh_key, "ssh key"),
            Some(_) => (&mut auth.known_hosts, "file of ssh's servers"),
            None => (&mut auth.credentials, "file of logins"),
        };
        let path = PathBuf::from(path);
        // Now, and not when a server asks.
        std::fs::File::open(&path)
            .with_context(|| format!("the {what} {} (--git-auth) can't be read", path.display()))
            .map_err(|error| (Exit::Usage, error))?;
        if place.replace(path).is_some() {
            return Err((Exit::Usage, anyhow!("--git-auth names more than one {what}; name one")));
        }
    }
    Ok(auth)
}

/// Opens the host, of whose builds `observer` hears.
pub async fn host(
    args: &StoreArgs,
    engine: &EngineArgs,
    observer: Arc<dyn Observer>,
) -> Result<Host, (Exit, anyhow::Error)> {
    builder(args, engine, observer)?.open().await.map_err(not_opened)
}

/// The same before it is opened.
pub fn builder(
    args: &StoreArgs,
    engine: &EngineArgs,
    observer: Arc<dyn Observer>,
) -> Result<HostBuilder, (Exit, anyhow::Error)> {
    let infrastructure = |error: anyhow::Error| (Exit::Infrastructure, error);
    if let Some(file) = &engine.registry_auth {
        // Now, and not when the first image is pulled.
        let readable = std::fs::File::open(file).with_context(|| format!("can't read the logins {}", file.display()));
        readable.map_err(|error| (Exit::Usage, error))?;
    }
    let docker = DockerOptions {
        permitted_networks: engine.permitted_networks.clone(),
        pod_networks: engine.pod_networks,
        registry_auth: engine.registry_auth.clone(),
        network_fence: match engine.network_fence {
            Fence::Required => NetworkFence::Required,
            Fence::Off => NetworkFence::Off,
        },
        ..docker(&engine.engine)?
    };
    let host = Host::builder(home(&args.home).map_err(infrastructure)?)
        .blobs(blobs(args))
        .docker(docker)
        .sidecar_program(sidecar_program().map_err(infrastructure)?)
        .patience(engine.wait_for_host)
        .languages(|code, path| {
            languages::in_repository(code, path).map(|made| made.map_err(|error| format!("{error:#}")))
        })
        // Its terminal is somebody's, who sees it wait.
        .park_after(None)
        .observer(observer);
    Ok(match engine.api_address {
        // Beyond loopback it has TLS.
        Some(listen) => host.tcp(ApiOverTcp { listen, advertise: listen.ip().to_string(), plain_network: false }),
        None => host,
    })
}

/// Where blobs are kept.
pub fn blobs(args: &StoreArgs) -> BlobStore {
    args.blobs.clone().map_or(BlobStore::Local, BlobStore::Url)
}

/// An error of the stores, with its exit code.
pub fn not_opened(error: ControllerError) -> (Exit, anyhow::Error) {
    let exit = match error {
        ControllerError::BlobStore(BlobStoreError::Config { .. }) => Exit::Usage,
        _ => Exit::Infrastructure,
    };
    (exit, error.into())
}

/// The host's home directory.
pub fn home(args: &HomeArgs) -> anyhow::Result<PathBuf> {
    if let Some(home) = &args.home {
        return Ok(home.clone());
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("MONKEYCI_HOME")
        .or_else(|| variable("XDG_STATE_HOME").map(|state| state.join("monkeyci-host")))
        .or_else(|| variable("HOME").map(|home| home.join(".local/state/monkeyci-host")))
        .context("there is no home directory for the host: HOME is not set; name one with --home")
}

/// The static program of sidecar and launcher: beside this program, or where MONKEYCI_SIDECAR says.
pub fn sidecar_program() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("MONKEYCI_SIDECAR") {
        return Ok(path.into());
    }
    Ok(sidecar_beside_this_program()?)
}

/// How the engine's API is reached; without an address where it is to be searched.
pub fn docker(engine: &str) -> Result<DockerOptions, (Exit, anyhow::Error)> {
    let exists = |path: &String| std::path::Path::new(path.trim_start_matches("unix://")).exists();
    let at = |socket: String| Ok(DockerOptions { socket: Some(socket), ..DockerOptions::default() });
    match engine {
        "auto" => Ok(DockerOptions::default()),
        "docker" => DockerOptions::docker().map_err(|error| (Exit::Usage, error.into())),
        "podman" => {
            let system = "unix:///run/podman/podman.sock".to_owned();
            let user = std::env::var("XDG_RUNTIME_DIR").map(|dir| format!("unix://{dir}/podman/podman.sock"));
            let own = std::env::var("CONTAINER_HOST");
            at(own.ok().or(user.ok().filter(exists)).unwrap_or(system))
        }
        address if address.contains("://") => at(address.to_owned()),
        other => Err((
            Exit::Usage,
            anyhow!(
                "there is no engine {other:?}; use auto, docker, podman, or an address like unix:///run/docker.sock or ssh://user@host"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_we_are_for_git_servers_is_one_file_of_each_kind_and_each_is_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a=b");
        std::fs::write(&file, "").expect("written");
        let given = |kind: &str, file: &std::path::Path| format!("{kind}{}", file.display());
        let all = ["", "ssh-key=", "known-hosts="].map(|kind| given(kind, &file));
        let auth = git_auth(&all).map_err(|(_, error)| error).expect("files that are there");
        let there = Some(file.clone());
        assert_eq!(auth, GitAuth { credentials: there.clone(), ssh_key: there.clone(), known_hosts: there });
        let gone = dir.path().join("none");
        for kind in ["", "ssh-key=", "known-hosts="] {
            for wrong in [vec![given(kind, &gone)], vec![given(kind, &file); 2]] {
                let (exit, error) = git_auth(&wrong).expect_err("wrong");
                assert_eq!(exit, Exit::Usage, "{wrong:?}");
                assert!(error.to_string().contains("--git-auth"), "{error}");
            }
        }
    }

    #[test]
    fn a_store_that_fails_is_infrastructure_and_a_wrong_url_is_usage() {
        let url = || "s3://bucket".to_owned();
        let (endpoint, reason) = ("here".to_owned(), "why".to_owned());
        for (error, exit) in [
            (BlobStoreError::Config { url: url(), reason: reason.clone() }, Exit::Usage),
            (BlobStoreError::NoKeys { url: url() }, Exit::Infrastructure),
            (BlobStoreError::Unreachable { url: url(), endpoint, reason }, Exit::Infrastructure),
        ] {
            assert_eq!(not_opened(error.into()).0, exit);
        }
    }
}
