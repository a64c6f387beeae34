//! Large answers: a journal has nothing but their digests. What they were read from may still be there.

use std::collections::BTreeMap;

use bytes::Bytes;
use monkeyci_build::{ToldAnswer, ToldCall};

use super::RecordedBuild;
use crate::running::Digests;

/// A file that large answers were read from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    /// A file of the workspace, by its path.
    Workspace(String),
    /// A file of an artifact: the artifact's id, and the path in it.
    Artifact(String, String),
}

/// A piece of such a file that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) from: u64,
    pub(crate) bytes: u64,
    job: String,
    digest: String,
}

impl RecordedBuild {
    /// The pieces that are not recorded, by the files that they are of. Of other large answers (a long list, say) there are none. Those that
    /// are `carried` elsewhere have no secrets in them; a host that did not write down which those are may have had secrets in any.
    pub(crate) fn wanted(&self, carried: bool) -> BTreeMap<Content, Vec<Piece>> {
        let is_known = self.requested.tells_ends || self.requested.secrets.is_empty();
        let mut wanted: BTreeMap<_, Vec<Piece>> = BTreeMap::new();
        for run in &self.runs {
            for ToldCall { request, answer } in &run.calls {
                let ToldAnswer::Again { bytes, digest, secret } = answer else { continue };
                if carried && (*secret || !is_known) {
                    continue;
                }
                let Some((content, from)) = read_from(request) else { continue };
                let (bytes, job, digest) = (*bytes, run.job.clone(), digest.clone());
                wanted.entry(content).or_default().push(Piece { from, bytes, job, digest });
            }
        }
        wanted
    }

    /// Takes the value of a piece, if it is what the script was told: that can only be said with the key.
    pub(crate) fn take(&mut self, piece: &Piece, value: Bytes) {
        let Some(key) = &self.key else { return };
        if (Digests { key, build: &self.info.id }).of("told", &piece.job, &value) == piece.digest {
            self.values.insert(piece.digest.clone(), value);
        }
    }

    /// How many large answers are nowhere.
    pub(crate) fn lacking(&self) -> usize {
        let calls = self.runs.iter().flat_map(|run| &run.calls);
        let is_lacking = |call: &&ToldCall| match &call.answer {
            ToldAnswer::Again { digest, .. } => !self.values.contains_key(digest),
            _ => false,
        };
        calls.filter(is_lacking).count()
    }
}

/// What a request reads, and from where on; none if it reads no file. Long ones, of which the recording has the beginning, say too little.
fn read_from(request: &str) -> Option<(Content, u64)> {
    if let Some(path) = request.strip_prefix("workspace.read-file(") {
        let (path, rest) = unquoted(path)?;
        return (rest == ")").then_some((Content::Workspace(path), 0));
    }
    let (content, rest) = match request.strip_prefix("read(workspace, ") {
        Some(path) => {
            let (path, rest) = unquoted(path)?;
            (Content::Workspace(path), rest)
        }
        None => {
            let (id, rest) = unquoted(request.strip_prefix("read(artifact ")?)?;
            let (path, rest) = unquoted(rest.strip_prefix(", ")?)?;
            (Content::Artifact(id, path), rest)
        }
    };
    let (from, _) = rest.strip_prefix(", from ")?.split_once(", at most ")?;
    Some((content, from.parse().ok()?))
}

/// A text as `{:?}` writes it, at the beginning of another one; and what comes then.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut unquoted = String::new();
    loop {
        let char = rest.chars().next()?;
        rest = &rest[char.len_utf8()..];
        match char {
            '"' => return Some((unquoted, rest)),
            '\\' => {
                let escaped = rest.chars().next()?;
                rest = &rest[escaped.len_utf8()..];
                unquoted.push(match escaped {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    '0' => '\0',
                    'u' => {
                        let (digits, after) = rest.strip_prefix('{')?.split_once('}')?;
                        rest = after;
                        char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
                    }
                    itself => itself,
                });
            }
            itself => unquoted.push(itself),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_has_read_is_known_by_its_request() {
        let path = "a \"b\" \\ c\n\u{1b}é\u{202e}'";
        let workspace = Content::Workspace(path.to_owned());
        assert_eq!(read_from(&format!("workspace.read-file({path:?})")), Some((workspace.clone(), 0)));
        let read = format!("read(workspace, {path:?}, from 65536, at most 9 bytes)");
        assert_eq!(read_from(&read), Some((workspace, 65536)));
        let artifact = Content::Artifact(path.to_owned(), "x".to_owned());
        assert_eq!(read_from(&format!("read(artifact {path:?}, \"x\", from 1, at most 2 bytes)")), Some((artifact, 1)));
        let others =
            ["secret.reveal(\"a\")", "read(workspace, \"a", "read(artifact \"a\", from 1, at most 2 bytes)", ""];
        for other in others {
            assert_eq!(read_from(other), None, "{other}");
        }
    }
}
