//! What a script and its jobs ask for beyond their own files.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{JobSpec, NetworkMode};

/// What a script and its jobs ask for beyond their own files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Permissions {
    /// The interfaces that the script imports.
    pub imports: BTreeSet<String>,
    /// The secrets that it asks for while it declares jobs, or hands on to jobs, by name.
    pub secrets: BTreeSet<String>,
    /// What jobs and their services reach: `internet`, and what they ask for beyond.
    pub networks: BTreeSet<String>,
    /// The users that jobs run as, where that is not the image's own.
    pub users: BTreeSet<String>,
}

impl Permissions {
    /// What jobs ask for.
    pub fn of_jobs(jobs: &[JobSpec]) -> Self {
        let mut asked = Self::default();
        for job in jobs {
            asked.secrets.extend(job.secrets().map(|(_, name)| name.to_owned()));
            let Some(container) = job.container() else { continue };
            if container.network == NetworkMode::Internet {
                asked.networks.insert("internet".to_owned());
            }
            asked.networks.extend(container.network_allow.iter().map(ToString::to_string));
            asked.users.extend(container.user.clone());
        }
        asked
    }

    /// Each kind of them, with what of it is asked for.
    pub(super) fn kinds(&self) -> [(&'static str, &BTreeSet<String>); 4] {
        let Self { imports, secrets, networks, users } = self;
        [("import", imports), ("secret", secrets), ("network", networks), ("user", users)]
    }
}
