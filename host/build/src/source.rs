//! The code that a build builds.

use serde::{Deserialize, Serialize};

use crate::words::Words;

/// The code that a build builds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Where it came from; none for a directory that is not a git repository.
    pub git_url: Option<String>,
    /// The full ref name, `refs/heads/main` say.
    pub git_ref: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// The commit's id.
    pub commit: Option<String>,
    /// The commit's message.
    pub message: Option<String>,
    /// The commit's author, `Name <mail>`.
    pub author: Option<String>,
    /// The repository's main branch.
    pub main_branch: Option<String>,
    /// What `git describe --tags` says of the commit: the nearest tag, how many commits ago that was, and the start of the commit's id.
    /// Ends in `-dirty` where the directory has more than was committed. None where no tag is on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub describe: Option<String>,
    /// Whether a directory is built that has changes that are not committed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
    /// The files that changed; none where that is not known: no git repository, say. Boxed, so that the other events need
    /// not be as large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Box<Changes>>,
    /// What of this, and of what started the build, was said and not found: to try the conditions of a script.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<String>,
}

impl Source {
    /// Whether the commit says all that is in the code's directory, and that is known: there is nothing beside it, and nothing was said in the
    /// place of what was found.
    pub fn is_as_committed(&self) -> bool {
        self.commit.is_some() && !self.dirty && self.changes.is_some() && self.given.is_empty()
    }

    /// Shows every text that is words for people; see [`EventBody::words`](crate::EventBody::words).
    pub(crate) fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        let Self {
            git_url,
            git_ref: _,
            branch: _,
            tag: _,
            commit: _,
            message,
            author,
            main_branch: _,
            describe: _,
            dirty: _,
            changes,
            given: _,
        } = self;
        for text in [git_url, message, author].into_iter().flatten() {
            see(Words::Text(text));
        }
        match changes.as_deref() {
            None | Some(Changes { base: _, added: _, modified: _, removed: _, renamed: _ }) => {}
        }
    }
}

/// The files that the code changes, against the commit it is compared with. Paths are relative to the repository's root and
/// sorted; a renamed file is in none of the other lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// The id of the commit that the code is compared with; none when there is none, and every file is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Files that the base does not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Files that are not as they are in the base.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub modified: Vec<String>,
    /// Files of the base that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Files that have another path: the old one and the new one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub renamed: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a journal holds that was written before there were changes.
    const OLD: &str = r#"{"git_url":null,"git_ref":"refs/heads/main","branch":"main","tag":null,"commit":null,
        "message":null,"author":null,"main_branch":"main"}"#;

    #[test]
    fn a_source_written_before_there_were_changes_can_be_read() {
        let source: Source = serde_json::from_str(OLD).expect("it can be read");
        assert_eq!((source.branch.as_deref(), source.changes), (Some("main"), None));
    }

    #[test]
    fn changes_that_are_not_known_are_not_written_and_those_that_are_come_back() {
        let unknown = Source::default();
        assert!(!serde_json::to_string(&unknown).expect("JSON").contains("changes"));
        let nothing = Source { changes: Some(Box::default()), ..Source::default() };
        let renamed = Changes { renamed: vec![("a".to_owned(), "b".to_owned())], ..Changes::default() };
        let renamed = Source { changes: Some(Box::new(renamed)), ..Source::default() };
        for source in [unknown, nothing, renamed] {
            let text = serde_json::to_string(&source).expect("JSON");
            assert_eq!(serde_json::from_str::<Source>(&text).expect("it can be read"), source, "{text}");
        }
    }
}
