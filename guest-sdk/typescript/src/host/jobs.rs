//! Jobs: what the façade has made of options becomes calls of setters.

use rquickjs::{Array, Ctx, Exception, FromJs, Object, Result};

use super::held::{Held, hold, with};
use super::{Answer, Call, Refused, number, whole};
use crate::bindings::monkeyci::script::{jobs, secrets};

pub fn answer<'js>(call: &Call<'js>, name: &str) -> Answer<'js> {
    match name {
        "declare" => {
            let calls: Array<'js> = call.get(3)?;
            drop(made(&call.ctx, &call.text(1)?, &call.text(2)?, &calls)?);
            call.value(())
        }
        "submit" => {
            let mut all = Vec::new();
            for job in call.get::<Vec<Array<'js>>>(1)? {
                let (kind, id, calls): (String, String, Array<'js>) = (job.get(0)?, job.get(1)?, job.get(2)?);
                all.push(made(&call.ctx, &kind, &id, &calls)?);
            }
            call.value(jobs::submit(&all.iter().collect::<Vec<_>>())?)
        }
        "look-up" => hold(call, Held::Outcome(jobs::look_up(&call.text(1)?)?)),
        "outcome" => outcome(call, &call.text(2)?),
        "wait-any" => {
            let timeout: Option<f64> = call.get(2)?;
            call.value(jobs::wait_any(&call.get::<Vec<String>>(1)?, timeout.map(whole))?)
        }
        _ => call.value(jobs::argument()),
    }
}

fn made<'js>(ctx: &Ctx<'js>, kind: &str, id: &str, calls: &Array<'js>) -> std::result::Result<jobs::Job, Refused> {
    let job = if kind == "container" { jobs::Job::container(id) } else { jobs::Job::action(id) };
    set_all(ctx, &job, calls)?;
    Ok(job)
}

/// Makes the calls of a late job.
pub fn apply<'js>(ctx: &Ctx<'js>, job: &jobs::Job, calls: &Array<'js>) -> Result<()> {
    set_all(ctx, job, calls).map_err(|refused| match refused {
        Refused::Engine(error) => error,
        Refused::Host(error) => Exception::throw_message(ctx, &super::in_words(&error).1),
    })
}

fn set_all<'js>(ctx: &Ctx<'js>, job: &jobs::Job, calls: &Array<'js>) -> std::result::Result<(), Refused> {
    for call in calls.iter::<Array<'js>>() {
        set(ctx, job, &Setter::of(call?)?)?;
    }
    Ok(())
}

/// A call of a setter.
struct Setter<'js> {
    name: String,
    arguments: Array<'js>,
}

impl<'js> Setter<'js> {
    fn of(arguments: Array<'js>) -> Result<Self> {
        Ok(Self { name: arguments.get(0)?, arguments })
    }

    fn get<T: FromJs<'js>>(&self, at: usize) -> Result<T> {
        self.arguments.get(at)
    }

    fn text(&self, at: usize) -> Result<String> {
        self.get(at)
    }

    fn words(&self, at: usize) -> Result<Vec<String>> {
        self.get(at)
    }

    fn whole(&self) -> Result<u64> {
        Ok(whole(self.get(1)?))
    }

    fn secret(&self) -> std::result::Result<secrets::Secret, Refused> {
        Ok(secrets::named(&self.text(2)?)?)
    }
}

fn set(ctx: &Ctx<'_>, job: &jobs::Job, it: &Setter<'_>) -> std::result::Result<(), Refused> {
    match it.name.as_str() {
        "needs" => job.needs(&it.text(1)?),
        "requires" => job.requires(&it.text(1)?),
        "remove" => job.remove(&it.text(1)?),
        "run-when" => job.run_when(&it.text(1)?),
        "allow-failure" => job.allow_failure(),
        "retry" => job.retry(it.get(1)?),
        "retry-on" => job.retry_on(&it.text(1)?),
        "retry-delay" => job.retry_delay(it.whole()?),
        "priority" => job.priority(it.get(1)?),
        "fail-fast" => job.fail_fast(&it.text(1)?),
        "approval" => job.approval(&it.text(1)?),
        "manual" => job.manual(),
        "late" => job.late(),
        "skip" => job.skip(&it.text(1)?),
        "label" => job.label(&it.text(1)?, &it.text(2)?),
        "calls" => job.calls(&it.text(1)?, &it.text(2)?),
        "creates-artifact" => job.creates_artifact(&it.text(1)?),
        "timeout" => job.timeout(it.whole()?),
        "image" => job.image(&it.text(1)?),
        "argv" => job.argv(&it.words(1)?),
        "shell" => job.shell(&it.words(1)?),
        "shell-program" => job.shell_program(&it.words(1)?),
        "shell-each" => job.shell_each(),
        "user" => job.user(&it.text(1)?),
        "architecture" => job.architecture(&it.text(1)?),
        "network" => job.network(&it.text(1)?),
        "network-allow" => job.network_allow(&it.text(1)?),
        "env" => job.env(&it.text(1)?, &it.text(2)?),
        "secret-env" => job.secret_env(&it.text(1)?, &it.secret()?),
        "secret-file" => job.secret_file(&it.text(1)?, &it.secret()?),
        "param-file" => job.param_file(&it.text(1)?, &it.text(2)?),
        "output-env" => job.output_env(&it.text(1)?, &it.text(2)?, &it.text(3)?),
        "test-report" => job.test_report(&it.text(1)?),
        "work-dir" => job.work_dir(&it.text(1)?),
        "memory" => job.memory(it.whole()?),
        "cpu" => job.cpu(it.get(1)?),
        "shm-size" => job.shm_size(it.whole()?),
        "pull" => job.pull(&it.text(1)?),
        "entrypoint-of-image" => job.entrypoint_of_image(),
        "with-git" => job.with_git(),
        "service" => job.service(service(ctx, it)?),
        _ => return stored(ctx, job, it),
    }
    Ok(())
}

/// What container jobs leave behind and find.
fn stored(ctx: &Ctx<'_>, job: &jobs::Job, it: &Setter<'_>) -> std::result::Result<(), Refused> {
    let id = it.text(1)?;
    match it.name.as_str() {
        "save-artifact" => job.save_artifact(&id, &it.text(2)?),
        "artifact-files" => job.artifact_files(&id, &it.words(2)?),
        "artifact-always" => job.artifact_always(&id),
        "artifact-on-failure" => job.artifact_on_failure(&id),
        "artifact-if-there" => job.artifact_if_there(&id),
        "restore-artifact" => job.restore_artifact(&id, &it.text(2)?),
        "restore-artifact-as" => job.restore_artifact_as(&id, &it.text(2)?),
        "restore-artifact-if-there" => job.restore_artifact_if_there(&id, &it.text(2)?),
        "restore-artifact-as-if-there" => job.restore_artifact_as_if_there(&id, &it.text(2)?),
        "cache" => job.cache(&id, &it.text(2)?),
        "cache-path" => job.cache_path(&id, &it.text(2)?),
        "cache-key" => job.cache_key(&id, &it.text(2)?),
        "cache-fallback" => job.cache_fallback(&id, &it.text(2)?),
        "cache-save" => job.cache_save(&id, &it.text(2)?),
        other => return Err(unknown(ctx, other)),
    }
    Ok(())
}

fn service(ctx: &Ctx<'_>, it: &Setter<'_>) -> std::result::Result<jobs::Service, Refused> {
    let service = jobs::Service::new(&it.text(1)?, &it.text(2)?);
    let calls: Array<'_> = it.get(3)?;
    for call in calls.iter::<Array<'_>>() {
        let it = Setter::of(call?)?;
        match it.name.as_str() {
            "argv" => service.argv(&it.words(1)?),
            "env" => service.env(&it.text(1)?, &it.text(2)?),
            "secret-env" => service.secret_env(&it.text(1)?, &it.secret()?),
            "ready-port" => service.ready_port(it.get(1)?),
            "ready-command" => service.ready_command(&it.words(1)?),
            "ready-timeout" => service.ready_timeout(it.whole()?),
            other => return Err(unknown(ctx, other)),
        }
    }
    Ok(service)
}

fn unknown(ctx: &Ctx<'_>, name: &str) -> Refused {
    Refused::Engine(Exception::throw_type(ctx, &format!("this can't be set here: {name}")))
}

/// What is asked of an outcome, and nothing else: a plan that does not know of it knows the rest.
fn outcome<'js>(call: &Call<'js>, what: &str) -> Answer<'js> {
    with(call, |held| match held {
        Held::Outcome(it) => Some(of_outcome(call, it, what)),
        _ => None,
    })?
}

fn of_outcome<'js>(call: &Call<'js>, it: &jobs::Outcome, what: &str) -> Answer<'js> {
    match what {
        "status" => call.value(status(it.status())),
        "message" => call.value(it.message()),
        "exitCode" => call.value(it.exit_code()),
        "duration" => call.value(it.duration().map(number)),
        "output" => call.value(it.output(&call.text(3)?)),
        "outputs" => {
            let outputs = Object::new(call.ctx.clone())?;
            for (name, value) in it.outputs() {
                outputs.set(name, value)?;
            }
            Ok(outputs.into_value())
        }
        "links" => {
            let mut links = Vec::new();
            for (title, url) in it.links() {
                let link = Object::new(call.ctx.clone())?;
                link.set("title", title)?;
                link.set("url", url)?;
                links.push(link);
            }
            call.value(links)
        }
        "coverage" => call.value(it.coverage()),
        _ => {
            let Some(tests) = it.tests() else { return call.value(()) };
            let summary = Object::new(call.ctx.clone())?;
            summary.set("total", tests.total())?;
            summary.set("failed", tests.failed())?;
            summary.set("skipped", tests.skipped())?;
            summary.set("failures", tests.failures())?;
            Ok(summary.into_value())
        }
    }
}

fn status(it: jobs::Status) -> &'static str {
    match it {
        jobs::Status::Pending => "pending",
        jobs::Status::Blocked => "blocked",
        jobs::Status::Queued => "queued",
        jobs::Status::Running => "running",
        jobs::Status::Success => "success",
        jobs::Status::Warning => "warning",
        jobs::Status::Failure => "failure",
        jobs::Status::Error => "error",
        jobs::Status::Skipped => "skipped",
        jobs::Status::Cancelled => "cancelled",
    }
}
