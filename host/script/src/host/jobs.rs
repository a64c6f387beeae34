//! `jobs`: declaring jobs, and reading how they ended.

use monkeyci_api::JobOutcome;
use monkeyci_build::{ArtifactPath, CachePath, JobDraft, ServiceDraft};
use wasmtime::component::Resource;

use super::{failure, guest_error};
use crate::bindings::monkeyci::script::jobs::{Host, HostJob, HostOutcome, HostService, Status};
use crate::bindings::monkeyci::script::types::Error;
use crate::store::State;
use crate::transcript::Mode;

/// A guest's handle of a job: where its draft stands.
#[derive(Clone, Copy, Debug)]
pub struct JobHandle {
    index: usize,
}

impl State {
    fn declare(&mut self, draft: JobDraft) -> wasmtime::Result<Resource<JobHandle>> {
        self.count_call()?;
        if matches!(self.mode, Mode::Live) {
            wasmtime::bail!("jobs can be declared in `define` only");
        }
        self.count_bytes(size_of::<JobDraft>() + draft.id.len())?;
        self.jobs.push(draft);
        Ok(self.table.push(JobHandle { index: self.jobs.len() - 1 })?)
    }

    /// Lets `set` change the draft behind `handle`; `bytes` is what it adds.
    fn set(
        &mut self,
        handle: &Resource<JobHandle>,
        bytes: usize,
        set: impl FnOnce(&mut JobDraft),
    ) -> wasmtime::Result<()> {
        self.count_call()?;
        self.count_bytes(bytes)?;
        let index = self.table.get(handle)?.index;
        match (&self.mode, self.jobs.get_mut(index)) {
            (Mode::Live, _) | (_, None) => wasmtime::bail!("a job can be changed in `define` only"),
            (_, Some(draft)) => set(draft),
        }
        Ok(())
    }

    fn set_service(
        &mut self,
        handle: &Resource<ServiceDraft>,
        bytes: usize,
        set: impl FnOnce(&mut ServiceDraft),
    ) -> wasmtime::Result<()> {
        self.count_call()?;
        self.count_bytes(bytes)?;
        set(self.table.get_mut(handle)?);
        Ok(())
    }

    /// Counts bytes of declarations and of the transcript, which the host keeps for as long as the build.
    pub(super) fn count_bytes(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.declared_bytes = self.declared_bytes.saturating_add(bytes);
        if self.declared_bytes > self.limits.declared_bytes {
            let limit = self.limits.declared_bytes;
            self.meter.reached.get_or_insert_with(|| format!("its limit of {limit} bytes of declarations"));
            wasmtime::bail!("too many bytes of declarations");
        }
        Ok(())
    }
}

/// The bytes that a list of strings takes.
fn size(list: &[String]) -> usize {
    list.iter().map(|text| size_of::<String>() + text.len()).sum()
}

impl Host for State {
    async fn look_up(&mut self, id: String) -> wasmtime::Result<Result<Resource<JobOutcome>, Error>> {
        self.count_call()?;
        if !matches!(self.mode, Mode::Live) {
            return Ok(Err(Error::NotFound("no job has run yet: `define` declares them".to_owned())));
        }
        match self.client.job_outcome(&id).await {
            Ok(outcome) => Ok(Ok(self.table.push(outcome)?)),
            Err(error) => Ok(Err(guest_error(failure(&error)))),
        }
    }
}

impl HostJob for State {
    async fn action(&mut self, id: String) -> wasmtime::Result<Resource<JobHandle>> {
        self.declare(JobDraft::action(id))
    }

    async fn container(&mut self, id: String) -> wasmtime::Result<Resource<JobHandle>> {
        self.declare(JobDraft::container(id))
    }

    async fn needs(&mut self, job: Resource<JobHandle>, id: String) -> wasmtime::Result<()> {
        self.set(&job, size_of::<String>() + id.len(), |draft| draft.needs.push(id))
    }

    async fn timeout(&mut self, job: Resource<JobHandle>, ms: u64) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.timeout_ms = Some(ms))
    }

    async fn image(&mut self, job: Resource<JobHandle>, reference: String) -> wasmtime::Result<()> {
        self.set(&job, reference.len(), |draft| draft.image = Some(reference))
    }

    async fn argv(&mut self, job: Resource<JobHandle>, argv: Vec<String>) -> wasmtime::Result<()> {
        self.set(&job, size(&argv), |draft| draft.argv = Some(argv))
    }

    async fn shell(&mut self, job: Resource<JobHandle>, lines: Vec<String>) -> wasmtime::Result<()> {
        self.set(&job, size(&lines), |draft| draft.shell = Some(lines))
    }

    async fn env(&mut self, job: Resource<JobHandle>, name: String, value: String) -> wasmtime::Result<()> {
        let bytes = 2 * size_of::<String>() + name.len() + value.len();
        self.set(&job, bytes, |draft| draft.env.push((name, value)))
    }

    async fn work_dir(&mut self, job: Resource<JobHandle>, path: String) -> wasmtime::Result<()> {
        self.set(&job, path.len(), |draft| draft.work_dir = Some(path))
    }

    async fn memory(&mut self, job: Resource<JobHandle>, bytes: u64) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.memory_bytes = Some(bytes))
    }

    async fn cpu(&mut self, job: Resource<JobHandle>, millicores: u32) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.cpu_millis = Some(millicores))
    }

    async fn save_artifact(&mut self, job: Resource<JobHandle>, id: String, path: String) -> wasmtime::Result<()> {
        let bytes = size_of::<ArtifactPath>() + id.len() + path.len();
        self.set(&job, bytes, |draft| draft.save_artifacts.push(ArtifactPath { id, path }))
    }

    async fn restore_artifact(&mut self, job: Resource<JobHandle>, id: String, path: String) -> wasmtime::Result<()> {
        let bytes = size_of::<ArtifactPath>() + id.len() + path.len();
        self.set(&job, bytes, |draft| draft.restore_artifacts.push(ArtifactPath { id, path }))
    }

    async fn cache(&mut self, job: Resource<JobHandle>, id: String, path: String) -> wasmtime::Result<()> {
        let bytes = size_of::<CachePath>() + id.len() + path.len();
        self.set(&job, bytes, |draft| draft.caches.push(CachePath { id, path }))
    }

    async fn service(&mut self, job: Resource<JobHandle>, service: Resource<ServiceDraft>) -> wasmtime::Result<()> {
        let service = self.table.delete(service)?;
        self.set(&job, size_of::<ServiceDraft>(), |draft| draft.services.push(service))
    }

    async fn drop(&mut self, job: Resource<JobHandle>) -> wasmtime::Result<()> {
        self.table.delete(job)?;
        Ok(())
    }
}

impl HostService for State {
    async fn new(&mut self, name: String, image: String) -> wasmtime::Result<Resource<ServiceDraft>> {
        self.count_call()?;
        self.count_bytes(name.len() + image.len())?;
        Ok(self.table.push(ServiceDraft { name, image, ..ServiceDraft::default() })?)
    }

    async fn argv(&mut self, service: Resource<ServiceDraft>, argv: Vec<String>) -> wasmtime::Result<()> {
        self.set_service(&service, size(&argv), |draft| draft.argv = Some(argv))
    }

    async fn env(&mut self, service: Resource<ServiceDraft>, name: String, value: String) -> wasmtime::Result<()> {
        let bytes = 2 * size_of::<String>() + name.len() + value.len();
        self.set_service(&service, bytes, |draft| draft.env.push((name, value)))
    }

    async fn ready_port(&mut self, service: Resource<ServiceDraft>, port: u16) -> wasmtime::Result<()> {
        self.set_service(&service, 0, |draft| draft.ready_port = Some(port))
    }

    async fn ready_command(&mut self, service: Resource<ServiceDraft>, argv: Vec<String>) -> wasmtime::Result<()> {
        self.set_service(&service, size(&argv), |draft| draft.ready_command = Some(argv))
    }

    async fn ready_timeout(&mut self, service: Resource<ServiceDraft>, ms: u64) -> wasmtime::Result<()> {
        self.set_service(&service, 0, |draft| draft.ready_timeout_ms = Some(ms))
    }

    async fn drop(&mut self, service: Resource<ServiceDraft>) -> wasmtime::Result<()> {
        self.table.delete(service)?;
        Ok(())
    }
}

impl HostOutcome for State {
    async fn status(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Status> {
        self.count_call()?;
        Ok(match self.table.get(&outcome)?.status {
            monkeyci_build::Status::Pending => Status::Pending,
            monkeyci_build::Status::Queued => Status::Queued,
            monkeyci_build::Status::Running => Status::Running,
            monkeyci_build::Status::Success => Status::Success,
            monkeyci_build::Status::Failure => Status::Failure,
            monkeyci_build::Status::Error => Status::Error,
            monkeyci_build::Status::Skipped => Status::Skipped,
            monkeyci_build::Status::Cancelled => Status::Cancelled,
        })
    }

    async fn message(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.table.get(&outcome)?.ending.as_ref().map(ToString::to_string))
    }

    async fn exit_code(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Option<i32>> {
        self.count_call()?;
        Ok(self.table.get(&outcome)?.ending.as_ref().and_then(monkeyci_build::Ending::exit_code))
    }

    async fn duration(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<Option<u64>> {
        self.count_call()?;
        Ok(self.table.get(&outcome)?.duration_ms)
    }

    async fn drop(&mut self, outcome: Resource<JobOutcome>) -> wasmtime::Result<()> {
        self.table.delete(outcome)?;
        Ok(())
    }
}
