//! The pods of a build whose host has died: which of them go on, and what becomes of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use monkeyci_build::ServiceSpec;
use monkeyci_engines::{Engine, EngineError, PodState};

use super::JobContext;
use super::container::{PARTING, ServiceLogs, finds_us, kept_in, key, may_find_us};
use crate::home::BuildDir;

/// How many pods are removed at once.
pub(super) const AT_ONCE: usize = 8;

/// A container job that has begun, by what the journal says.
struct Begun {
    job: String,
    /// Its last attempt.
    attempt: u32,
    services: Vec<ServiceSpec>,
    /// Its last attempt may go on: it ran when the host died.
    may_go_on: bool,
    /// Its command is known to have begun.
    command_runs: bool,
    /// Its sidecar has said how it ended.
    reported: bool,
}

/// Looks what the engine has of a build that another process has begun. Returns the jobs that go on; of a build that is only to be ended
/// none does. What the others have left is removed, when the output of their services is stored, and their logs say that they may
/// lack something.
///
/// # Errors
/// When the engine can't be asked, or something can't be removed.
pub(crate) async fn take_over(
    context: &JobContext,
    dir: &BuildDir,
    only_to_end: bool,
) -> Result<BTreeSet<String>, EngineError> {
    let begun = begun(context);
    if begun.is_empty() {
        return Ok(BTreeSet::new());
    }
    let build = &context.live.id;
    let engine = context.services.engines.find().await?;
    let owner = context.services.engines.owner();
    // Somebody may look into them.
    let kept = kept_in(&dir.path).into_iter().map(|kept| key(build, &kept.job, kept.attempt));
    let kept: BTreeSet<String> = kept.collect();
    let pods = async || {
        let pods = engine.pods(owner).await?.into_iter().filter(|pod| pod.build == *build && !kept.contains(&pod.key));
        Ok::<BTreeMap<String, PodState>, EngineError>(pods.map(|pod| (pod.key, pod.state)).collect())
    };
    let mut others = pods().await?;
    let (mut go_on, mut lost) = (BTreeMap::new(), Vec::new());
    for Begun { job, attempt, may_go_on, command_runs, reported, services: _ } in &begun {
        let key = key(build, job, *attempt);
        let goes_on = *may_go_on
            && !only_to_end
            && match others.get(&key) {
                Some(PodState::Alive) => finds_us(context, dir, job, *attempt),
                Some(PodState::Over) => *reported,
                // Its command can't have begun: the rest of the pod is made now, with what there is of it. That may also come into being
                // only now: the engine may still be about what the dead process asked for.
                Some(PodState::Unfinished) | None => {
                    dir.left && !command_runs && !reported && may_find_us(context, dir, job, *attempt)
                }
            };
        if goes_on {
            others.remove(&key);
            go_on.insert(key, job.clone());
        } else if *may_go_on && !reported {
            lost.push(job);
        }
    }
    catch_up(context, &engine, &begun, &others).await;
    while !others.is_empty() {
        let removals = stream::iter(others.into_keys().map(|key| {
            let engine = engine.clone();
            async move { engine.remove(&key).await }
        }));
        removals.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        // What the dead process asked for last may have come into being meanwhile.
        others = pods().await?;
        others.retain(|key, _| !go_on.contains_key(key));
    }
    for job in lost {
        context.say(Some(job), "--- the host died while this job ran: what it said last may be missing here ---").await;
    }
    Ok(go_on.into_values().collect())
}

/// The container jobs that have begun.
fn begun(context: &JobContext) -> Vec<Begun> {
    let state = context.live.state();
    let may_go_on: BTreeSet<&str> = state.may_go_on().map(|(spec, _)| spec.id.as_str()).collect();
    let begun = state.jobs().filter(|(_, job)| job.started_ms.is_some()).filter_map(|(spec, job)| {
        let container = spec.container()?;
        Some(Begun {
            job: spec.id.clone(),
            attempt: job.attempt,
            services: container.services.clone(),
            may_go_on: may_go_on.contains(spec.id.as_str()),
            command_runs: job.command_runs,
            reported: job.reported.is_some(),
        })
    });
    begun.collect()
}

/// Stores what the services of these pods have written so far.
async fn catch_up(context: &JobContext, engine: &Arc<dyn Engine>, begun: &[Begun], pods: &BTreeMap<String, PodState>) {
    let mut logs = Vec::new();
    for Begun { job, attempt, services, .. } in begun.iter().filter(|begun| !begun.services.is_empty()) {
        for attempt in 1..=*attempt {
            let key = key(&context.live.id, job, attempt);
            if pods.contains_key(&key) {
                logs.extend(ServiceLogs::catch_up(context, engine, (&key, job, attempt), services));
            }
        }
    }
    for log in logs {
        log.finish(PARTING).await;
    }
}
