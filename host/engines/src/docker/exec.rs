//! A further program in a job's container, with a terminal or without.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use monkeyci_api::{HAND_OVER, Handed};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::DockerEngine;
use super::connect::Dialect;
use super::fault::refused;
use super::guard;
use super::names::Names;
use super::ready::OUTPUT;
use crate::{EngineError, Session, SessionControl, SessionOutput, TerminalSize};

/// What would leave a program running without a terminal: keys that nobody types one after the other. (The engine's own would take
/// what shells and editors use, and none at all it does not take.)
const DETACH_KEYS: &str = "ctrl-@,ctrl-_,ctrl-@,ctrl-_,ctrl-@,ctrl-_,ctrl-^";

/// How often it is looked whether a program has ended whose output has, and the pause between.
const LOOKS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

impl DockerEngine {
    /// Runs what is handed over.
    pub(super) async fn exec_in_job(
        &self,
        names: &Names,
        handed: &Handed,
        terminal: Option<TerminalSize>,
    ) -> Result<Session, EngineError> {
        let name = names.job();
        let what = || format!("run a program in container {name}");
        let refuse = |reason: &str| EngineError::Refused { what: what(), reason: reason.to_owned() };
        let found = self.existing_part(names, &name).await?;
        if !found.state.running {
            return Err(refuse("it does not run"));
        }
        // Its user, and how that one gets it: as the container itself got it.
        let orders = guard::began_with(Some(&found), &name)?;
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(terminal.is_some()),
            detach_keys: Some(DETACH_KEYS.to_owned()),
            cmd: Some(self.command(guard::handed(&orders))),
            ..CreateExecOptions::default()
        };
        let failed = |error: &Error| refused(what(), error);
        let exec = self.docker.create_exec(&name, options).await.map_err(|error| failed(&error))?.id;
        // Of a terminal too, Docker sends what it writes in frames when it is not told that there is one. Without frames, what begins with
        // a byte below three would be taken for one. Podman sends none.
        let tty = terminal.is_some() && self.dialect != Dialect::Docker;
        let start = StartExecOptions { detach: false, tty, output_capacity: None };
        // How long it runs is nobody's business, and bollard counts from the first byte.
        let started = self.docker.start_exec(&exec, Some(start)).await.map_err(|error| failed(&error))?;
        let StartExecResults::Attached { output, input } = started else {
            return Err(refuse("it was not attached"));
        };
        let control = Control { docker: self.docker.clone(), exec };
        let ready = async {
            // The guard waits: there is somebody to tell.
            match terminal {
                Some(size) => control.resize(size).await.map_err(|error| error.to_string()),
                None => Ok(()),
            }
        };
        let session = hand_over(input, output, handed, ready, self.docker.timeout()).await;
        let session = session.map_err(|reason| refuse(&reason))?;
        let name = name.clone();
        let read = move |error| refused(format!("read what a program in container {name} writes"), &error);
        let first = futures::stream::iter(session.first.map(Ok));
        let output = first.chain(session.output).map(move |chunk| match chunk {
            Ok(LogOutput::StdErr { message }) => Ok(SessionOutput::Stderr(message)),
            Ok(other) => Ok(SessionOutput::Stdout(other.into_bytes())),
            Err(error) => Err(read(error)),
        });
        Ok(Session { input: session.input, output: output.boxed(), control: Box::new(control) })
    }
}

/// A program that has been handed what it is to have.
struct Begun {
    input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What came together with the guard's word that it can be handed something.
    first: Option<LogOutput>,
    output: BoxStream<'static, Result<LogOutput, Error>>,
}

/// Waits until the guard can be handed something, then for `ready`, and hands it over. All of it takes no longer than `limit`.
async fn hand_over(
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: impl futures::Stream<Item = Result<LogOutput, Error>> + Send + 'static,
    handed: &Handed,
    ready: impl Future<Output = Result<(), String>>,
    limit: Duration,
) -> Result<Begun, String> {
    let begun = begin(input, output, handed, ready);
    let silent = |_| Err(format!("its guard has not taken what it is to be handed within {} s", limit.as_secs()));
    tokio::time::timeout(limit, begun).await.unwrap_or_else(silent)
}

async fn begin(
    mut input: Pin<Box<dyn AsyncWrite + Send>>,
    output: impl futures::Stream<Item = Result<LogOutput, Error>> + Send + 'static,
    handed: &Handed,
    ready: impl Future<Output = Result<(), String>>,
) -> Result<Begun, String> {
    let mut output = output.boxed();
    let mut words = Vec::new();
    let first = loop {
        match output.next().await {
            Some(Ok(chunk)) => {
                let bytes = chunk.into_bytes();
                if let Some(at) = bytes.iter().position(|byte| *byte == HAND_OVER) {
                    break bytes.slice(at + 1..);
                }
                words.extend(bytes.iter().take(OUTPUT.saturating_sub(words.len())));
            }
            Some(Err(error)) => return Err(error.to_string()),
            None if words.is_empty() => return Err("it ended at once".to_owned()),
            None => return Err(String::from_utf8_lossy(&words).trim().to_owned()),
        }
    };
    ready.await?;
    let json = serde_json::to_vec(handed).map_err(|error| error.to_string())?;
    let sent = async {
        input.write_all(format!("{}\n", json.len()).as_bytes()).await?;
        input.write_all(&json).await?;
        input.flush().await
    };
    sent.await.map_err(|error| error.to_string())?;
    let first = Some(first).filter(|bytes: &Bytes| !bytes.is_empty());
    Ok(Begun { input, first: first.map(|message| LogOutput::StdOut { message }), output })
}

struct Control {
    docker: Docker,
    exec: String,
}

#[async_trait]
impl SessionControl for Control {
    async fn resize(&self, size: TerminalSize) -> Result<(), EngineError> {
        let options = ResizeExecOptions { height: size.rows, width: size.columns };
        let resized = self.docker.resize_exec(&self.exec, options).await;
        resized.map_err(|error| refused("resize a terminal", &error))
    }

    async fn exit_code(&self) -> Result<i64, EngineError> {
        let what = "say how a program ended";
        // An engine may hear of the end of its output before it hears of its end.
        for _ in 0..LOOKS {
            let found = self.docker.inspect_exec(&self.exec).await.map_err(|error| refused(what, &error))?;
            match found.exit_code {
                Some(code) if found.running != Some(true) => return Ok(code),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        Err(EngineError::Refused { what: what.to_owned(), reason: "it says that it still runs".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_guard_that_never_says_a_word_is_given_up() {
        let (input, handed) = (Box::pin(tokio::io::sink()), Handed::default());
        let silent = futures::stream::pending();
        let begun = hand_over(input, silent, &handed, std::future::ready(Ok(())), Duration::ZERO).await;
        let reason = begun.err().unwrap_or_default();
        assert!(reason.contains("within 0 s"), "{reason}");
    }
}
