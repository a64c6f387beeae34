//! What a job says of its result, beside how it ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

impl TestSummary {
    /// The most failures that are kept.
    pub const FAILURES: usize = 100;

    /// Adds the numbers of another report.
    pub fn add(&mut self, other: Self) {
        self.total = self.total.saturating_add(other.total);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.duration_ms = self.duration_ms.saturating_add(other.duration_ms);
        let room = Self::FAILURES.saturating_sub(self.failures.len());
        self.failures.extend(other.failures.into_iter().take(room));
    }
}

impl Results {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
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
