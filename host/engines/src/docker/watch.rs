//! Waiting for a container, stopping it, and reading what it wrote.

use std::pin::pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::query_parameters::{LogsOptions, StopContainerOptions, WaitContainerOptions};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::DockerEngine;
use super::connect::Dialect;
use super::fault::{is_missing, is_taken, refused};
use super::names::Names;
use super::raw::{self, Inspected};
use crate::{EngineError, Part, PartExit};

/// The most that is kept of a container's last lines: a line has no end if its writer doesn't want one.
pub(super) const MOST_BYTES: usize = 256 * 1024;

impl DockerEngine {
    /// Waits until a container does not run, and says how it ended.
    pub(super) async fn wait_part(&self, names: &Names, part: &Part) -> Result<PartExit, EngineError> {
        let name = names.part(part)?;
        let lost = |error: &Error| {
            if is_missing(error) { no_such(&name) } else { refused(format!("wait for container {name}"), error) }
        };
        match &self.dialect {
            Dialect::Docker => self.wait_docker(&name).await,
            Dialect::Podman { own_api } => raw::wait_podman(&self.docker, own_api, &name).await,
        }
        .map_err(|error| lost(&error))?;

        let found = self.inspect(&name).await.map_err(|error| lost(&error))?;
        if found.waits_for_start() {
            // "Not running" is true of it, and a success it is not.
            return Err(cannot_tell(&name, "it was created and never started"));
        }
        if found.is_going() {
            return Err(no_such(&name));
        }
        if found.state.running {
            return Err(cannot_tell(&name, "the engine says that it ended, and that it runs"));
        }
        let code = found.state.exit_code;
        let out_of_memory = found.state.oom_killed || self.ran_out_of_memory(&name, &found).await;
        Ok(PartExit { code, out_of_memory })
    }

    /// Waits until a container of Docker does not run.
    async fn wait_docker(&self, name: &str) -> Result<(), Error> {
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        let mut answers = pin!(self.docker.wait_container(name, Some(options)));
        match answers.next().await {
            // bollard makes an error of any other exit code than 0.
            Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) => Ok(()),
            Some(Err(error)) => Err(error),
            None => Err(Error::IOError { err: std::io::ErrorKind::UnexpectedEof.into() }),
        }
    }

    /// Docker may hear of the end of a container before it hears why.
    async fn ran_out_of_memory(&self, name: &str, found: &Inspected) -> bool {
        // Podman never says it.
        if self.dialect != Dialect::Docker || !found.may_have_run_out_of_memory() {
            return false;
        }
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match self.inspect(name).await {
                Ok(found) if found.state.oom_killed => return true,
                Ok(_) => {}
                // How it ended is known; the rest does not matter.
                Err(_) => return false,
            }
        }
        false
    }

    /// Sends TERM to the job, and KILL after `grace`.
    pub(super) async fn stop_job(&self, names: &Names, grace: Duration) -> Result<(), EngineError> {
        self.stop_container(&names.job(), grace).await
    }

    /// Sends TERM to a container's program, and KILL after `grace`.
    pub(super) async fn stop_container(&self, name: &str, grace: Duration) -> Result<(), EngineError> {
        let seconds = grace.as_millis().div_ceil(1000);
        let options = StopContainerOptions {
            t: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
            ..StopContainerOptions::default()
        };
        // The answer comes when the container has stopped.
        let docker = self.docker.clone().with_timeout(grace.saturating_add(Duration::from_secs(60)));
        match docker.stop_container(name, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) || is_taken(&error) => Ok(()),
            Err(error) => Err(refused(format!("stop container {name}"), &error)),
        }
    }

    /// A container's output; with `follow` as it comes.
    pub(super) fn part_output(&self, name: String, follow: bool) -> BoxStream<'static, Result<Bytes, EngineError>> {
        let options = LogsOptions { stdout: true, stderr: true, follow, ..LogsOptions::default() };
        let chunks = self.docker.logs(&name, Some(options));
        let read = move |error| refused(format!("read the output of container {name}"), &error);
        chunks.map(move |chunk| chunk.map(LogOutput::into_bytes).map_err(&read)).boxed()
    }

    /// The last lines of a container's output.
    pub(super) async fn part_lines(&self, names: &Names, part: &Part, lines: usize) -> Result<String, EngineError> {
        let name = names.part(part)?;
        let options = LogsOptions { stdout: true, stderr: true, tail: lines.to_string(), ..LogsOptions::default() };
        let mut chunks = pin!(self.docker.logs(&name, Some(options)));
        let mut text = Vec::new();
        let read = async {
            while let Some(chunk) = chunks.next().await {
                text.extend_from_slice(chunk?.as_ref());
                if text.len() > 2 * MOST_BYTES {
                    text.drain(..text.len() - MOST_BYTES);
                }
            }
            Ok(())
        };
        match raw::whole(&self.docker, read).await {
            Ok(()) => {}
            Err(error) if is_missing(&error) => return Err(no_such(&name)),
            Err(error) => return Err(refused(format!("read the output of container {name}"), &error)),
        }
        text.drain(..text.len().saturating_sub(MOST_BYTES));
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

pub(super) fn no_such(name: &str) -> EngineError {
    EngineError::NoSuchPart(format!("container {name}"))
}

fn cannot_tell(name: &str, reason: &str) -> EngineError {
    EngineError::Refused { what: format!("tell how container {name} ended"), reason: reason.to_owned() }
}
