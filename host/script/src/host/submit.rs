//! `jobs`, for running actions: asking for jobs, adding some, waiting for them.

use monkeyci_api::{JobOutcome, WaitQuery};
use monkeyci_build::JobDraft;
use wasmtime::component::Resource;

use super::jobs::JobHandle;
use super::{Does, guest_error};
use crate::bindings::monkeyci::script::jobs::Host;
use crate::bindings::monkeyci::script::types::Error;
use crate::store::State;
use crate::waiting::Awaited;

/// How many of the jobs that are submitted are named where that is recorded.
const NAMED: usize = 5;

impl Host for State {
    async fn look_up(&mut self, id: String) -> wasmtime::Result<Result<Resource<JobOutcome>, Error>> {
        if !self.acts() {
            self.count_call()?;
            return self.fails(Error::NotFound("no job has run yet: `define` declares them".to_owned()));
        }
        let (client, request) = (self.client.clone(), format!("jobs.look-up({id:?})"));
        let outcome: JobOutcome =
            match self.told_of(Does::Changes, request, async move || client.job_outcome(&id).await).await? {
                Ok(outcome) => outcome,
                Err(error) => return Ok(Err(error)),
            };
        match self.hold(outcome.results.size())? {
            Ok(()) => Ok(Ok(self.table.push(outcome)?)),
            Err(error) => self.fails(error),
        }
    }

    async fn submit(&mut self, jobs: Vec<Resource<JobHandle>>) -> wasmtime::Result<Result<(), Error>> {
        if let Err(error) = self.only_an_action() {
            self.count_call()?;
            return self.fails(error);
        }
        // A handle costs its guest four bytes, and what is behind it may be megabytes.
        let mut handles: Vec<u32> = jobs.iter().map(Resource::rep).collect();
        handles.sort_unstable();
        if handles.windows(2).any(|pair| pair[0] == pair[1]) {
            self.count_call()?;
            return self.fails(Error::Invalid("a job is among the submitted ones twice".to_owned()));
        }
        let mut drafts = Vec::with_capacity(jobs.len());
        for job in &jobs {
            match self.table.get(job)? {
                JobHandle::Loose(draft) => drafts.push(JobDraft::clone(draft)),
                _ => {
                    self.count_call()?;
                    return self.fails(Error::Invalid("this job is part of the build already".to_owned()));
                }
            }
        }
        let ids: Vec<&str> = drafts.iter().take(NAMED).map(|draft| draft.id.as_str()).collect();
        let digest = self.tape.digest(&serde_json::to_vec(&drafts)?);
        let request = format!("jobs.submit({} jobs, {digest}: {ids:?})", drafts.len());
        let client = self.client.clone();
        self.told_of(Does::Effect, request, async move || client.submit(drafts).await).await
    }

    async fn wait_any(
        &mut self,
        ids: Vec<String>,
        timeout: Option<u64>,
    ) -> wasmtime::Result<Result<Option<String>, Error>> {
        self.count_call()?;
        if let Err(error) = self.only_an_action() {
            return self.fails(error);
        }
        let limit = timeout.map_or_else(String::new, |ms| format!(", {ms} ms"));
        let request = format!("jobs.wait-any({ids:?}{limit})");
        let what = Awaited::Jobs(WaitQuery { jobs: ids, wait_ms: 0, forever: timeout.is_none() });
        match self.waited(request, what, timeout).await? {
            Ok(over) => Ok(Ok(serde_json::from_slice(&over)?)),
            Err(failure) => self.fails(guest_error(failure)),
        }
    }

    async fn argument(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.argument.clone())
    }
}
