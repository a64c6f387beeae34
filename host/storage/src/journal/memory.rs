//! The journal in memory: for simulations and tests. It takes what a database takes, and refuses what one refuses; what it holds goes with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Append, Digest, Head, Journal, JournalError, Page, Piece, Record};

/// The journal in memory. It is there as long as this is, whatever becomes of the hosts that write it.
#[derive(Debug, Default)]
pub struct MemoryJournal(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The builds, oldest first.
    builds: Vec<KeptBuild>,
    /// Large values, by their digests.
    contents: BTreeMap<Digest, String>,
}

#[derive(Debug)]
struct KeptBuild {
    build: String,
    head: Head,
    records: Vec<Record>,
    /// What its records refer to.
    uses: Vec<Digest>,
}

impl KeptBuild {
    /// Whether its last record says that it is over. The type of an event is its first field, or of one that refers to large values its
    /// last.
    fn is_over(&self) -> bool {
        self.records.last().is_some_and(|last| {
            last.body.starts_with(r#"{"type":"build/ended""#) || last.body.ends_with(r#""type":"build/ended"}"#)
        })
    }
}

impl MemoryJournal {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn build(&self, build: &str) -> Option<&KeptBuild> {
        self.builds.iter().find(|kept| kept.build == build)
    }

    /// Writes an append, if the journal is as it has it.
    fn append(&mut self, append: &Append) -> Result<(), JournalError> {
        let at = self.builds.iter().position(|kept| kept.build == *append.build);
        let at = match at {
            None if append.begins() => {
                let (build, head) = (append.build.to_string(), append.before());
                self.builds.push(KeptBuild { build, head, records: Vec::new(), uses: Vec::new() });
                self.builds.len() - 1
            }
            Some(at) if self.builds[at].head == append.before() && !append.begins() => at,
            at => return append.verdict(at.map(|at| &self.builds[at].head)),
        };
        let kept = &mut self.builds[at];
        kept.head = append.head();
        kept.records.extend(append.records.iter().cloned());
        kept.uses.extend(append.pieces.iter().map(|piece| piece.digest));
        self.contents.extend(append.pieces.iter().map(|piece| (piece.digest, piece.text.clone())));
        Ok(())
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    fn name(&self) -> &str {
        "in memory"
    }

    async fn commit(&self, appends: &[Append]) -> Result<Vec<Result<(), JournalError>>, JournalError> {
        let mut kept = self.kept();
        Ok(appends.iter().map(|append| kept.append(append)).collect())
    }

    async fn take_over(&self, build: &str, seen: &Head, new: &Head) -> Result<bool, JournalError> {
        let mut kept = self.kept();
        let found = kept.builds.iter_mut().find(|kept| kept.build == build && kept.head == *seen);
        // Records that are missing at the end are missing for ever.
        Ok(found.map(|found| found.head = *new).is_some())
    }

    async fn head(&self, build: &str) -> Result<Option<Head>, JournalError> {
        Ok(self.kept().build(build).map(|kept| kept.head))
    }

    async fn records(&self, build: &str, after: u64, page: Page) -> Result<Vec<Record>, JournalError> {
        let kept = self.kept();
        let all = kept.build(build).into_iter().flat_map(|kept| &kept.records).filter(|record| record.number > after);
        let (mut records, mut bytes) = (Vec::new(), 0_u64);
        for record in all.take(page.count) {
            bytes = bytes.saturating_add(record.size);
            if bytes > page.bytes && !records.is_empty() {
                break;
            }
            records.push(record.clone());
        }
        Ok(records)
    }

    async fn pieces(&self, digests: &[Digest]) -> Result<Vec<Piece>, JournalError> {
        let kept = self.kept();
        let piece = |digest: &Digest| Some(Piece { digest: *digest, text: kept.contents.get(digest)?.clone() });
        Ok(digests.iter().filter_map(piece).collect())
    }

    async fn builds(&self) -> Result<Vec<String>, JournalError> {
        Ok(self.kept().builds.iter().map(|kept| kept.build.clone()).collect())
    }

    async fn open_builds(&self) -> Result<Vec<String>, JournalError> {
        let kept = self.kept();
        Ok(kept.builds.iter().filter(|kept| !kept.is_over()).map(|kept| kept.build.clone()).collect())
    }

    async fn outlines(&self, skip: usize, count: usize) -> Result<Vec<(String, Record)>, JournalError> {
        /// A few warnings may stand before the record of a build's code.
        const FIRST: u64 = 16;
        let kept = self.kept();
        let of_build = |kept: &KeptBuild| {
            let last = kept.head.last;
            let is_code = |record: &Record| record.body.contains(r#""type":"build/checked-out""#);
            let is_first = move |record: &Record| record.number < last && record.number <= FIRST;
            let few = kept.records.iter().filter(move |record| {
                record.number == last || (is_first(record) && (record.number == 1 || is_code(record)))
            });
            few.map(|record| (kept.build.clone(), record.clone())).collect::<Vec<_>>()
        };
        Ok(kept.builds.iter().rev().skip(skip).take(count).flat_map(of_build).collect())
    }

    async fn remove(&self, build: &str) -> Result<bool, JournalError> {
        let mut kept = self.kept();
        let before = kept.builds.len();
        kept.builds.retain(|kept| kept.build != build);
        let Kept { builds, contents } = &mut *kept;
        contents.retain(|digest, _| builds.iter().any(|kept| kept.uses.contains(digest)));
        Ok(builds.len() < before)
    }
}
