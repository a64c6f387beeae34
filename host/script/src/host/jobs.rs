//! `jobs`, the declaring side: jobs.

use monkeyci_build::{
    ArtifactOption, CacheOption, Call, JobDraft, LateValue, RestoreArtifact, SaveArtifact, ServiceDraft,
};
use wasmtime::component::Resource;

use super::SecretHandle;
use crate::bindings::monkeyci::script::jobs::HostJob;
use crate::limits::Reached;
use crate::store::State;

/// A guest's handle of a job.
#[derive(Clone, Debug)]
pub enum JobHandle {
    /// A job that `define` declares: where its draft stands.
    Declared(usize),
    /// A job that an action makes, to submit it.
    Loose(Box<JobDraft>),
    /// The job that `refine` completes.
    Refined,
}

impl State {
    fn declare(&mut self, draft: JobDraft) -> wasmtime::Result<Resource<JobHandle>> {
        self.count_call()?;
        self.count_bytes(size_of::<JobDraft>() + draft.id.len())?;
        if self.acts() {
            return Ok(self.table.push(JobHandle::Loose(Box::new(draft)))?);
        }
        self.jobs.push(draft);
        Ok(self.table.push(JobHandle::Declared(self.jobs.len() - 1))?)
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
        let live = self.acts();
        let draft = match self.table.get_mut(handle)? {
            JobHandle::Declared(index) if !live => self.jobs.get_mut(*index),
            JobHandle::Declared(_) => None,
            JobHandle::Loose(draft) => Some(&mut **draft),
            JobHandle::Refined => self.refining.as_mut().map(|refining| &mut refining.draft),
        };
        match draft {
            Some(draft) => set(draft),
            None => wasmtime::bail!("a declared job can be changed in `define` only"),
        }
        Ok(())
    }

    fn late_env(&mut self, job: &Resource<JobHandle>, name: String, value: LateValue) -> wasmtime::Result<()> {
        let text = match &value {
            LateValue::Secret(text) | LateValue::SecretFile(text) | LateValue::ParamFile(text) => text.len(),
            LateValue::Output { job, output } => job.len() + output.len(),
        };
        let bytes = size_of::<(String, LateValue)>() + name.len() + text;
        self.set(job, bytes, |draft| draft.late_env.push((name, value)))
    }

    fn cache_option(&mut self, job: &Resource<JobHandle>, id: String, option: CacheOption) -> wasmtime::Result<()> {
        let (CacheOption::Key(text) | CacheOption::Fallback(text) | CacheOption::Save(text) | CacheOption::Path(text)) =
            &option;
        let bytes = size_of::<(String, CacheOption)>() + id.len() + text.len();
        self.set(job, bytes, |draft| draft.cache_options.push((id, option)))
    }

    fn artifact_option(
        &mut self,
        job: &Resource<JobHandle>,
        id: String,
        option: ArtifactOption,
    ) -> wasmtime::Result<()> {
        let globs = match &option {
            ArtifactOption::Files(globs) => size(globs),
            ArtifactOption::Always | ArtifactOption::OnFailure | ArtifactOption::IfThere => 0,
        };
        let bytes = size_of::<(String, ArtifactOption)>() + id.len() + globs;
        self.set(job, bytes, |draft| draft.artifact_options.push((id, option)))
    }

    fn restore(&mut self, job: &Resource<JobHandle>, restore: RestoreArtifact) -> wasmtime::Result<()> {
        let bytes = size_of::<RestoreArtifact>() + restore.id.len() + restore.path.len();
        self.set(job, bytes, |draft| draft.restore_artifacts.push(restore))
    }

    /// Counts bytes of declarations and of the transcript, which the host keeps for as long as the build.
    pub(super) fn count_bytes(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.declared_bytes = self.declared_bytes.saturating_add(bytes);
        if self.declared_bytes > self.limits.declared_bytes {
            let limit = self.limits.declared_bytes;
            let reached = || Reached::Own(format!("its limit of {limit} bytes of declarations"));
            self.meter.reached.get_or_insert_with(reached);
            wasmtime::bail!("too many bytes of declarations");
        }
        if let Err(short) = self.meter.memory.take(bytes) {
            self.meter.reached.get_or_insert(Reached::Memory(short));
            wasmtime::bail!("no memory for what the script declares");
        }
        Ok(())
    }
}

/// The bytes that a list of strings takes.
pub(super) fn size(list: &[String]) -> usize {
    list.iter().map(|text| size_of::<String>() + text.len()).sum()
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

    async fn shm_size(&mut self, job: Resource<JobHandle>, bytes: u64) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.shm_bytes = Some(bytes))
    }

    async fn pull(&mut self, job: Resource<JobHandle>, policy: String) -> wasmtime::Result<()> {
        self.set(&job, policy.len(), |draft| draft.pull = Some(policy))
    }

    async fn entrypoint_of_image(&mut self, job: Resource<JobHandle>) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.entrypoint_of_image = true)
    }

    async fn with_git(&mut self, job: Resource<JobHandle>) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.with_git = true)
    }

    async fn save_artifact(&mut self, job: Resource<JobHandle>, id: String, path: String) -> wasmtime::Result<()> {
        let bytes = size_of::<SaveArtifact>() + id.len() + path.len();
        self.set(&job, bytes, |draft| {
            draft.save_artifacts.push(SaveArtifact { id, path, ..SaveArtifact::default() });
        })
    }

    async fn restore_artifact(&mut self, job: Resource<JobHandle>, id: String, path: String) -> wasmtime::Result<()> {
        self.restore(&job, RestoreArtifact { id, path, ..RestoreArtifact::default() })
    }

    async fn cache(&mut self, job: Resource<JobHandle>, id: String, path: String) -> wasmtime::Result<()> {
        let bytes = 2 * size_of::<String>() + id.len() + path.len();
        self.set(&job, bytes, |draft| draft.caches.push((id, path)))
    }

    async fn service(&mut self, job: Resource<JobHandle>, service: Resource<ServiceDraft>) -> wasmtime::Result<()> {
        let service = self.table.delete(service)?;
        self.set(&job, size_of::<ServiceDraft>(), |draft| draft.services.push(service))
    }

    async fn requires(&mut self, job: Resource<JobHandle>, id: String) -> wasmtime::Result<()> {
        self.set(&job, size_of::<String>() + id.len(), |draft| draft.requires.push(id))
    }

    async fn remove(&mut self, job: Resource<JobHandle>, reason: String) -> wasmtime::Result<()> {
        self.set(&job, reason.len(), |draft| draft.removed = Some(reason))
    }

    async fn run_when(&mut self, job: Resource<JobHandle>, condition: String) -> wasmtime::Result<()> {
        self.set(&job, condition.len(), |draft| draft.run_when = Some(condition))
    }

    async fn allow_failure(&mut self, job: Resource<JobHandle>) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.allow_failure = true)
    }

    async fn retry(&mut self, job: Resource<JobHandle>, count: u32) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.retry = Some(count))
    }

    async fn retry_on(&mut self, job: Resource<JobHandle>, cause: String) -> wasmtime::Result<()> {
        self.set(&job, size_of::<String>() + cause.len(), |draft| draft.retry_on.push(cause))
    }

    async fn retry_delay(&mut self, job: Resource<JobHandle>, ms: u64) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.retry_delay_ms = Some(ms))
    }

    async fn priority(&mut self, job: Resource<JobHandle>, priority: i32) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.priority = priority)
    }

    async fn fail_fast(&mut self, job: Resource<JobHandle>, group: String) -> wasmtime::Result<()> {
        self.set(&job, group.len(), |draft| draft.fail_fast = Some(group))
    }

    async fn approval(&mut self, job: Resource<JobHandle>, message: String) -> wasmtime::Result<()> {
        self.set(&job, message.len(), |draft| draft.approval = Some(message))
    }

    async fn manual(&mut self, job: Resource<JobHandle>) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.manual = true)
    }

    async fn late(&mut self, job: Resource<JobHandle>) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.late = true)
    }

    async fn skip(&mut self, job: Resource<JobHandle>, reason: String) -> wasmtime::Result<()> {
        self.set(&job, reason.len(), |_| {})?;
        match (self.table.get(&job)?, &mut self.refining) {
            (JobHandle::Refined, Some(refining)) => refining.skip = Some(reason),
            _ => wasmtime::bail!("a job can be skipped in `refine` only"),
        }
        Ok(())
    }

    async fn label(&mut self, job: Resource<JobHandle>, name: String, value: String) -> wasmtime::Result<()> {
        self.set(&job, 2 * size_of::<String>() + name.len() + value.len(), |draft| draft.labels.push((name, value)))
    }

    async fn calls(&mut self, job: Resource<JobHandle>, handler: String, argument: String) -> wasmtime::Result<()> {
        self.set(&job, handler.len() + argument.len(), |draft| draft.calls = Some(Call { handler, argument }))
    }

    async fn creates_artifact(&mut self, job: Resource<JobHandle>, id: String) -> wasmtime::Result<()> {
        self.set(&job, size_of::<String>() + id.len(), |draft| draft.creates_artifacts.push(id))
    }

    async fn shell_program(&mut self, job: Resource<JobHandle>, argv: Vec<String>) -> wasmtime::Result<()> {
        self.set(&job, size(&argv), |draft| draft.shell_program = Some(argv))
    }

    async fn shell_each(&mut self, job: Resource<JobHandle>) -> wasmtime::Result<()> {
        self.set(&job, 0, |draft| draft.shell_each = true)
    }

    async fn user(&mut self, job: Resource<JobHandle>, user: String) -> wasmtime::Result<()> {
        self.set(&job, user.len(), |draft| draft.user = Some(user))
    }

    async fn architecture(&mut self, job: Resource<JobHandle>, name: String) -> wasmtime::Result<()> {
        self.set(&job, name.len(), |draft| draft.architecture = Some(name))
    }

    async fn network(&mut self, job: Resource<JobHandle>, mode: String) -> wasmtime::Result<()> {
        self.set(&job, mode.len(), |draft| draft.network = Some(mode))
    }

    async fn network_allow(&mut self, job: Resource<JobHandle>, destination: String) -> wasmtime::Result<()> {
        self.set(&job, size_of::<String>() + destination.len(), |draft| draft.network_allow.push(destination))
    }

    async fn secret_env(
        &mut self,
        job: Resource<JobHandle>,
        name: String,
        secret: Resource<SecretHandle>,
    ) -> wasmtime::Result<()> {
        let secret = self.table.get(&secret)?.name.clone();
        self.late_env(&job, name, LateValue::Secret(secret))
    }

    async fn secret_file(
        &mut self,
        job: Resource<JobHandle>,
        name: String,
        secret: Resource<SecretHandle>,
    ) -> wasmtime::Result<()> {
        let secret = self.table.get(&secret)?.name.clone();
        self.late_env(&job, name, LateValue::SecretFile(secret))
    }

    async fn param_file(&mut self, job: Resource<JobHandle>, name: String, param: String) -> wasmtime::Result<()> {
        self.late_env(&job, name, LateValue::ParamFile(param))
    }

    async fn output_env(
        &mut self,
        handle: Resource<JobHandle>,
        name: String,
        job: String,
        output: String,
    ) -> wasmtime::Result<()> {
        self.late_env(&handle, name, LateValue::Output { job, output })
    }

    async fn test_report(&mut self, job: Resource<JobHandle>, glob: String) -> wasmtime::Result<()> {
        self.set(&job, size_of::<String>() + glob.len(), |draft| draft.test_reports.push(glob))
    }

    async fn artifact_files(
        &mut self,
        job: Resource<JobHandle>,
        id: String,
        globs: Vec<String>,
    ) -> wasmtime::Result<()> {
        self.artifact_option(&job, id, ArtifactOption::Files(globs))
    }

    async fn artifact_always(&mut self, job: Resource<JobHandle>, id: String) -> wasmtime::Result<()> {
        self.artifact_option(&job, id, ArtifactOption::Always)
    }

    async fn artifact_on_failure(&mut self, job: Resource<JobHandle>, id: String) -> wasmtime::Result<()> {
        self.artifact_option(&job, id, ArtifactOption::OnFailure)
    }

    async fn artifact_if_there(&mut self, job: Resource<JobHandle>, id: String) -> wasmtime::Result<()> {
        self.artifact_option(&job, id, ArtifactOption::IfThere)
    }

    async fn restore_artifact_if_there(
        &mut self,
        job: Resource<JobHandle>,
        id: String,
        path: String,
    ) -> wasmtime::Result<()> {
        self.restore(&job, RestoreArtifact { id, path, if_there: true, ..RestoreArtifact::default() })
    }

    async fn restore_artifact_as(
        &mut self,
        job: Resource<JobHandle>,
        id: String,
        path: String,
    ) -> wasmtime::Result<()> {
        self.restore(&job, RestoreArtifact { id, path, at_path: true, ..RestoreArtifact::default() })
    }

    async fn restore_artifact_as_if_there(
        &mut self,
        job: Resource<JobHandle>,
        id: String,
        path: String,
    ) -> wasmtime::Result<()> {
        self.restore(&job, RestoreArtifact { id, path, at_path: true, if_there: true })
    }

    async fn cache_key(&mut self, job: Resource<JobHandle>, id: String, key: String) -> wasmtime::Result<()> {
        self.cache_option(&job, id, CacheOption::Key(key))
    }

    async fn cache_fallback(&mut self, job: Resource<JobHandle>, id: String, prefix: String) -> wasmtime::Result<()> {
        self.cache_option(&job, id, CacheOption::Fallback(prefix))
    }

    async fn cache_path(&mut self, job: Resource<JobHandle>, id: String, path: String) -> wasmtime::Result<()> {
        self.cache_option(&job, id, CacheOption::Path(path))
    }

    async fn cache_save(&mut self, job: Resource<JobHandle>, id: String, policy: String) -> wasmtime::Result<()> {
        self.cache_option(&job, id, CacheOption::Save(policy))
    }

    async fn drop(&mut self, job: Resource<JobHandle>) -> wasmtime::Result<()> {
        self.table.delete(job)?;
        Ok(())
    }
}
