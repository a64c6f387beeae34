//! Planning a build: its script is asked for its jobs, and for what it makes of results that are assumed. Nothing runs, and nothing is kept.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use monkeyci_build::{
    Answer, Assumed, AssumedJob, Ending, Input, JobSpec, Plan, Planner, Select, ToldCall, Turn, check_refined,
    select_only,
};
use monkeyci_script::{Acted, Action, Recording, Refined, Said, Script, ScriptError, Transcript};

use super::Services;
use super::check::{CheckError, Declared, declare};
use super::checkout::enter;
use crate::running::{BuildHandle, BuildRequest, Planned};
use crate::source::Checkout;

/// The plan of a build, and what is to be said of its request.
pub(crate) struct PlannedBuild {
    pub(crate) plan: Plan,
    /// The parameters that were given and that its script has neither declared nor asked for, each with what to say of it.
    pub(crate) unasked_params: Vec<(String, String)>,
}

/// Plans the build of `request` by this script, of this code; what the script writes goes below `dir`. It is told this id and this time.
///
/// # Errors
/// When the script does not declare its jobs, or jobs were asked for that are not there.
pub(crate) async fn plan(
    services: &Services,
    request: &BuildRequest,
    (live, script, assumed): (&BuildHandle, &Script, &Arc<Assumed>),
    (checkout, dir): (&Checkout, &Path),
    (id, time_ms): (&str, u64),
) -> Result<PlannedBuild, CheckError> {
    let said = (request.trigger.as_str(), &request.given);
    let (source, _) = enter(live, checkout.clone(), said, dir.to_owned(), None)
        .map_err(|message| CheckError::Source(live.masking.text(&message)))?;
    let Declared { checked, transcript, unasked_params } =
        declare(services, (&request.trigger, script), live, (id, source, Some(time_ms))).await?;
    let (jobs, removed) = (checked.graph.jobs(), &checked.removed);
    let selection = match &request.select {
        Some(Select::Jobs(wanted)) => Some(select_only(jobs, removed, wanted, false)?),
        Some(Select::Until(wanted)) => Some(select_only(jobs, removed, wanted, true)?),
        Some(Select::Again(_)) | None => None,
    };
    let planned = live.plan.get_or_init(Planned::default);
    let mut asking = Asking { services, live, planned, script, transcript: &transcript, seen: None };
    let mut planner = Planner::new(checked, selection, assumed.clone());
    loop {
        let answer = match planner.turn() {
            Turn::Done => break,
            Turn::Refine(job) => asking.refine(&mut planner, &job).await?,
            Turn::Act(job) => asking.act(&mut planner, &job).await?,
        };
        planner.answer(answer);
    }
    let mut plan = planner.into_plan();
    plan.permissions.imports.extend(permissions(script.imports()));
    plan.permissions.secrets.extend(secrets(&transcript.told().calls));
    Ok(PlannedBuild { plan, unasked_params })
}

/// What a script may do by its imports, without the versions of interfaces: what a standard library needs has no reach.
fn permissions(imports: &[String]) -> impl Iterator<Item = String> {
    let own = imports.iter().filter(|import| import.starts_with("monkeyci:"));
    own.map(|import| import.split('@').next().unwrap_or_default().to_owned())
}

/// The secrets that `define` has asked for by name, whether they are there or not.
fn secrets(calls: &[ToldCall]) -> BTreeSet<String> {
    let name = |call: &ToldCall| {
        let quoted = call.request.strip_prefix("secrets.get(")?.strip_suffix(')')?;
        Some(serde_json::from_str(quoted).unwrap_or_else(|_| quoted.to_owned()))
    };
    calls.iter().filter_map(name).collect()
}

/// Asks a script what only it can say.
struct Asking<'a> {
    services: &'a Services,
    live: &'a BuildHandle,
    planned: &'a Planned,
    script: &'a Script,
    transcript: &'a Arc<Transcript>,
    /// Where the build's events were when the script was let see the plan the last time.
    seen: Option<u64>,
}

impl Asking<'_> {
    /// Lets the script see the build as it is in the plan by now. Says which job it is asked about, and where the build's events are.
    fn see(&mut self, planner: &mut Planner, job: &str) -> Result<(JobSpec, u32, u64), CheckError> {
        let happened = planner.take_events();
        for job in happened.iter().filter_map(|event| event.body.job()) {
            self.planned.set(job, planner.known(job));
        }
        // What an action has made of the state stands in the plan when the action has ended there.
        let is_the_plans = self.seen.is_some_and(|seen| !self.live.is_changed(seen));
        let seen = self.live.seen();
        self.seen = Some(seen);
        let mut state = self.live.state();
        match is_the_plans {
            true => happened.iter().for_each(|event| drop(state.step(Input::Event(event)))),
            false => *state = planner.state().clone(),
        }
        let spec = state.graph().get(job).cloned();
        let spec = spec.ok_or_else(|| CheckError::Failed(format!("the plan has no job {job:?}")))?;
        Ok((spec, state.turn(job), seen))
    }

    async fn refine(&mut self, planner: &mut Planner, job: &str) -> Result<Answer, CheckError> {
        let (spec, attempt, _) = self.see(planner, job)?;
        let life = self.services.runtime.limits().define_time + Duration::from_secs(60);
        let client = self.services.script_client(self.live, Some((&spec, attempt)), life)?;
        let refined = self.script.refine(&client, self.transcript, job, &Recording::default()).await;
        let broken = |message: String| Answer::Over(Ending::RefineFailed { message: self.live.masking.text(&message) });
        Ok(match refined {
            Ok(Refined::Skipped(reason)) => Answer::Over(Ending::NotNeeded { reason: self.live.masking.text(&reason) }),
            Ok(Refined::Completed(draft)) => match check_refined(&spec, &draft) {
                Err(faults) => broken(self.live.masking.faults(faults).to_string()),
                Ok(spec) => {
                    let faults = self.live.secret_faults(std::slice::from_ref(&spec));
                    match faults.is_empty() {
                        true => Answer::Completed(Box::new(spec)),
                        false => broken(self.live.masking.faults(faults).to_string()),
                    }
                }
            },
            // Nothing came before it that could be otherwise.
            Err(error) if spec.needs.is_empty() && !matches!(error, ScriptError::NotKnownYet { .. }) => {
                broken(error.to_string())
            }
            Err(error) => self.open(&error),
        })
    }

    async fn act(&mut self, planner: &mut Planner, job: &str) -> Result<Answer, CheckError> {
        let (spec, attempt, before) = self.see(planner, job)?;
        if !spec.creates_artifacts.is_empty() {
            // Who asks what would be leaves nothing in the store.
            return Ok(Answer::Open("known when it runs: it saves artifacts".to_owned()));
        }
        let limit = Duration::from_millis(spec.timeout_ms).min(self.services.runtime.limits().define_time);
        let life = limit + Duration::from_secs(60);
        let client = self.services.script_client(self.live, Some((&spec, attempt)), life)?;
        let recording = Recording::default();
        let acted = tokio::select! {
            acted = self.script.act(&client, self.transcript, Action::of(&spec), limit, &recording) => acted,
            () = self.live.waits(job, before) => {
                return Ok(Answer::Open("known when it runs: it waits for what comes".to_owned()));
            }
        };
        let Acted { ended, said: Said { results, skip } } = acted;
        Ok(match (ended, skip) {
            (Ok(()), skip) => {
                let ending = match skip {
                    Some(reason) => Ending::NotNeeded { reason: self.live.masking.text(&reason) },
                    None => Ending::Succeeded,
                };
                let result = AssumedJob { ending, results: Some(results), duration_ms: 0 };
                Answer::Acted(Box::new(result), self.live.submitted(job, before))
            }
            (Err(error), _) => self.open(&error),
        })
    }

    fn open(&self, error: &ScriptError) -> Answer {
        Answer::Open(match error {
            ScriptError::NotKnownYet { job, what } => format!("decided when {job} has ended: it asks about {what}"),
            error => {
                let said = self.live.masking.text(&error.to_string());
                format!("decided when its turn comes: asked now, it fails: {said}")
            }
        })
    }
}
