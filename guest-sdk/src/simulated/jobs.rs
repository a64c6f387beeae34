//! `jobs`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::secrets::Secret;
use super::types::Error;
use super::world::{Phase, World, with};
use crate::testing::{DeclaredCache, DeclaredJob, Ended, Restored, Saved, Value, problems};

pub use super::service::Service;

/// A job: in the script's function, dropping the handle does not take it back.
#[derive(Debug)]
pub struct Job {
    pub(crate) declared: Rc<RefCell<DeclaredJob>>,
}

macro_rules! setters {
    ($($name:ident($job:ident $(, $arg:ident: $kind:ty)*) $set:expr;)*) => {
        $(pub fn $name(&self $(, $arg: $kind)*) {
            let mut job = self.declared.borrow_mut();
            let $job = &mut *job;
            $set;
        })*
    };
}

impl Job {
    pub fn action(id: &str) -> Self {
        Self::new(DeclaredJob { id: id.to_owned(), ..DeclaredJob::default() })
    }

    pub fn container(id: &str) -> Self {
        Self::new(DeclaredJob { id: id.to_owned(), container: true, ..DeclaredJob::default() })
    }

    fn new(declared: DeclaredJob) -> Self {
        let declared = Rc::new(RefCell::new(declared));
        with(|world| {
            if world.phase == Phase::Define {
                world.told.jobs.push(Rc::clone(&declared));
            }
        });
        Self { declared }
    }

    setters! {
        needs(job, id: &str) job.needs.push(id.to_owned());
        requires(job, id: &str) job.requires.push(id.to_owned());
        remove(job, reason: &str) job.removed = Some(reason.to_owned());
        run_when(job, condition: &str) job.run_when = Some(condition.to_owned());
        allow_failure(job) job.allow_failure = true;
        retry(job, count: u32) job.retry = count;
        retry_on(job, cause: &str) job.retry_on.push(cause.to_owned());
        retry_delay(job, ms: u64) job.retry_delay = Some(Duration::from_millis(ms));
        priority(job, priority: i32) job.priority = priority;
        fail_fast(job, group: &str) job.fail_fast = Some(group.to_owned());
        approval(job, message: &str) job.approval = Some(message.to_owned());
        manual(job) job.manual = true;
        late(job) job.late = true;
        skip(job, reason: &str) job.skipped = Some(reason.to_owned());
        label(job, name: &str, value: &str) job.labels.insert(name.to_owned(), value.to_owned());
        calls(job, handler: &str, argument: &str) job.calls = Some((handler.to_owned(), argument.to_owned()));
        creates_artifact(job, id: &str) job.creates_artifacts.push(id.to_owned());
        timeout(job, ms: u64) job.timeout = Some(Duration::from_millis(ms));
        image(job, reference: &str) job.image = Some(reference.to_owned());
        argv(job, argv: &[String]) job.argv = Some(argv.to_vec());
        shell(job, lines: &[String]) job.shell = Some(lines.to_vec());
        shell_program(job, argv: &[String]) job.shell_program = Some(argv.to_vec());
        shell_each(job) job.shell_each = true;
        user(job, user: &str) job.user = Some(user.to_owned());
        architecture(job, name: &str) job.architecture = Some(name.to_owned());
        network(job, mode: &str) job.network = Some(mode.to_owned());
        network_allow(job, destination: &str) job.network_allow.push(destination.to_owned());
        env(job, name: &str, value: &str) job.env.insert(name.to_owned(), Value::Text(value.to_owned()));
        secret_env(job, name: &str, secret: &Secret) job.env.insert(name.to_owned(), Value::Secret(secret.name()));
        secret_file(job, name: &str, secret: &Secret) job.env.insert(name.to_owned(), Value::SecretFile(secret.name()));
        param_file(job, name: &str, param: &str) job.env.insert(name.to_owned(), Value::ParamFile(param.to_owned()));
        output_env(job, name: &str, from: &str, output: &str) {
            let value = Value::Output { job: from.to_owned(), output: output.to_owned() };
            job.env.insert(name.to_owned(), value);
        };
        test_report(job, glob: &str) job.test_reports.push(glob.to_owned());
        work_dir(job, path: &str) job.work_dir = Some(path.to_owned());
        memory(job, bytes: u64) job.memory = Some(bytes);
        cpu(job, millicores: u32) job.cpu = Some(millicores);
        shm_size(job, bytes: u64) job.shm_size = Some(bytes);
        pull(job, policy: &str) job.pull = Some(policy.to_owned());
        entrypoint_of_image(job) job.entrypoint_of_image = true;
        with_git(job) job.with_git = true;
        save_artifact(job, id: &str, path: &str) {
            job.saves.push(Saved { id: id.to_owned(), path: path.to_owned(), ..Saved::default() });
        };
        artifact_files(job, id: &str, globs: &[String]) for_artifact(job, id, |it| it.files = globs.to_vec());
        artifact_always(job, id: &str) for_artifact(job, id, |it| it.always = true);
        artifact_on_failure(job, id: &str) for_artifact(job, id, |it| it.on_failure = true);
        artifact_if_there(job, id: &str) for_artifact(job, id, |it| it.if_there = true);
        restore_artifact(job, id: &str, path: &str) job.restores.push(restored(id, path));
        restore_artifact_if_there(job, id: &str, path: &str) {
            job.restores.push(Restored { if_there: true, ..restored(id, path) });
        };
        restore_artifact_as(job, id: &str, path: &str) {
            job.restores.push(Restored { at_path: true, ..restored(id, path) });
        };
        restore_artifact_as_if_there(job, id: &str, path: &str) {
            job.restores.push(Restored { at_path: true, if_there: true, ..restored(id, path) });
        };
        cache(job, id: &str, path: &str) {
            job.caches.push(DeclaredCache { id: id.to_owned(), path: path.to_owned(), ..DeclaredCache::default() });
        };
        cache_key(job, id: &str, key: &str) for_cache(job, id, |cache| cache.key = Some(key.to_owned()));
        cache_fallback(job, id: &str, prefix: &str) for_cache(job, id, |cache| cache.fallbacks.push(prefix.to_owned()));
        cache_path(job, id: &str, path: &str) for_cache(job, id, |cache| cache.more_paths.push(path.to_owned()));
        cache_save(job, id: &str, policy: &str) for_cache(job, id, |cache| cache.save = Some(policy.to_owned()));
        service(job, service: Service) job.services.push(service.into_declared());
    }
}

fn for_artifact(job: &mut DeclaredJob, id: &str, change: impl Fn(&mut Saved)) {
    job.saves.iter_mut().filter(|artifact| artifact.id == id).for_each(change);
}

fn restored(id: &str, path: &str) -> Restored {
    Restored { id: id.to_owned(), path: path.to_owned(), ..Restored::default() }
}

fn for_cache(job: &mut DeclaredJob, id: &str, change: impl Fn(&mut DeclaredCache)) {
    job.caches.iter_mut().filter(|cache| cache.id == id).for_each(change);
}

/// Where a job is in its life. The last six are final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Waits for the jobs that it needs.
    #[default]
    Pending,
    /// Waits for a person to approve it.
    Blocked,
    /// May start, and waits for a free slot.
    Queued,
    /// Runs.
    Running,
    /// Ended well.
    Success,
    /// Ended well, with something to look at.
    Warning,
    /// Ended badly, by its own doing.
    Failure,
    /// Ended badly, by the host's doing: the engine, the sidecar or a store failed.
    Error,
    /// Never ran, because a job that it needs did not succeed.
    Skipped,
    /// Was stopped because the build was cancelled.
    Cancelled,
}

#[derive(Debug)]
pub struct Outcome {
    ended: Ended,
}

impl Outcome {
    pub fn status(&self) -> Status {
        self.ended.status
    }

    pub fn message(&self) -> Option<String> {
        self.ended.message.clone()
    }

    pub fn exit_code(&self) -> Option<i32> {
        self.ended.exit_code
    }

    pub fn duration(&self) -> Option<u64> {
        self.ended.duration.map(crate::declare::millis)
    }

    pub fn output(&self, name: &str) -> Option<String> {
        self.ended.outputs.get(name).cloned()
    }

    pub fn outputs(&self) -> Vec<(String, String)> {
        self.ended.outputs.clone().into_iter().collect()
    }

    pub fn links(&self) -> Vec<(String, String)> {
        self.ended.links.clone()
    }

    pub fn coverage(&self) -> Option<f64> {
        self.ended.coverage
    }

    pub fn tests(&self) -> Option<Tests> {
        self.ended.tests.clone().map(|summary| Tests { summary })
    }
}

#[derive(Debug)]
pub struct Tests {
    summary: crate::TestSummary,
}

impl Tests {
    pub fn total(&self) -> u32 {
        self.summary.total
    }

    pub fn failed(&self) -> u32 {
        self.summary.failed
    }

    pub fn skipped(&self) -> u32 {
        self.summary.skipped
    }

    pub fn failures(&self) -> Vec<String> {
        self.summary.failures.clone()
    }
}

pub fn look_up(id: &str) -> Result<Outcome, Error> {
    with(|world| match &world.phase {
        Phase::Define => Err(Error::NotFound("no job has run yet: the script's function declares them".to_owned())),
        _ => Ok(Outcome { ended: ended(world, id)? }),
    })
}

/// How a job stands: as the simulation says; else a submitted job has succeeded, and any other one waits.
fn ended(world: &World, id: &str) -> Result<Ended, Error> {
    if let Some(ended) = world.given.outcomes.get(id) {
        return Ok(ended.clone());
    }
    if world.told.submitted.iter().any(|job| job.id == id) {
        return Ok(Status::Success.into());
    }
    let acts = world.phase == Phase::Act(id.to_owned());
    match world.told.jobs.iter().any(|job| job.borrow().id == id) {
        true => Ok(if acts { Status::Running } else { Status::Pending }.into()),
        false => Err(Error::NotFound(format!("the build has no job {id:?}"))),
    }
}

pub fn submit(jobs: &[&Job]) -> Result<(), Error> {
    super::in_action("submit jobs")?;
    with(|world| {
        let there: Vec<DeclaredJob> = world.told.jobs.iter().map(|job| job.borrow().clone()).collect();
        let there: Vec<DeclaredJob> = there.into_iter().chain(world.told.submitted.iter().cloned()).collect();
        let new: Vec<DeclaredJob> = jobs.iter().map(|job| job.declared.borrow().clone()).collect();
        let faults = problems(&there, &new, &world.given.secrets);
        if !faults.is_empty() {
            return Err(Error::Invalid(faults.join("\n")));
        }
        world.told.submitted.extend(new);
        Ok(())
    })
}

/// No time passes in a simulation: a job that is not over by now never is.
pub fn wait_any(ids: &[String], timeout: Option<u64>) -> Result<Option<String>, Error> {
    super::in_action("wait for jobs")?;
    with(|world| {
        for id in ids {
            if ended(world, id)?.status >= Status::Success {
                return Ok(Some(id.clone()));
            }
        }
        match timeout {
            Some(_) => Ok(None),
            None => Err(Error::Unavailable(format!(
                "waiting for {} would take for ever; `Simulation::outcome` says in a test how a job ends",
                ids.join(", ")
            ))),
        }
    })
}

pub fn argument() -> Option<String> {
    with(|world| world.given.argument.clone())
}
