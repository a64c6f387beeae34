//! The names and labels of a pod's objects: all made from its key, so that they are found again without a record.

use std::collections::HashMap;

use crate::{EngineError, LABEL_BUILD, LABEL_JOB, LABEL_OWNER, LABEL_POD, Part, Pod};

/// The names of a pod's objects. Holding one means that the key is harmless in names, URLs and filters.
#[derive(Clone, Debug)]
pub(super) struct Names {
    key: String,
}

impl Names {
    pub(super) fn of(key: &str) -> Result<Self, EngineError> {
        let fits = (1..=60).contains(&key.len())
            && !key.starts_with('-')
            && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self { key: key.to_owned() })
        } else {
            Err(EngineError::Refused {
                what: format!("use pod key {key:?}"),
                reason: "a key is 1 to 60 of a-z, 0-9 and '-', and does not start with '-'".to_owned(),
            })
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn network(&self) -> String {
        format!("{}-net", self.key)
    }

    pub(super) fn volume(&self) -> String {
        format!("{}-shared", self.key)
    }

    pub(super) fn job(&self) -> String {
        format!("{}-job", self.key)
    }

    pub(super) fn sidecar(&self) -> String {
        format!("{}-sidecar", self.key)
    }

    pub(super) fn service(&self, name: &str) -> Result<String, EngineError> {
        let fits = (1..=63).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if fits {
            Ok(format!("{}-svc-{name}", self.key))
        } else {
            Err(EngineError::Refused {
                what: format!("name a service {name:?}"),
                reason: "a service's name is a host name: 1 to 63 of a-z, 0-9, '-', '_' and '.'".to_owned(),
            })
        }
    }

    pub(super) fn part(&self, part: &Part) -> Result<String, EngineError> {
        match part {
            Part::Job => Ok(self.job()),
            Part::Sidecar => Ok(self.sidecar()),
            Part::Service(name) => self.service(name),
        }
    }
}

/// The labels of everything that belongs to `pod`.
pub(super) fn labels(pod: &Pod) -> HashMap<String, String> {
    [(LABEL_OWNER, &pod.owner), (LABEL_BUILD, &pod.build), (LABEL_JOB, &pod.job), (LABEL_POD, &pod.key)]
        .into_iter()
        .map(|(label, value)| (label.to_owned(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_could_reach_another_url_is_refused() {
        for key in ["", "-x", "a/b", "..", "A", "a b", &"x".repeat(61)] {
            assert!(Names::of(key).is_err(), "{key:?}");
        }
        assert!(Names::of("b1-j2").is_ok());
    }

    #[test]
    fn a_service_name_that_is_no_host_name_is_refused() {
        let names = Names::of("k").expect("a good key");
        for name in ["", "../x", "a/b", "-a", "a?b"] {
            assert!(names.service(name).is_err(), "{name:?}");
        }
        assert_eq!(names.service("db-1").expect("a good name"), "k-svc-db-1");
    }
}
