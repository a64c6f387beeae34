//! What whoever starts a build gives it: parameters and secrets.

use std::collections::{BTreeMap, BTreeSet};

use monkeyci_api::Hidden;
use monkeyci_build::{Fault, FaultKind, GraphFaults, JobSpec, Place};

/// The parameters and secrets of a build.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The parameters.
    pub params: BTreeMap<String, String>,
    /// The secrets. They never reach the journal, and are masked wherever the build shows something.
    pub secrets: BTreeMap<String, Hidden<Vec<u8>>>,
    /// The secrets whose bytes the script's actions may read. All others it can hand to jobs only.
    pub reveal: BTreeSet<String>,
    /// Where parameters were looked for, in words: for the message about one that is missing.
    pub params_looked_in: Vec<String>,
    /// Where secrets were looked for, in words.
    pub secrets_looked_in: Vec<String>,
}

impl Inputs {
    /// The secrets that jobs are to be given, and that are not there.
    pub(crate) fn missing_secrets(&self, jobs: &[JobSpec]) -> GraphFaults {
        let mut faults = Vec::new();
        for job in jobs {
            let missing = job.secrets().filter(|(_, secret)| !self.secrets.contains_key(*secret));
            faults.extend(missing.map(|(field, secret)| {
                let kind = FaultKind::MissingSecret { secret: secret.to_owned() };
                Fault { place: Place::Job(job.id.clone()), field, kind }
            }));
        }
        GraphFaults(faults)
    }

    /// Where was looked for a parameter that is missing, as the end of a sentence.
    pub(crate) fn looked_for_param(&self) -> String {
        looked_in(&self.params_looked_in)
    }

    /// Where was looked for a secret that is missing, as the end of a sentence.
    pub(crate) fn looked_for_secret(&self) -> String {
        looked_in(&self.secrets_looked_in)
    }
}

fn looked_in(places: &[String]) -> String {
    if places.is_empty() { String::new() } else { format!("; looked in {}", places.join(", ")) }
}
