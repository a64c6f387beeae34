//! `jobs`, for running actions: asking for jobs, adding some, waiting for them.

use std::time::{Duration, Instant};

use monkeyci_api::{JobOutcome, WaitQuery};
use monkeyci_build::JobDraft;
use wasmtime::component::Resource;

use super::jobs::JobHandle;
use super::{ONE_REQUEST, refused};
use crate::bindings::monkeyci::script::jobs::Host;
use crate::bindings::monkeyci::script::types::Error;
use crate::store::State;
use crate::transcript::Mode;

impl Host for State {
    async fn look_up(&mut self, id: String) -> wasmtime::Result<Result<Resource<JobOutcome>, Error>> {
        self.count_call()?;
        if !matches!(self.mode, Mode::Live) {
            return self.fails(Error::NotFound("no job has run yet: `define` declares them".to_owned()));
        }
        match self.client.job_outcome(&id).await {
            Ok(outcome) => match self.hold(outcome.results.size()) {
                Ok(()) => Ok(Ok(self.table.push(outcome)?)),
                Err(error) => self.fails(error),
            },
            Err(error) => self.fails(refused(&error)),
        }
    }

    async fn submit(&mut self, jobs: Vec<Resource<JobHandle>>) -> wasmtime::Result<Result<(), Error>> {
        self.count_call()?;
        if let Err(error) = self.only_an_action() {
            return self.fails(error);
        }
        // A handle costs its guest four bytes, and what is behind it may be megabytes.
        let mut handles: Vec<u32> = jobs.iter().map(Resource::rep).collect();
        handles.sort_unstable();
        if handles.windows(2).any(|pair| pair[0] == pair[1]) {
            return self.fails(Error::Invalid("a job is among the submitted ones twice".to_owned()));
        }
        let mut drafts = Vec::with_capacity(jobs.len());
        for job in &jobs {
            match self.table.get(job)? {
                JobHandle::Loose(draft) => drafts.push(JobDraft::clone(draft)),
                _ => return self.fails(Error::Invalid("this job is part of the build already".to_owned())),
            }
        }
        let answer = self.client.submit(drafts).await;
        self.answer(answer)
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
        let started = Instant::now();
        // Who only looks gives nothing up.
        let mut query = WaitQuery { jobs: ids, wait_ms: 0, forever: timeout.is_none() };
        let mut waited = self.client.wait_for_jobs(&query).await;
        if timeout != Some(0) && matches!(waited, Ok(None)) {
            let waiting = match self.begin_to_wait() {
                Ok(waiting) => waiting,
                Err(error) => return self.fails(error),
            };
            waited = loop {
                let left = timeout.map(|timeout| Duration::from_millis(timeout).saturating_sub(started.elapsed()));
                query.wait_ms = left.unwrap_or(ONE_REQUEST).min(ONE_REQUEST).as_millis() as u64;
                match self.client.wait_for_jobs(&query).await {
                    Ok(None) if left.is_none_or(|left| !left.is_zero()) => {}
                    waited => break waited,
                }
            };
            self.go_on(waiting).await;
        }
        self.answer(waited)
    }

    async fn argument(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.argument.clone())
    }
}
