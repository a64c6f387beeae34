//! `monkeyci-host plan`

mod assume;
mod diff;
mod replays;
mod text;

use std::sync::Arc;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use monkeyci_build::{Assumed, Plan};
use monkeyci_controller::{BuildRequest, CheckError, Host, Silent, SourceRequest};

use self::diff::{Side, Told};
use crate::Done;
use crate::args::{EngineArgs, PlanArgs};
use crate::exit::Exit;
use crate::signals::Signals;
use crate::text::{causes, did_you_mean, harmless_lines, print_line};
use crate::{builds, given, inputs, script, setup};

type Failed = (Exit, anyhow::Error);

/// Says what builds would do, or what tells two scripts apart.
pub async fn plan(args: PlanArgs) -> Done {
    let usage = |error: anyhow::Error| (Exit::Usage, error);
    let events = given::collect_all(&args.script.given).map_err(usage)?;
    let mut scripts: Vec<Bytes> = vec![script::bytes(&args.script)?.into()];
    scripts.extend(args.diff.as_deref().map(script::at).transpose()?.map(Bytes::from));
    let source = setup::source(&args.script)?;
    let inputs = inputs::collect(&args.script.inputs, std::env::vars_os()).map_err(usage)?;
    if let Some(count) = args.replay_last {
        let host = setup::host(&args.script.stores, &EngineArgs::default(), Arc::new(Silent)).await?;
        let script = scripts.swap_remove(0);
        return replays::last(&host, (&source, count), script, inputs.secrets, args.json).await;
    }
    let mut requests = Vec::new();
    for script in &scripts {
        for (_, given) in &events {
            let trigger = given::trigger(given);
            let mut request = BuildRequest::new(script.clone(), source.clone()).trigger(trigger);
            (request.inputs, request.select, request.given) = (inputs.clone(), args.select.select(), given.clone());
            requests.push(request);
        }
    }
    let host = setup::host(&args.script.stores, &EngineArgs::default(), Arc::new(Silent)).await?;
    let (assumed, from) = assumed(&host, args.assume.as_deref(), &source).await?;
    let mut signals =
        Signals::take().map_err(|error| (Exit::Infrastructure, anyhow!(error).context("signals can't be handled")))?;
    let plans = tokio::select! {
        plans = host.plans(&requests, &assumed) => plans.map_err(failed)?,
        // What it has made in the temporary directory goes with it.
        () = signals.next() => return Err((Exit::Interrupted, anyhow!("stopped before the plan was made"))),
    };
    let events: Vec<Option<String>> =
        events.iter().map(|(event, _)| event.map(|event| event.display().to_string())).collect();
    let mut sides = sides(&events, plans)?;
    look_for(&assumed, &sides);
    let old = sides.split_off(events.len());
    match args.diff {
        None => show(&events, sides, from.as_deref(), args.json),
        Some(_) => {
            let told = events.into_iter().zip(old.iter().zip(&sides).map(|(old, new)| Told::of(old, new))).collect();
            Ok(show_diff(told, &sides, args.json))
        }
    }
}

/// What is assumed, and of which build.
async fn assumed(
    host: &Host,
    asked: Option<&str>,
    source: &SourceRequest,
) -> Result<(Assumed, Option<String>), Failed> {
    match asked {
        None => Ok((Assumed::default(), None)),
        Some("success") => Ok((Assumed::success(), None)),
        Some("last") => {
            let last = host.last_results(source).await.map_err(builds::failed)?;
            let (build, assumed) = last.with_context(|| {
                "there is no build of this repository in the home whose results could be assumed; run one, or use --assume success"
            }).map_err(|error| (Exit::Usage, error))?;
            Ok((assumed, Some(build)))
        }
        Some(path) => Ok((assume::file(path.as_ref()).map_err(|error| (Exit::Usage, error))?, None)),
    }
}

fn failed(error: CheckError) -> Failed {
    let exit = match &error {
        CheckError::Select(_) => Exit::Usage,
        error if error.is_script() => Exit::BadScript,
        _ => Exit::Infrastructure,
    };
    (exit, error.into())
}

/// Each plan, or why the script has none. That the host can't make one is no answer: then all are told of which there is none, and why.
fn sides(events: &[Option<String>], plans: Vec<Result<Plan, CheckError>>) -> Result<Vec<Side>, Failed> {
    let mut exit = None;
    let side = |plan: Result<Plan, CheckError>| {
        plan.map_err(|error| {
            let is_script = error.is_script();
            let (code, error) = failed(error);
            exit = exit.or((!is_script).then_some(code));
            causes(&error)
        })
    };
    let sides: Vec<Side> = plans.into_iter().map(side).collect();
    match exit {
        None => Ok(sides),
        Some(exit) => Err((exit, anyhow!(told_together(events.iter().cycle().zip(&sides))))),
    }
}

/// The errors of events, a line each, where those are told together that have the same one.
fn told_together<'a>(sides: impl Iterator<Item = (&'a Option<String>, &'a Side)>) -> String {
    let mut told: Vec<(&str, Vec<&str>)> = Vec::new();
    for (event, side) in sides {
        let (event, Err(error)) = (event.as_deref().unwrap_or_default(), side) else { continue };
        match told.iter_mut().find(|(other, _)| other == error) {
            // Both scripts fail alike.
            Some((_, events)) if events.contains(&event) => {}
            Some((_, events)) => events.push(event),
            None => told.push((error, vec![event])),
        }
    }
    let line = |(error, events): &(&str, Vec<&str>)| match events.as_slice() {
        [""] => (*error).to_owned(),
        events => format!("{}: {error}", events.join(", ")),
    };
    told.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Says which of the jobs of which something is assumed are in no plan.
fn look_for(assumed: &Assumed, sides: &[Side]) {
    let plans = || sides.iter().filter_map(|side| side.as_ref().ok());
    let is_there = |job: &str| {
        plans().any(|plan| plan.job(job).is_some() || plan.removed.iter().any(|(removed, _)| removed == job))
    };
    for job in assumed.jobs().filter(|job| !is_there(job)) {
        let ids = plans().flat_map(|plan| plan.jobs.iter().map(|job| job.spec.id.as_str()));
        let near = did_you_mean(job, ids);
        tracing::warn!("something is assumed of the job {job:?}, and there is none{near}");
    }
}

fn show(events: &[Option<String>], plans: Vec<Side>, from: Option<&str>, json: bool) -> Done {
    let broken = told_together(events.iter().zip(&plans));
    if json {
        let plan = |(event, plan): (&Option<String>, &Side)| match plan {
            Ok(plan) => serde_json::json!({ "event": event, "plan": plan }),
            Err(error) => serde_json::json!({ "event": event, "error": error }),
        };
        let plans: Vec<_> = events.iter().zip(&plans).map(plan).collect();
        let answer = serde_json::json!({ "ok": broken.is_empty(), "plans": plans, "assumed_from": from });
        print_line(&answer.to_string());
    } else {
        for (event, plan) in events.iter().zip(&plans) {
            let Ok(plan) = plan else { continue };
            event.iter().for_each(|event| print_line(&harmless_lines(&format!("{event}:"))));
            text::plan(plan).iter().for_each(|line| print_line(line));
        }
        from.iter().for_each(|build| print_line(&format!("results: those of the last build, {build}")));
    }
    if broken.is_empty() { Ok(Exit::Success) } else { Err((Exit::BadScript, anyhow!(broken))) }
}

fn show_diff(events: Vec<(Option<String>, Told)>, new: &[Side], json: bool) -> Exit {
    let same = events.iter().all(|(_, told)| told.is_same());
    if json {
        let events: Vec<_> =
            events.iter().map(|(event, told)| serde_json::json!({ "event": event, "told": told })).collect();
        print_line(&serde_json::json!({ "same": same, "events": events }).to_string());
    } else {
        diff::lines(&events, new).iter().for_each(|line| print_line(line));
    }
    if same { Exit::Success } else { Exit::BadScript }
}
