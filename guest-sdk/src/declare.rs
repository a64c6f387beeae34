//! Tells the host of a job.

use crate::__bindings::monkeyci::script::jobs;
use crate::job::ActionFn;
use crate::{Job, Service};

/// Declares `job` to the host. Returns its closure, if it is an action job.
pub(crate) fn declare(job: Job) -> Option<(String, ActionFn)> {
    match job {
        Job::Action(action) => {
            let host = jobs::Job::action(&action.id);
            common(&host, &action.needs, action.timeout);
            Some((action.id, action.run))
        }
        Job::Container(job) => {
            let host = jobs::Job::container(&job.id);
            common(&host, &job.needs, job.timeout);
            host.image(&job.image);
            if let Some(argv) = &job.argv {
                host.argv(argv);
            }
            if let Some(lines) = &job.shell {
                host.shell(lines);
            }
            job.env.iter().for_each(|(name, value)| host.env(name, value));
            if let Some(path) = &job.work_dir {
                host.work_dir(path);
            }
            if let Some(bytes) = job.memory {
                host.memory(bytes);
            }
            if let Some(millicores) = job.cpu {
                host.cpu(millicores);
            }
            job.save_artifacts.iter().for_each(|(id, path)| host.save_artifact(id, path));
            job.restore_artifacts.iter().for_each(|(id, path)| host.restore_artifact(id, path));
            job.caches.iter().for_each(|(id, path)| host.cache(id, path));
            job.services.iter().for_each(|service| host.service(declare_service(service)));
            None
        }
    }
}

fn common(host: &jobs::Job, needs: &[String], timeout: Option<std::time::Duration>) {
    needs.iter().for_each(|id| host.needs(id));
    if let Some(limit) = timeout {
        host.timeout(millis(limit));
    }
}

fn declare_service(service: &Service) -> jobs::Service {
    let host = jobs::Service::new(&service.name, &service.image);
    if let Some(argv) = &service.argv {
        host.argv(argv);
    }
    service.env.iter().for_each(|(name, value)| host.env(name, value));
    if let Some(port) = service.ready_port {
        host.ready_port(port);
    }
    if let Some(argv) = &service.ready_command {
        host.ready_command(argv);
    }
    if let Some(limit) = service.ready_timeout {
        host.ready_timeout(millis(limit));
    }
    host
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
