//! Naming a job.

use crate::{ActionJob, ContainerJob, Job, JobHandle};

/// Names a job: the job itself, or its id.
pub trait JobRef {
    /// The job's id.
    fn id(&self) -> &str;
}

impl JobRef for str {
    fn id(&self) -> &str {
        self
    }
}

impl JobRef for String {
    fn id(&self) -> &str {
        self
    }
}

impl JobRef for ActionJob {
    fn id(&self) -> &str {
        &self.common.id
    }
}

impl JobRef for ContainerJob {
    fn id(&self) -> &str {
        &self.common.id
    }
}

impl JobRef for Job {
    fn id(&self) -> &str {
        &self.common().id
    }
}

impl JobRef for JobHandle {
    fn id(&self) -> &str {
        self.as_str()
    }
}

impl<T: JobRef + ?Sized> JobRef for &T {
    fn id(&self) -> &str {
        (**self).id()
    }
}
