//! What the author of a script says that holds always, or sometimes: the script prints it, where it runs in a simulation.

use std::collections::{BTreeMap, BTreeSet};

use monkeyci_api::{LogFrame, LogStream};

use super::rules::{Broken, Rule};

/// What such a line begins with; the SDK writes it.
const MARK: &str = "monkeyci-assert ";
/// A line that is longer than this, in bytes, is none of those.
const LONG: usize = 4096;

/// What a script has said so far.
#[derive(Debug, Default)]
pub(super) struct Assertions {
    /// What has been printed of a line that has not ended, by job.
    lines: BTreeMap<Option<String>, Vec<u8>>,
    /// What was to hold always and did not, with the job that said so.
    broken: BTreeSet<(Option<String>, String)>,
    /// What is to hold sometimes, and whether it has.
    sometimes: BTreeMap<String, bool>,
}

impl Assertions {
    /// Takes in a piece of the log of a job, or of `define`.
    pub(super) fn hear(&mut self, job: Option<&str>, frame: &LogFrame) {
        if frame.stream != LogStream::Stdout {
            return;
        }
        let line = self.lines.entry(job.map(str::to_owned)).or_default();
        let mut whole = Vec::new();
        for byte in &frame.bytes {
            match byte {
                b'\n' => whole.push(std::mem::take(line)),
                // Of one that is too long the end is left out.
                byte if line.len() < LONG => line.push(*byte),
                _ => {}
            }
        }
        for line in whole {
            if let Some(said) = std::str::from_utf8(&line).ok().and_then(|line| line.strip_prefix(MARK)) {
                self.take(job, said);
            }
        }
    }

    fn take(&mut self, job: Option<&str>, said: &str) {
        match said.split_once(": ") {
            Some(("always broken", what)) => {
                self.broken.insert((job.map(str::to_owned), what.to_owned()));
            }
            Some(("sometimes reached", what)) => drop(self.sometimes.insert(what.to_owned(), true)),
            Some(("sometimes missed", what)) => drop(self.sometimes.entry(what.to_owned()).or_default()),
            _ => {}
        }
    }

    /// The rules that are broken by it.
    pub(super) fn broken(&self) -> Vec<Broken> {
        let broken = |(job, what): &(Option<String>, String)| Broken::new(Rule::Always, job.as_deref(), what);
        self.broken.iter().map(broken).collect()
    }

    /// What is to hold sometimes, and whether it has.
    pub(super) fn sometimes(&self) -> BTreeMap<String, bool> {
        self.sometimes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_says_of_itself_is_heard_also_in_pieces_and_nothing_else_is() {
        let mut said = Assertions::default();
        let mut hear = |job: Option<&str>, text: &str| {
            let bytes = bytes::Bytes::copy_from_slice(text.as_bytes());
            said.hear(job, &LogFrame { stream: LogStream::Stdout, time_ms: 0, bytes });
        };
        hear(Some("a"), "monkeyci-assert alw");
        hear(Some("b"), "monkeyci-assert sometimes missed: it waits\n");
        hear(Some("a"), "ays broken: one: two\nsomething else\n");
        hear(None, "monkeyci-assert sometimes reached: it runs\nmonkeyci-assert sometimes missed: it runs\n");
        hear(None, &format!("{}\n", "x".repeat(3 * LONG)));
        hear(None, "not monkeyci-assert always broken: this\nmonkeyci-assert always broken: not ended");
        assert_eq!(said.broken(), [Broken::new(Rule::Always, Some("a"), "one: two")]);
        let sometimes = [("it runs".to_owned(), true), ("it waits".to_owned(), false)];
        assert_eq!(said.sometimes(), BTreeMap::from(sometimes));
    }
}
