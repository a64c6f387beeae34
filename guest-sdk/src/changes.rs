//! The files that changed.

use crate::glob::matches;

/// The files that the build's code changes.
///
/// They are counted from where the code left the main branch. Code that is on the main branch already, such as a push to it,
/// is compared with the first parent of its commit; so is code whose repository has no known main branch. Where there is
/// nothing to compare with, such as for a first commit, every file is added. A local directory counts as it stands: with
/// changes that are not committed, and with new files that git does not ignore.
///
/// Paths are relative to the root of the repository, also when a directory inside it is built, and sorted.
///
/// # Globs
///
/// In a glob, `*` stands for any characters but `/`, `?` for one of them, `**` for any characters at all, and `**/` for any
/// number of directories, none included. Everything else stands for itself, and a glob matches a whole path: `*.md` are
/// files at the root, `**/*.md` those in all directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Files that are new.
    pub added: Vec<String>,
    /// Files with another content, mode or type.
    pub modified: Vec<String>,
    /// Files that are gone.
    pub removed: Vec<String>,
    /// Files that have another path, with the same content or a similar one: the old path and the new one. They are in none
    /// of the other lists.
    pub renamed: Vec<(String, String)>,
}

impl Changes {
    /// Whether a path that matches the [glob](Self#globs) was added, modified, removed, or renamed from or to.
    pub fn touch(&self, glob: &str) -> bool {
        let single = [&self.added, &self.modified, &self.removed].into_iter().flatten();
        let renamed = self.renamed.iter().flat_map(|(old, new)| [old, new]);
        single.chain(renamed).any(|path| matches(glob, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_and_both_ends_of_a_rename_count_as_touched() {
        let changes = Changes {
            added: vec!["a/added".to_owned()],
            modified: vec!["m/modified".to_owned()],
            removed: vec!["r/removed".to_owned()],
            renamed: vec![("o/old".to_owned(), "n/new".to_owned())],
        };
        for glob in ["a/*", "m/*", "r/*", "o/*", "n/*", "**/new"] {
            assert!(changes.touch(glob), "{glob}");
        }
        assert!(!changes.touch("*") && !changes.touch("x/**"));
        assert!(!Changes::default().touch("**"));
    }
}
