//! What is said of the code and not found there: so the conditions of a script can be tried.

use serde::{Deserialize, Serialize};

use crate::{Changes, Source};

/// What is said of a build's code, in place of what is found there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Given {
    /// What started the build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// The branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The files that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// Whether whoever says it knows it, a forge say: then it is so, and nothing is tried.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub known: bool,
}

impl Given {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts what is said in the place of what was found, and says so, unless it is known. A branch that is given leaves no tag, and a tag no branch, unless
    /// both are: code is pushed as one of them.
    pub fn apply(&self, source: &mut Source) {
        let Self { trigger, branch, tag, changes, known } = self;
        if let (Some(name), _) | (None, Some(name)) = (tag, branch) {
            let kind = if tag.is_some() { "tags" } else { "heads" };
            source.git_ref = Some(format!("refs/{kind}/{name}"));
            (source.branch, source.tag) = (branch.clone(), tag.clone());
        }
        if let Some(changes) = changes {
            source.changes = Some(Box::new(changes.clone()));
        }
        let facts = [
            ("trigger", trigger.is_some()),
            ("branch", branch.is_some()),
            ("tag", tag.is_some()),
            ("changed files", changes.is_some()),
        ];
        source.given =
            facts.into_iter().filter(|(_, given)| *given && !known).map(|(fact, _)| fact.to_owned()).collect();
    }

    /// What is wrong with it, in words for whoever said it.
    ///
    /// # Errors
    /// When something can't be what it is said to be.
    pub fn check(&self) -> Result<(), String> {
        let is_ref = |name: &str| {
            let odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
            let parts_are_names = name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
            parts_are_names
                && !name.contains("..")
                && !name.contains(odd)
                && !name.ends_with(".lock")
                && name.len() <= 250
        };
        for (what, name) in [("branch", &self.branch), ("tag", &self.tag)] {
            if let Some(name) = name.as_ref().filter(|name| !is_ref(name)) {
                return Err(format!("{name:?} can't be the name of a {what}"));
            }
        }
        let is_trigger = |name: &str| {
            let parts = name.split('/').all(|part| !part.is_empty());
            parts && name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || "/_-".contains(c))
        };
        if let Some(name) = self.trigger.as_ref().filter(|name| !is_trigger(name)) {
            return Err(format!("{name:?} can't be a trigger; give cli, api, webhook, or one such as webhook/push"));
        }
        let Some(Changes { base: _, added, modified, removed, renamed }) = &self.changes else { return Ok(()) };
        let renamed = renamed.iter().flat_map(|(from, to)| [from, to]);
        let is_path = |path: &str| path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        match added.iter().chain(modified).chain(removed).chain(renamed).find(|path| !is_path(path)) {
            Some(path) => Err(format!("{path:?} is no path of a file, from the root of the repository")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_takes_the_place_of_what_was_found_and_is_told() {
        let found = || Source {
            git_ref: Some("refs/heads/topic".to_owned()),
            branch: Some("topic".to_owned()),
            commit: Some("4ca77f".to_owned()),
            ..Source::default()
        };
        let after = |given: Given| {
            let mut source = found();
            given.apply(&mut source);
            source
        };
        assert_eq!(after(Given::default()), found());
        let tagged = after(Given { tag: Some("v1".to_owned()), ..Given::default() });
        assert_eq!((tagged.branch, tagged.git_ref.as_deref()), (None, Some("refs/tags/v1")));
        assert_eq!((tagged.tag.as_deref(), tagged.given), (Some("v1"), vec!["tag".to_owned()]));
        let known = after(Given { branch: Some("main".to_owned()), known: true, ..Given::default() });
        assert_eq!((known.branch.as_deref(), known.given), (Some("main"), Vec::new()));
        let changes = Changes { modified: vec!["a".to_owned()], ..Changes::default() };
        let given = Given { trigger: Some("api".to_owned()), changes: Some(changes), ..Given::default() };
        let changed = after(given);
        assert_eq!(
            (changed.branch.as_deref(), changed.given.join(", ")),
            (Some("topic"), "trigger, changed files".to_owned())
        );
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let branch = |name: &str| Given { branch: Some(name.to_owned()), ..Given::default() };
        let changed = |path: &str| {
            let changes = Changes { modified: vec![path.to_owned()], ..Changes::default() };
            Given { changes: Some(changes), ..Given::default() }
        };
        let trigger = |name: &str| Given { trigger: Some(name.to_owned()), ..Given::default() };
        for right in [branch("a/b-1.x"), changed("src/a b.rs"), trigger("webhook/push")] {
            assert_eq!(right.check(), Ok(()));
        }
        for wrong in ["", "a b", "/a", "a//b", "a..b", "a/.b", "a\n"] {
            assert!(branch(wrong).check().is_err(), "{wrong:?}");
        }
        for wrong in ["", "/a", "../a", "a/./b", "a/"] {
            assert!(changed(wrong).check().is_err(), "{wrong:?}");
        }
        assert!(trigger("my trigger").check().is_err() && trigger("webhook/").check().is_err());
    }
}
