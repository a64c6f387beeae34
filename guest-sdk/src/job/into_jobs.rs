//! What a script's function may return.

use super::{ActionJob, ContainerJob, Handler, Job};
use crate::Result;

/// What a script's function may return: jobs, in tuples, arrays, vectors, options and results of them.
pub trait IntoJobs {
    /// The jobs, in order.
    ///
    /// # Errors
    /// When the function failed; the build then ends before any job has started.
    fn into_jobs(self) -> Result<Vec<Job>>;
}

impl IntoJobs for () {
    fn into_jobs(self) -> Result<Vec<Job>> {
        Ok(Vec::new())
    }
}

impl IntoJobs for Job {
    fn into_jobs(self) -> Result<Vec<Job>> {
        Ok(vec![self])
    }
}

impl IntoJobs for ActionJob {
    fn into_jobs(self) -> Result<Vec<Job>> {
        Ok(vec![self.into()])
    }
}

impl IntoJobs for ContainerJob {
    fn into_jobs(self) -> Result<Vec<Job>> {
        Ok(vec![self.into()])
    }
}

impl IntoJobs for Handler {
    fn into_jobs(self) -> Result<Vec<Job>> {
        Ok(vec![self.into()])
    }
}

impl<T: IntoJobs> IntoJobs for Vec<T> {
    fn into_jobs(self) -> Result<Vec<Job>> {
        concat(self)
    }
}

impl<T: IntoJobs, const N: usize> IntoJobs for [T; N] {
    fn into_jobs(self) -> Result<Vec<Job>> {
        concat(self)
    }
}

impl<T: IntoJobs> IntoJobs for Option<T> {
    fn into_jobs(self) -> Result<Vec<Job>> {
        concat(self)
    }
}

impl<T: IntoJobs, E: Into<crate::Error>> IntoJobs for Result<T, E> {
    fn into_jobs(self) -> Result<Vec<Job>> {
        self.map_err(Into::into)?.into_jobs()
    }
}

fn concat<T: IntoJobs>(parts: impl IntoIterator<Item = T>) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for part in parts {
        jobs.extend(part.into_jobs()?);
    }
    Ok(jobs)
}

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name: IntoJobs),*> IntoJobs for ($($name,)*) {
            fn into_jobs(self) -> Result<Vec<Job>> {
                #[allow(non_snake_case)]
                let ($($name,)*) = self;
                let mut jobs = Vec::new();
                $(jobs.extend($name.into_jobs()?);)*
                Ok(jobs)
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J);
tuples!(A B C D E F G H I J K);
tuples!(A B C D E F G H I J K L);
