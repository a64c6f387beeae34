//! The journal in memory: for simulations and tests. It takes what a database takes, and refuses what one refuses; what it holds goes with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::index::in_words;
use super::{Append, Digest, Head, Index, Journal, JournalError, Page, Piece, Record, Sought};

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
    /// What its records tell that it is looked up by.
    index: Index,
}

impl KeptBuild {
    fn is(&self, sought: &Sought) -> bool {
        let branch = self.index.code().and_then(|(_, branch)| branch.as_ref());
        let status = self.index.status();
        let is_status = sought.statuses.is_empty() || sought.statuses.iter().any(|wanted| in_words(*wanted) == status);
        is_status && sought.branch.as_ref().is_none_or(|wanted| branch == Some(wanted))
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
                self.builds.push(KeptBuild {
                    build,
                    head,
                    records: Vec::new(),
                    uses: Vec::new(),
                    index: Index::default(),
                });
                self.builds.len() - 1
            }
            Some(at) if self.builds[at].head == append.before() && !append.begins() => at,
            at => return append.verdict(at.map(|at| &self.builds[at].head)),
        };
        let kept = &mut self.builds[at];
        kept.head = append.head();
        kept.index.then(append.index.clone());
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

    async fn builds_with(&self, text: &str) -> Result<Vec<String>, JournalError> {
        let kept = self.kept();
        Ok(kept.builds.iter().filter(|kept| kept.build.contains(text)).map(|kept| kept.build.clone()).collect())
    }

    async fn open_builds(&self) -> Result<Vec<String>, JournalError> {
        let kept = self.kept();
        let open = kept.builds.iter().filter(|kept| kept.index.status().is_empty());
        Ok(open.map(|kept| kept.build.clone()).collect())
    }

    async fn outlines(&self, of: &Sought, skip: usize, count: usize) -> Result<Vec<(String, Record)>, JournalError> {
        let kept = self.kept();
        let of_build = |kept: &KeptBuild| {
            let code = kept.index.code().map(|(number, _)| *number);
            let is_wanted = |record: &&Record| [Some(1), Some(kept.head.last), code].contains(&Some(record.number));
            let few = kept.records.iter().filter(is_wanted);
            few.map(|record| (kept.build.clone(), record.clone())).collect::<Vec<_>>()
        };
        let found = kept.builds.iter().rev().filter(|kept| kept.is(of));
        Ok(found.skip(skip).take(count).flat_map(of_build).collect())
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
