//! What whoever starts a build gives it: parameters and secrets.

use std::collections::{BTreeMap, BTreeSet};

use monkeyci_api::Hidden;

/// The parameters and secrets of a build.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The parameters.
    pub params: BTreeMap<String, String>,
    /// The secrets. They never reach the journal, and are masked wherever the build shows something.
    pub secrets: BTreeMap<String, Hidden<Vec<u8>>>,
    /// The secrets whose bytes the script's actions may read. All others it can hand to jobs only.
    pub reveal: BTreeSet<String>,
    /// Where parameters and secrets were looked for, in words: for the message about one that is missing.
    pub looked_in: Vec<String>,
}

impl Inputs {
    /// Where was looked for what is missing, as the end of a sentence.
    pub(crate) fn looked(&self) -> String {
        match self.looked_in.as_slice() {
            [] => String::new(),
            places => format!("; looked in {}", places.join(", ")),
        }
    }
}
