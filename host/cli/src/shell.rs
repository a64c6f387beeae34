//! `monkeyci-host shell`

mod terminal;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use futures::StreamExt;
use monkeyci_controller::{Inputs, Left, Shell, ShellError, ShellRequest, Silent};
use monkeyci_engines::SessionOutput;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

use crate::Done;
use crate::args::{EngineArgs, ShellArgs, StoreArgs};
use crate::exit::Exit;
use crate::signals::Signals;
use crate::text::harmless;
use crate::{builds, inputs, setup};
use terminal::Terminal;

/// What is said to whoever wants no more of it.
const STOPPING: &str = "stopping; once more to leave everything as it is";

/// Runs a program in a job's container, and exits as that did.
pub async fn shell(args: ShellArgs) -> Done {
    let infrastructure = |error: anyhow::Error| (Exit::Infrastructure, error);
    let (build, job) = args.job.names();
    if !args.with_secrets && args.inputs.are_given() {
        let why = "parameters and secrets are given to a shell with --with-secrets alone; give that too";
        return Err((Exit::Usage, anyhow!(why)));
    }
    // Before the host is opened: that makes a home where none is.
    let (_, id) = builds::find(&args.home, build).await?;
    let stores = StoreArgs { home: args.home, blobs: None };
    let engine = EngineArgs { engine: args.engine, ..EngineArgs::default() };
    let host = setup::host(&stores, &engine, Arc::new(Silent)).await?;
    let build = host.build(&id).await.map_err(builds::failed)?;
    // Nothing is read that is not asked for.
    let given = if args.with_secrets {
        let needs = build.needed_inside(job).await.map_err(failed)?;
        inputs::collect_again(&args.inputs, std::env::vars_os(), &needs).map_err(|error| (Exit::Usage, error))?
    } else {
        Inputs::default()
    };
    let terminal = Terminal::of_this_process();
    let mut env = BTreeMap::new();
    if terminal.is_some() {
        env.extend(std::env::var("TERM").ok().map(|term| ("TERM".to_owned(), term)));
    }
    let mut request = ShellRequest::new(job).command(args.command);
    request.terminal = terminal.as_ref().map(Terminal::size);
    (request.env, request.inputs) = (env, given);
    (request.with_secrets, request.keep) = (args.with_secrets, args.keep);
    let progress = |text: String| note(&text);
    let signals = Signals::take();
    let mut signals = signals.map_err(|error| infrastructure(anyhow!(error).context("signals can't be handled")))?;
    let mut opening = std::pin::pin!(build.shell(request, &progress));
    let opened = tokio::select! {
        opened = &mut opening => Some(opened),
        () = signals.next() => None,
    };
    let Some(opened) = opened else {
        tokio::spawn(signals.end_the_process(Duration::ZERO));
        note(STOPPING);
        // What is being started is not left half started.
        leave(opening.await).await
    };
    let mut shell = opened.map_err(failed)?;

    let raw = terminal.as_ref().map(Terminal::raw).transpose();
    let raw = raw.map_err(|error| infrastructure(anyhow!(error).context("the terminal can't be made raw")))?;
    let followed = tokio::select! {
        followed = follow(&mut shell, terminal.as_ref()) => Some(followed),
        // Also while nobody reads what comes out.
        () = signals.next() => None,
    };
    // Before anything else is said.
    drop(raw);
    if followed.is_none() {
        tokio::spawn(signals.end_the_process(Duration::ZERO));
        note(STOPPING);
    }
    // Whatever became of the program: what was kept for it is not left behind.
    let Some(followed) = followed else { leave(Ok(shell)).await };
    let ended = shell.end().await;
    if let Ok((_, left)) = &ended {
        say_what_is_left(left);
    }
    followed.map_err(infrastructure)?;
    let (code, _) = ended.map_err(failed)?;
    // Not one of this command's own: the program's.
    std::process::exit(i32::try_from(code).unwrap_or(1))
}

/// Ends the process, when somebody has had enough of it.
async fn leave(opened: Result<Shell, ShellError>) -> ! {
    let left = match opened {
        Ok(shell) => shell.leave().await,
        Err(error) => Err(error),
    };
    match left {
        Ok(left) => say_what_is_left(&left),
        Err(error) => note(&error.to_string()),
    }
    std::process::exit(Exit::Interrupted as i32)
}

fn say_what_is_left(left: &Left) {
    match left {
        Left::Ended => note("the job has ended, and what ran in its container with it"),
        Left::Removed => note("removed the containers of the job; with --keep they stay"),
        _ => {}
    }
}

/// Passes on what goes in and what comes out, until the program has ended.
async fn follow(shell: &mut Shell, terminal: Option<&Terminal>) -> anyhow::Result<()> {
    let input = std::mem::replace(&mut shell.session.input, Box::pin(tokio::io::sink()));
    // What comes in waits for a program that does not read; what comes out must not.
    tokio::spawn(pass_on(input));
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    let mut resized = signal(SignalKind::window_change())?;
    loop {
        tokio::select! {
            said = shell.session.output.next() => match said {
                Some(Ok(SessionOutput::Stdout(bytes))) => {
                    stdout.write_all(&bytes).await?;
                    stdout.flush().await?;
                }
                Some(Ok(SessionOutput::Stderr(bytes))) => {
                    stderr.write_all(&bytes).await?;
                    stderr.flush().await?;
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            _ = resized.recv() => {
                if let Some(terminal) = terminal {
                    // One that has just ended has no terminal any more.
                    let _ = shell.session.control.resize(terminal.size()).await;
                }
            }
        }
    }
}

/// Passes standard input on, to its end.
async fn pass_on(mut input: Pin<Box<dyn AsyncWrite + Send>>) {
    let mut stdin = tokio::io::stdin();
    let mut buffer = vec![0; 8 << 10];
    loop {
        let read = stdin.read(&mut buffer).await.unwrap_or(0);
        // A program that has ended reads nothing more.
        if read == 0 || input.write_all(&buffer[..read]).await.is_err() || input.flush().await.is_err() {
            break;
        }
    }
    let _ = input.shutdown().await;
}

/// Says something that is not the program's.
fn note(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "monkeyci-host: {}", harmless(text, false));
}

fn failed(error: ShellError) -> (Exit, anyhow::Error) {
    match error {
        ShellError::Builds(error) => builds::failed(error),
        error @ (ShellError::Engine(_) | ShellError::Home { .. }) => (Exit::Infrastructure, error.into()),
        error => (Exit::Usage, error.into()),
    }
}
