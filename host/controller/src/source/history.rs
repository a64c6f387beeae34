//! The history of the code, for jobs that want `.git`.
//!
//! It is a new repository, and never the one that the code came from: that may hold logins, hooks, and commits that belong to
//! nobody any more.

use std::path::{Path, PathBuf};

use git2::{Error, Oid, Repository, RepositoryInitOptions};
use reqwest::Url;

use super::transports;

/// The history that a job may be given.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// The repository of the code.
    pub(crate) repository: PathBuf,
    /// Where a copy is made.
    pub(crate) scratch: PathBuf,
    /// Its address, without a login.
    pub(crate) url: Option<String>,
    /// The branch that is built.
    pub(crate) branch: Option<String>,
    /// The commit that is built.
    pub(crate) commit: Option<String>,
}

impl History {
    /// Makes a repository in the directory `at` with all commits that a branch or a tag leads to, or the commit that is built, and
    /// nothing else. Returns its `.git`. Its HEAD is that commit, on its branch if there is one; its index is as that commit.
    pub(crate) fn copy(&self, at: &Path) -> Result<PathBuf, Error> {
        let mut options = RepositoryInitOptions::new();
        options.no_reinit(true).external_template(false).initial_head("monkeyci");
        let copy = Repository::init_opts(at, &options)?;
        let from = Repository::open(&self.repository)?;
        if from.is_shallow() {
            // Where its history is cut off, the copy's is too.
            let cut = std::fs::copy(from.commondir().join("shallow"), copy.path().join("shallow"));
            cut.map_err(|error| Error::from_str(&format!("the end of the history can't be copied: {error}")))?;
        }
        let own = ["refs/heads/*", "refs/tags/*", "refs/remotes/origin/*"].map(|refs| format!("+{refs}:{refs}"));
        let built = "refs/monkeyci/built";
        // Of an address without a scheme libgit2 would take a colon for the end of a host.
        let url = Url::from_directory_path(from.path());
        let url = url.map_err(|()| Error::from_str("the repository's path is no absolute one"))?;
        transports::prepare()?;
        let mut fetched: Vec<String> = own.into();
        fetched.push(format!("+HEAD:{built}"));
        copy.remote_anonymous(url.as_str())?.fetch(&fetched, None, None)?;
        let commit = match &self.commit {
            Some(commit) => Oid::from_str(commit)?,
            None => copy.refname_to_id(built)?,
        };
        let commit = copy.find_commit(commit)?;
        match &self.branch {
            Some(branch) => {
                let name = format!("refs/heads/{branch}");
                copy.reference(&name, commit.id(), true, "built")?;
                copy.set_head(&name)?;
            }
            None => copy.set_head_detached(commit.id())?,
        }
        if let Ok(mut reference) = copy.find_reference(built) {
            reference.delete()?;
        }
        if let Some(url) = &self.url {
            copy.remote("origin", url)?;
        }
        let mut index = copy.index()?;
        index.read_tree(&commit.tree()?)?;
        index.write()?;
        Ok(copy.path().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use git2::{ObjectType, Signature};

    use super::*;

    #[test]
    fn a_job_is_given_history_and_tags_and_no_login_hook_or_lost_commit() {
        let from = tempfile::tempdir().expect("a directory");
        let mut options = RepositoryInitOptions::new();
        let repository = Repository::init_opts(from.path(), options.initial_head("main")).expect("a repository");
        let ada = Signature::now("Ada", "ada@example.org").expect("a signature");
        let commit = |name: Option<&str>, content: &str| {
            let mut tree = repository.treebuilder(None).expect("a tree");
            let file = repository.blob(content.as_bytes()).expect("a file");
            tree.insert("file", file, 0o100_644).expect("inserted");
            let tree = repository.find_tree(tree.write().expect("written")).expect("a tree");
            let head = repository.head().ok().map(|head| head.peel_to_commit().expect("a commit"));
            repository.commit(name, &ada, &ada, content, &tree, &head.iter().collect::<Vec<_>>()).expect("a commit")
        };
        let first = commit(Some("HEAD"), "first");
        let object = repository.find_object(first, Some(ObjectType::Commit)).expect("a commit");
        repository.tag_lightweight("v1", &object, false).expect("a tag");
        let lost = commit(None, "s3cret");
        let second = commit(Some("HEAD"), "second");
        repository.remote("origin", "https://user:s3cret@host/repo").expect("a remote");
        std::fs::create_dir_all(repository.path().join("hooks")).expect("a directory");
        std::fs::write(repository.path().join("hooks/post-checkout"), "s3cret").expect("a hook");

        let at = tempfile::tempdir().expect("a directory");
        let history = History {
            repository: repository.path().to_owned(),
            scratch: at.path().to_owned(),
            url: Some("https://host/repo".to_owned()),
            branch: Some("main".to_owned()),
            commit: Some(second.to_string()),
        };
        let git = history.copy(at.path()).expect("a copy");
        let copy = Repository::open(&git).expect("a repository");
        let described = copy.describe(git2::DescribeOptions::new().describe_tags()).expect("described");
        assert_eq!(described.format(None).expect("text"), format!("v1-1-g{}", &second.to_string()[..7]));
        let head = copy.head().expect("a head");
        assert_eq!((head.name().ok(), head.target()), (Some("refs/heads/main"), Some(second)));
        assert!(copy.find_commit(lost).is_err() && copy.find_commit(first).is_ok());
        assert!(!git.join("hooks/post-checkout").exists());
        let config = std::fs::read_to_string(git.join("config")).expect("a file");
        assert!(config.contains("https://host/repo") && !config.contains("s3cret"), "{config}");
    }

    #[test]
    fn a_second_working_tree_of_a_repository_has_its_history_too() {
        let from = tempfile::tempdir().expect("a directory");
        let repository = Repository::init(from.path().join("main")).expect("a repository");
        let ada = Signature::now("Ada", "ada@example.org").expect("a signature");
        let tree = repository.treebuilder(None).and_then(|tree| tree.write()).expect("a tree");
        let tree = repository.find_tree(tree).expect("a tree");
        let commit = repository.commit(Some("HEAD"), &ada, &ada, "first", &tree, &[]).expect("a commit");
        let second = repository.worktree("second", &from.path().join("second"), None).expect("a working tree");
        let second = Repository::open(second.path()).expect("a repository");
        // A commit that nothing but this tree's HEAD leads to.
        let parent = second.find_commit(commit).expect("a commit");
        let tree = second.find_tree(tree.id()).expect("a tree");
        second.set_head_detached(commit).expect("detached");
        let own = second.commit(Some("HEAD"), &ada, &ada, "own", &tree, &[&parent]).expect("a commit");
        let at = tempfile::tempdir().expect("a directory");
        let history = History {
            repository: second.path().to_owned(),
            scratch: at.path().to_owned(),
            url: None,
            branch: None,
            commit: Some(own.to_string()),
        };
        let copy = Repository::open(history.copy(at.path()).expect("a copy")).expect("a repository");
        assert_eq!(copy.head().expect("a head").target(), Some(own));
    }
}
