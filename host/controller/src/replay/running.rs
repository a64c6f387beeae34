//! Runs a script against a recording.

use std::sync::Arc;
use std::time::Duration;

use monkeyci_build::{Checked, Ending, ToldAnswer, ToldCall, check, check_refined};
use monkeyci_script::{Acted, Action, Definition, Halt, Recorded, Refined, Replayed, Script, ScriptError, Transcript};
use monkeyci_storage::hex;
use sha2::{Digest, Sha256};

use super::answers::{Shared, reveal};
use super::differing::{acted, declared, refined};
use super::recorded::{Declared, Run};
use super::{
    Class, Difference, RecordedBuild, Replay, ReplayError, ReplayOptions, ReplayedCall, ReplayedInstance, Stopped,
};

/// Replays a build with a script: the one that it had, or another one.
///
/// # Errors
/// When there is nothing to compare with. What a script does otherwise is no error.
pub async fn replay(script: Script, recorded: &RecordedBuild, options: &ReplayOptions) -> Result<Replay, ReplayError> {
    let build = recorded.info.id.clone();
    if let Some(job) = &options.job
        && !recorded.runs.iter().any(|run| run.job == *job)
    {
        let mut actions: Vec<String> = recorded.runs.iter().map(|run| run.job.clone()).collect();
        actions.sort();
        actions.dedup();
        return Err(ReplayError::NoJob { build, job: job.clone(), actions });
    }
    let unreadable = |reason: String| ReplayError::Unreadable { build: build.clone(), reason };
    let shared = Shared::new(recorded, options).map_err(|error| unreadable(error.to_string()))?;
    let mut replaying = Replaying { recorded, options, shared, script, instances: Vec::new(), calls: 0, unkeyed: 0 };
    let unreadable = |error: ScriptError| unreadable(error.to_string());
    if let Some((transcript, declared)) = replaying.define().await.map_err(unreadable)? {
        for run in &recorded.runs {
            if options.until.is_some_and(|until| replaying.calls >= until) {
                break;
            }
            if options.job.as_ref().is_some_and(|job| *job != run.job) {
                // A call has the same number whatever is left out.
                replaying.calls += run.calls.len() as u64;
                continue;
            }
            replaying.run(run, &transcript, &declared).await.map_err(unreadable)?;
        }
    }
    Ok(replaying.done())
}

struct Replaying<'a> {
    recorded: &'a RecordedBuild,
    options: &'a ReplayOptions,
    shared: Arc<Shared>,
    script: Script,
    instances: Vec<ReplayedInstance>,
    /// How many calls of the recording come before the next instance.
    calls: u64,
    unkeyed: u64,
}

impl Replaying<'_> {
    /// Replays `define`; what the others need of it, unless it goes another way than it did.
    async fn define(&mut self) -> Result<Option<(Arc<Transcript>, Declared)>, ScriptError> {
        let RecordedBuild { info, told, declared: before, .. } = self.recorded;
        let mut calls = told.calls.clone();
        let is_cut = self.cut(&mut calls);
        let answers = self.shared.of_job(&info.id, "");
        let recorded = Recorded { calls: &calls, is_all: !is_cut, answers: &answers };
        let replayed = self.script.replay_define(info.clone(), told.time_ms, recorded).await?;
        let mut differences = self.differing(None, &replayed);
        let Replayed { made, halt, ended, .. } = replayed;
        let mut go_on = None;
        if halt.is_none() {
            // Where it failed otherwise than by another call, it declares nothing.
            match ended.map_err(|error| error.to_string()).and_then(as_declared) {
                Ok((transcript, now)) => {
                    differences.extend(declared(before, &now));
                    go_on = Some((transcript, now));
                }
                Err(reason) => differences.push(no_jobs(reason)),
            }
        }
        let stopped = match halt {
            Some(Halt::End) => Some(Stopped::Until),
            Some(Halt::Lacks { call, request, bytes }) => Some(self.lacks(self.calls + call, request, bytes)),
            _ => None,
        };
        self.push((None, "define", 0), &told.calls[..made], told.calls.len(), (differences, stopped));
        Ok(go_on)
    }

    /// Replays what an action, or the function that completes a job, did.
    async fn run(&mut self, run: &Run, transcript: &Arc<Transcript>, now: &Declared) -> Result<(), ScriptError> {
        let of = (Some(run.job.clone()), if run.refines { "refine" } else { "act" }, run.attempt);
        let was_declared = self.recorded.declared.jobs.iter().any(|job| job.id == run.job);
        if was_declared && !now.jobs.iter().any(|job| job.id == run.job) {
            self.push(of, &[], run.calls.len(), (Vec::new(), Some(Stopped::NoJob)));
            return Ok(());
        }
        let mut calls = run.calls.clone();
        let is_cut = self.cut(&mut calls);
        let answers = self.shared.of_job(&self.recorded.info.id, &run.job);
        let is_all = run.is_all_told(&self.recorded.requested) && !is_cut;
        let recorded = Recorded { calls: &calls, is_all, answers: &answers };
        let (made, differences, halt) = if run.refines {
            let mut replayed = self.script.replay_refine(transcript, &run.job, recorded).await?;
            let mut differences = self.differing(Some(&run.job), &replayed);
            if replayed.halt.is_none() {
                let ended = std::mem::replace(&mut replayed.ended, Ok(Refined::Skipped(String::new())));
                differences.extend(refined(&run.job, run.end.as_ref(), as_ended(run, ended)));
            }
            (replayed.made, differences, replayed.halt)
        } else {
            let limit = Duration::from_millis(run.spec.timeout_ms);
            let mut replayed = self.script.replay_act(transcript, Action::of(&run.spec), limit, recorded).await?;
            let mut differences = self.differing(Some(&run.job), &replayed);
            if replayed.halt.is_none() {
                self.mask(&mut replayed.ended);
                differences.extend(acted(&run.job, (run.end.as_ref(), &run.said), &replayed.ended));
            }
            (replayed.made, differences, replayed.halt)
        };
        let stopped = match halt {
            Some(Halt::End) if is_cut => Some(Stopped::Until),
            Some(Halt::End) => Some(Stopped::EndOfRecording),
            Some(Halt::Lacks { call, request, bytes }) => Some(self.lacks(self.calls + call, request, bytes)),
            _ => None,
        };
        self.push(of, &run.calls[..made], run.calls.len(), (differences, stopped));
        Ok(())
    }

    /// Cuts calls off behind the last one that is asked for. Whether there were any.
    fn cut(&self, calls: &mut Vec<ToldCall>) -> bool {
        let Some(until) = self.options.until else { return false };
        let left = usize::try_from(until.saturating_sub(self.calls)).unwrap_or(usize::MAX);
        let is_cut = left < calls.len();
        calls.truncate(left);
        is_cut
    }

    /// The calls that differ.
    fn differing<T>(&mut self, job: Option<&str>, replayed: &Replayed<T>) -> Vec<Difference> {
        self.unkeyed += replayed.unkeyed;
        let difference = |class, divergence: &monkeyci_script::Divergence| Difference {
            class,
            call: Some(self.calls + divergence.call),
            job: job.map(str::to_owned),
            function: None,
            what: "call",
            recorded: divergence.recorded.clone(),
            now: divergence.now.clone(),
            fields: Vec::new(),
        };
        let mut found: Vec<_> = replayed.cosmetic.iter().map(|one| difference(Class::Cosmetic, one)).collect();
        if let Some(Halt::Diverged(divergence)) = &replayed.halt {
            let function = replayed.place.clone();
            found.push(Difference { function, ..difference(Class::Divergent, divergence) });
        }
        found
    }

    /// What the journal would have of what an action says: without secrets.
    fn mask(&self, acted: &mut Acted) {
        let masking = self.shared.masking();
        let results = &mut acted.said.results;
        masking.withhold(results);
        for text in [&mut results.message, &mut results.warning, &mut acted.said.skip].into_iter().flatten() {
            *text = masking.text(text);
        }
        for (title, url) in &mut results.links {
            (*title, *url) = (masking.text(title), masking.text(url));
        }
        if let Err(ScriptError::Failed(message) | ScriptError::Trapped(message)) = &mut acted.ended {
            *message = masking.text(message);
        }
    }

    fn lacks(&self, call: u64, request: String, bytes: u64) -> Stopped {
        let secret = self.recorded.requested.secrets.keys().find(|name| reveal(name) == request);
        match secret {
            Some(secret) => Stopped::Secret { call, secret: secret.clone() },
            None => Stopped::Answer { call, request, bytes },
        }
    }

    fn push(
        &mut self,
        (job, function, attempt): (Option<String>, &'static str, u32),
        made: &[ToldCall],
        recorded: usize,
        (differences, stopped): (Vec<Difference>, Option<Stopped>),
    ) {
        let first = self.calls + 1;
        let calls = (first..).zip(made).map(|(call, told)| ReplayedCall {
            call,
            request: told.request.clone(),
            answer: short(&told.answer),
        });
        let (calls, recorded) = (calls.collect(), recorded as u64);
        self.calls += recorded;
        self.instances.push(ReplayedInstance { job, function, attempt, calls, recorded, differences, stopped });
    }

    fn done(self) -> Replay {
        let Self { recorded, script, instances, unkeyed, .. } = self;
        let same = instances.iter().map(|instance| instance.calls.len() as u64).sum();
        let class = instances.iter().flat_map(|one| &one.differences).map(|difference| difference.class).max();
        let digest = digest(&instances);
        Replay {
            build: recorded.info.id.clone(),
            script: script.digest().to_owned(),
            same_script: script.digest() == recorded.requested.script,
            same,
            recorded: recorded.calls() as u64,
            unkeyed,
            class: class.unwrap_or_default(),
            digest,
            instances,
        }
    }
}

/// What a `define` declared, checked.
fn as_declared(definition: Definition) -> Result<(Arc<Transcript>, Declared), String> {
    if let Some(failed) = definition.failed {
        return Err(failed);
    }
    let checked = check(&definition.jobs, &definition.params);
    let Checked { graph, removed, params } = checked.map_err(|faults| faults.to_string())?;
    Ok((definition.transcript, Declared { jobs: graph.into_jobs(), removed, params }))
}

fn no_jobs(reason: String) -> Difference {
    Difference {
        class: Class::Divergent,
        call: None,
        job: None,
        function: None,
        what: "end",
        recorded: "it declared its jobs".to_owned(),
        now: reason,
        fields: Vec::new(),
    }
}

/// How completing a job ended, as the journal has it.
fn as_ended(run: &Run, ended: Result<Refined, ScriptError>) -> Result<monkeyci_build::JobSpec, Ending> {
    match ended {
        Ok(Refined::Skipped(reason)) => Err(Ending::NotNeeded { reason }),
        Ok(Refined::Completed(draft)) => {
            check_refined(&run.spec, &draft).map_err(|faults| Ending::RefineFailed { message: faults.to_string() })
        }
        Err(error) => Err(Ending::RefineFailed { message: error.to_string() }),
    }
}

/// The most bytes of an answer that are shown.
const SHORT: usize = 60;

/// An answer in a few words.
fn short(answer: &ToldAnswer) -> String {
    match answer {
        ToldAnswer::Text(text) if text.is_empty() => "done".to_owned(),
        ToldAnswer::Text(text) => match text.floor_char_boundary(SHORT) {
            end if end < text.len() => format!("{}… ({} bytes)", &text[..end], text.len()),
            _ => text.clone(),
        },
        ToldAnswer::Base64(text) => format!("{} bytes", text.len() / 4 * 3),
        ToldAnswer::Again { bytes, .. } => format!("{bytes} bytes, not recorded"),
        ToldAnswer::Refused { status, message } => format!("refused ({status}): {message}"),
    }
}

/// The digest of what was replayed.
fn digest(instances: &[ReplayedInstance]) -> String {
    let mut hash = Sha256::new();
    let mut take = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    for ReplayedInstance { job, function, attempt, calls, differences, stopped, .. } in instances {
        take(job.as_deref().unwrap_or_default());
        take(function);
        take(&attempt.to_string());
        for ReplayedCall { call: _, request, answer } in calls {
            take(request);
            take(answer);
        }
        take(&format!("{} {}", differences.len(), stopped.is_some()));
    }
    hex(&hash.finalize())
}
