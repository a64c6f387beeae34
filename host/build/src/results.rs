//! What a job says of its result, beside how it ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Words;

/// What a job says of its result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to look at, though the job ended well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Values for later jobs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Titles and addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<(String, String)>,
    /// The summary of its test report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestSummary>,
    /// The share of the code that tests cover, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
}

/// The summary of a test report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TestSummary {
    /// How many tests there were.
    pub total: u32,
    /// How many failed, or ended by an error.
    pub failed: u32,
    /// How many were skipped.
    pub skipped: u32,
    /// How many are disabled, or did not run for another reason that is no skip: they did not pass either.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_run: u32,
    /// How long they took, in milliseconds.
    pub duration_ms: u64,
    /// The first 100 that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<TestFailure>,
}

/// A test that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFailure {
    /// Its name, with its class or suite in front.
    pub name: String,
    /// What went wrong, in a line.
    pub message: String,
}

/// Warnings that are longer together take nothing more on, in bytes.
pub(crate) const MAX_WARNING: usize = 2000;

/// What two short texts take beside their bytes.
const PAIR: usize = 64;

impl TestSummary {
    /// The most failures that are kept.
    pub const FAILURES: usize = 100;

    /// Adds the numbers of another report.
    pub fn add(&mut self, other: Self) {
        self.total = self.total.saturating_add(other.total);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.not_run = self.not_run.saturating_add(other.not_run);
        self.duration_ms = self.duration_ms.saturating_add(other.duration_ms);
        let room = Self::FAILURES.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.into_iter().take(room));
    }
}

impl Results {
    /// Adds something to look at to what was said before.
    pub fn warn(&mut self, warning: &str) {
        match &mut self.warning {
            Some(said) if said.len() > MAX_WARNING => {}
            Some(said) => {
                said.push_str("; ");
                said.push_str(if said.len() > MAX_WARNING { "and more" } else { warning });
            }
            None => self.warning = Some(warning.to_owned()),
        }
    }

    /// Adds what was said later: the last message and share of code count, and of two outputs of a name the last.
    pub fn add(&mut self, later: Self) {
        let Self { message, warning, outputs, links, tests, coverage } = later;
        self.message = message.or(self.message.take());
        warning.iter().for_each(|warning| self.warn(warning));
        self.outputs.extend(outputs);
        self.links.extend(links);
        if let Some(tests) = tests {
            self.tests.get_or_insert_default().add(tests);
        }
        self.coverage = coverage.or(self.coverage.take());
    }

    /// Whether all that is said in `again`, but for tests, has been said before.
    pub fn has(&self, again: &Self) -> bool {
        let Self { message, warning, outputs, links, tests: _, coverage } = again;
        let same = |one: &Option<String>, other: &Option<String>| one.is_none() || one == other;
        let warned = |warning: &String| self.warning.as_ref().is_some_and(|said| said.contains(warning.as_str()));
        same(message, &self.message)
            && warning.iter().all(warned)
            && outputs.iter().all(|(name, value)| self.outputs.get(name) == Some(value))
            && links.iter().all(|link| self.links.contains(link))
            && (coverage.is_none() || *coverage == self.coverage)
    }

    /// About how many bytes it takes to keep this.
    pub fn size(&self) -> usize {
        let Self { message, warning, outputs, links, tests, coverage: _ } = self;
        let texts = [message, warning].into_iter().flatten().map(String::len);
        let pairs = outputs.iter().chain(links.iter().map(|(title, url)| (title, url)));
        let pairs = pairs.map(|(one, other)| one.len() + other.len() + PAIR);
        let failures = tests.iter().flat_map(|tests| &tests.failures);
        let failures = failures.map(|TestFailure { name, message }| name.len() + message.len() + PAIR);
        texts.chain(pairs).chain(failures).sum()
    }

    /// Shows every text that is words for people; see [`EventBody::words`](crate::EventBody::words). Outputs are data.
    pub(crate) fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        let Self { message, warning, outputs: _, links, tests, coverage: _ } = self;
        let mut text = |text: &mut String| see(Words::Text(text));
        [message, warning].into_iter().flatten().for_each(&mut text);
        links.iter_mut().for_each(|(title, url)| [title, url].into_iter().for_each(&mut text));
        if let Some(TestSummary { total: _, failed: _, skipped: _, not_run: _, duration_ms: _, failures }) = tests {
            for TestFailure { name, message } in failures {
                [name, message].into_iter().for_each(&mut text);
            }
        }
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Whether this can be the name of an output: 1 to 128 of `a-z A-Z 0-9 . _ -`.
pub fn is_output_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Whether this can be the address of a link: of the web, and without characters that could forge what is around it.
pub fn is_link(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://"))
        && !url.contains(|c: char| c.is_control() || c.is_whitespace())
}
