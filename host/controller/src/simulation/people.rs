//! The people of a simulation: they approve and reject what waits for them, and cancel builds.

use std::sync::Arc;

use monkeyci_api::LogFrame;
use monkeyci_build::{Event, EventBody, Status};

use super::fault::Fault;
use super::world::World;
use crate::host::{Build, Host};
use crate::observer::Observer;

/// How long somebody takes to decide at most, in milliseconds.
const DECIDING_MS: u64 = 3_600_000;
/// What they are called.
const WHO: &str = "somebody";

/// They hear of what waits for them.
pub(super) struct People(pub(super) Arc<World>);

impl Observer for People {
    fn event(&self, build: &str, event: &Event) {
        if let EventBody::JobBlocked { job, .. } = &event.body {
            tokio::spawn(decide(self.0.clone(), build.to_owned(), job.clone(), event.seq));
        }
    }

    fn log(&self, _: &str, job: Option<&str>, frame: &LogFrame) {
        self.0.said(|said| said.hear(job, frame));
    }
}

/// Has them do what they have not done in the life of an earlier host.
pub(super) fn go_on(world: &Arc<World>, host: &Host, build: &Build) {
    if let Some(live) = host.live(build.id()) {
        let state = live.state();
        for (spec, _) in state.jobs().filter(|(_, job)| job.status == Status::Blocked) {
            tokio::spawn(decide(world.clone(), build.id().to_owned(), spec.id.clone(), 0));
        }
    }
    for fault in world.ahead() {
        if let Fault::Cancel { at_ms } = fault {
            tokio::spawn(cancel(world.clone(), build.clone(), at_ms));
        }
    }
}

/// Approves or rejects a job, some time later. Who is too late hears that, and lets it be.
async fn decide(world: Arc<World>, build: String, job: String, seq: u64) {
    world.after(world.chance.spread("decides", &format!("{job} {seq}"), DECIDING_MS)).await;
    let Some(host) = world.host() else { return };
    let Ok(build) = host.build(&build).await else { return };
    let decided = match world.is_rejected(&job) {
        true => build.reject(&job, WHO).await,
        false => build.approve(&job, WHO).await,
    };
    let what = if decided.is_ok() { "decides" } else { "is too late to decide" };
    world.note(format_args!("{WHO} {what} about {job}"));
}

async fn cancel(world: Arc<World>, build: Build, at_ms: u64) {
    world.until(at_ms).await;
    let is_it = |fault: &Fault| matches!(fault, Fault::Cancel { at_ms: at } if *at == at_ms);
    if world.take_ahead(is_it).is_some() {
        let cancelled = build.cancel(WHO).await;
        let what = if cancelled.is_ok() { "cancels the build" } else { "is too late to cancel" };
        world.note(format_args!("{WHO} {what}"));
    }
}
