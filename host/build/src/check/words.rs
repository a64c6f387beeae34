//! Words that the script API takes as strings, and what they mean.

use crate::{NetworkMode, PullPolicy, RetryOn, RunWhen, SavePolicy};

pub(super) const RUN_WHEN: &str = "success, always or failure";
pub(super) const RETRY_ON: &str = "failure, error, timeout, out-of-memory, or exit-code=N with a code from 1 to 255";
pub(super) const SAVE_POLICY: &str = "success, always, miss or never";
pub(super) const NETWORK: &str = "internet or none";
pub(super) const PULL: &str = "missing, always or never";
pub(super) const PARAM_KIND: &str = "text, integer, number, boolean or choice";

pub(super) fn run_when(word: &str) -> Option<RunWhen> {
    match word {
        "success" => Some(RunWhen::Success),
        "always" => Some(RunWhen::Always),
        "failure" => Some(RunWhen::Failure),
        _ => None,
    }
}

pub(super) fn retry_on(word: &str) -> Option<RetryOn> {
    match word {
        "failure" => Some(RetryOn::Failure),
        "error" => Some(RetryOn::Error),
        "timeout" => Some(RetryOn::Timeout),
        "out-of-memory" => Some(RetryOn::OutOfMemory),
        // 0 is no failure, and nothing exits with more than 255.
        _ => word
            .strip_prefix("exit-code=")?
            .parse::<u8>()
            .ok()
            .filter(|code| *code > 0)
            .map(|code| RetryOn::ExitCode(i32::from(code))),
    }
}

pub(super) fn save_policy(word: &str) -> Option<SavePolicy> {
    match word {
        "success" => Some(SavePolicy::Success),
        "always" => Some(SavePolicy::Always),
        "miss" => Some(SavePolicy::Miss),
        "never" => Some(SavePolicy::Never),
        _ => None,
    }
}

pub(super) fn pull(word: &str) -> Option<PullPolicy> {
    match word {
        "missing" => Some(PullPolicy::Missing),
        "always" => Some(PullPolicy::Always),
        "never" => Some(PullPolicy::Never),
        _ => None,
    }
}

pub(super) fn network(word: &str) -> Option<NetworkMode> {
    match word {
        "internet" => Some(NetworkMode::Internet),
        "none" => Some(NetworkMode::None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_rule_is_told_as_scripts_write_it() {
        for word in ["failure", "error", "timeout", "out-of-memory", "exit-code=3"] {
            assert_eq!(retry_on(word).map(|rule| rule.to_string()).as_deref(), Some(word));
        }
    }
}
