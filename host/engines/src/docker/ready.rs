//! The services' ready commands.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures::StreamExt;
use futures::future::try_join_all;
use monkeyci_api::GuardOrders;
use monkeyci_build::Readiness;

use super::DockerEngine;
use super::fault::{is_gone, refused, said};
use super::guard::{further, is_missing_program};
use super::names::Names;
use crate::{EngineError, Part, PodService};

/// The first pause between two attempts; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// How much of an attempt's output is kept.
pub(super) const OUTPUT: usize = 4 * 1024;

/// How many lines of a service's output go into the error of one that was never ready.
pub(super) const LINES: usize = 20;

/// What came of running a ready command once.
enum Attempt {
    Ready,
    NotYet(String),
    /// It can't become better: the program does not exist.
    Never(String),
}

impl DockerEngine {
    /// Returns when the ready commands of all services have succeeded. `orders` are what guards of further programs in a service's
    /// container are told.
    pub(super) async fn services_ready(
        &self,
        names: &Names,
        services: &[PodService],
        orders: &impl Fn(&PodService) -> Result<GuardOrders, EngineError>,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), EngineError> {
        let services = services.iter().map(async |service| self.service_ready(names, service, orders, progress).await);
        try_join_all(services).await.map(|_| ())
    }

    async fn service_ready(
        &self,
        names: &Names,
        service: &PodService,
        orders: &impl Fn(&PodService) -> Result<GuardOrders, EngineError>,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), EngineError> {
        let commands = commands(service);
        if commands.is_empty() {
            return Ok(());
        }
        let orders = orders(service)?;
        progress(format!("waiting for service {}", service.name));
        let part = Part::Service(service.name.clone());
        let name = names.part(&part)?;
        let last_said = Mutex::new(String::new());
        let limit = Duration::from_millis(service.ready_timeout_ms);
        let succeed = async {
            for argv in &commands {
                let program = self.command(further(&orders, argv));
                self.until_success(&name, service, argv, &program, &last_said).await?;
            }
            Ok(())
        };
        tokio::select! {
            // An end that comes together with a success is more to the point.
            biased;
            ended = self.wait_part(names, &part) => match ended {
                Err(error @ EngineError::Gone(_)) => Err(error),
                _ => Err(self.service_ended(names, service).await),
            },
            succeeded = succeed => match succeeded {
                Ok(()) => Ok(()),
                Err(Refusal::Engine(error)) => Err(error),
                Err(Refusal::Never(reason)) => Err(self.not_ready(names, service, reason).await),
            },
            () = tokio::time::sleep(limit) => {
                let said = last_said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let reason = format!("not ready within {} s; {said}", limit.as_secs_f32());
                Err(self.not_ready(names, service, reason).await)
            }
        }
    }

    /// Runs `program`, which becomes `argv`, in the container again and again until it exits with 0.
    async fn until_success(
        &self,
        container: &str,
        service: &PodService,
        argv: &[String],
        program: &[String],
        last_said: &Mutex<String>,
    ) -> Result<(), Refusal> {
        let command = argv.join(" ");
        let say = |text: String| *last_said.lock().unwrap_or_else(PoisonError::into_inner) = text;
        say(format!("`{command}` was still running"));
        let mut pause = FIRST_PAUSE;
        loop {
            match self.attempt(container, program).await {
                Ok(Attempt::Ready) => return Ok(()),
                Ok(Attempt::Never(reason)) => {
                    return Err(Refusal::Never(format!("`{command}` can't run: {reason}")));
                }
                Ok(Attempt::NotYet(reason)) => say(format!("`{command}` last said: {reason}")),
                Err(error) if is_gone(&error) => {
                    let what = format!("run `{command}` in service {}", service.name);
                    return Err(Refusal::Engine(refused(what, &error)));
                }
                // "Not running", for one: who waits for the end of the container knows more.
                Err(error) => say(format!("`{command}` could not run: {}", said(&error))),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn attempt(&self, container: &str, argv: &[String]) -> Result<Attempt, Error> {
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv.to_vec()),
            ..CreateExecOptions::default()
        };
        let exec = self.docker.create_exec(container, options).await?.id;
        let mut output = Vec::new();
        match self.docker.start_exec(&exec, None::<StartExecOptions>).await {
            Ok(StartExecResults::Attached { output: mut chunks, .. }) => {
                while let Some(chunk) = chunks.next().await {
                    let chunk = chunk?;
                    let room = OUTPUT - output.len();
                    output.extend(chunk.as_ref().iter().take(room));
                }
            }
            Ok(StartExecResults::Detached) => {}
            Err(error) => return Err(error),
        }
        let code = self.docker.inspect_exec(&exec).await?.exit_code.unwrap_or(-1);
        if code == 0 {
            return Ok(Attempt::Ready);
        }
        let output = String::from_utf8_lossy(&output).trim().to_owned();
        if is_missing_program(&output) {
            Ok(Attempt::Never(output))
        } else if output.is_empty() {
            Ok(Attempt::NotYet(format!("exit code {code}")))
        } else {
            Ok(Attempt::NotYet(format!("exit code {code}: {output}")))
        }
    }

    /// The error of a service that ended while somebody waited for it.
    pub(super) async fn service_ended(&self, names: &Names, service: &PodService) -> EngineError {
        let reason = match self.wait_part(names, &Part::Service(service.name.clone())).await {
            Ok(exit) if exit.out_of_memory => {
                format!("it ended with exit code {}, out of memory", exit.code)
            }
            Ok(exit) => format!("it ended with exit code {}", exit.code),
            Err(error) => error.to_string(),
        };
        self.not_ready(names, service, reason).await
    }

    async fn not_ready(&self, names: &Names, service: &PodService, reason: String) -> EngineError {
        // The reason is worth more than the lines: without them the error still tells what happened.
        let last_lines = self.part_lines(names, &Part::Service(service.name.clone()), LINES).await.unwrap_or_default();
        EngineError::ServiceNotReady { service: service.name.clone(), reason, last_lines }
    }
}

/// A service's ready commands.
pub(super) fn commands(service: &PodService) -> Vec<&Vec<String>> {
    let readiness = service.readiness.iter();
    let commands = readiness.filter_map(|readiness| match readiness {
        Readiness::Command(argv) => Some(argv),
        Readiness::Port(_) => None,
    });
    commands.collect()
}

/// Why a ready command is not tried any more.
enum Refusal {
    Engine(EngineError),
    Never(String),
}
