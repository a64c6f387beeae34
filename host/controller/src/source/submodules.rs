//! The submodules of a clone: each is fetched, and the commit that its repository names is checked out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use git2::{Config, Oid, Repository, Tree};
use reqwest::Url;

use super::clone::Remotes;
use super::error::CheckoutError;
use super::git_ssh::SshAddress;
use super::git_url::shown;
use super::tree::{self, Budget, Placed};

/// The most bytes of a `.gitmodules`.
pub(super) const GITMODULES: u64 = 1 << 20;

/// What has to be fetched, for one repository.
pub(super) struct Parent<'a> {
    pub(super) repository: &'a Repository,
    pub(super) tree: &'a Tree<'a>,
    /// Its address, as somebody wrote it.
    pub(super) url: String,
    /// Where it is checked out, and the path of that in the whole.
    pub(super) at: PathBuf,
    pub(super) path: PathBuf,
}

/// Fetches submodules of submodules too.
pub(super) struct Submodules<'a> {
    pub(super) remotes: &'a Remotes<'a>,
    /// Where their repositories go.
    pub(super) repositories: PathBuf,
    pub(super) fetched: usize,
    /// What is not there, and why.
    pub(super) warnings: Vec<String>,
    /// What else there is to say of those that are there.
    pub(super) placed: Placed,
}

impl Submodules<'_> {
    /// Checks out the submodules that `parent` has at `paths`. One that can't be had makes a warning, and its directory stays empty.
    ///
    /// # Errors
    /// When all together cost too much, or are to be stopped.
    pub(super) fn check_out(
        &mut self,
        parent: &Parent<'_>,
        paths: Vec<(PathBuf, Oid)>,
        depth: usize,
        budget: &mut Budget<'_>,
    ) -> Result<(), CheckoutError> {
        if paths.is_empty() {
            return Ok(());
        }
        let urls = urls(parent, &self.repositories);
        for (path, commit) in paths {
            budget.go_on()?;
            let whole = parent.path.join(&path);
            let url = match &urls {
                Ok(urls) => urls.get(&path).cloned().ok_or_else(|| "it does not stand in .gitmodules".to_owned()),
                Err(reason) => Err(reason.clone()),
            };
            let limits = budget.limits;
            let fetched = url.and_then(|url| {
                if depth == 0 || self.fetched == limits.submodules {
                    return Err(format!(
                        "there are more than {} of them, or they lie deeper than {}",
                        limits.submodules, limits.depth
                    ));
                }
                let url = absolute(&parent.url, &url)?;
                if !is_allowed(&parent.url, &url) {
                    return Err(format!(
                        "its address {} is of a kind that a repository at {} may not name",
                        shown(&url),
                        shown(&parent.url)
                    ));
                }
                self.fetched += 1;
                let into = self.repositories.join(self.fetched.to_string());
                let repository = self.remotes.fetch(&url, None, &into, true).map_err(|error| error.to_string())?;
                if repository.find_commit(commit).is_err() {
                    self.remotes.fetch_commit(&repository, &url, commit).map_err(|error| error.to_string())?;
                }
                Ok((repository, url))
            });
            budget.go_on()?;
            let (repository, url) = match fetched {
                Ok(fetched) => fetched,
                Err(reason) => {
                    self.warnings
                        .push(format!("the submodule {whole:?} is not there, its directory is empty: {reason}"));
                    continue;
                }
            };
            let tree = match repository.find_commit(commit).and_then(|commit| commit.tree()) {
                Ok(tree) => tree,
                Err(_) => {
                    let url = shown(&url);
                    let reason = format!("{url} has no commit {commit}, or no branch and no tag that leads there");
                    self.warnings
                        .push(format!("the submodule {whole:?} is not there, its directory is empty: {reason}"));
                    continue;
                }
            };
            let at = parent.at.join(&path);
            let dir = Dir::open_ambient_dir(&at, ambient_authority())
                .map_err(|source| CheckoutError::Write { path: whole.clone(), source })?;
            let Placed { submodules, lfs, encoded } = tree::check_out(&repository, &tree, &dir, budget)?;
            self.placed.lfs.extend(lfs.iter().map(|file| whole.join(file)));
            self.placed.encoded.extend(encoded.iter().map(|file| whole.join(file)));
            let parent = Parent { repository: &repository, tree: &tree, url, at, path: whole };
            self.check_out(&parent, submodules, depth - 1, budget)?;
        }
        Ok(())
    }
}

/// The addresses of submodules by their paths, as `.gitmodules` says them.
fn urls(parent: &Parent<'_>, scratch: &Path) -> Result<HashMap<PathBuf, String>, String> {
    let failed = |error: git2::Error| format!(".gitmodules can't be read: {}", error.message());
    let entry = parent.tree.get_name(".gitmodules").ok_or("there is no .gitmodules")?;
    let odb = parent.repository.odb().map_err(failed)?;
    let (size, kind) = odb.read_header(entry.id()).map_err(failed)?;
    if kind != git2::ObjectType::Blob || size as u64 > GITMODULES {
        return Err(format!(".gitmodules is no file, or has more than {GITMODULES} bytes"));
    }
    let content = odb.read(entry.id()).map_err(failed)?;
    // A configuration can include any file of this machine; git does not let this one do so either.
    // (A line may have several headers.)
    let text = String::from_utf8_lossy(content.data()).to_ascii_lowercase();
    if text.split('[').skip(1).any(|header| header.trim_start().starts_with("include")) {
        return Err(".gitmodules includes other files".to_owned());
    }
    let written = std::fs::create_dir_all(scratch).and_then(|()| {
        let file = scratch.join("gitmodules");
        std::fs::write(&file, content.data())?;
        Ok(file)
    });
    let file = written.map_err(|error| format!(".gitmodules can't be read: {error}"))?;
    let config = Config::open(&file).map_err(failed)?;
    let (mut paths, mut urls) = (HashMap::new(), HashMap::new());
    let mut entries = config.entries(Some("^submodule\\..*\\.(path|url)$")).map_err(failed)?;
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(failed)?;
        let (Ok(name), Ok(value)) = (entry.name(), entry.value()) else { continue };
        match name.rsplit_once('.') {
            Some((name, "path")) => drop(paths.insert(name.to_owned(), PathBuf::from(value))),
            Some((name, _)) => drop(urls.insert(name.to_owned(), value.to_owned())),
            None => {}
        }
    }
    Ok(paths.into_iter().filter_map(|(name, path)| Some((path, urls.remove(&name)?))).collect())
}

/// An address that may be relative to that of the repository which names it.
fn absolute(parent: &str, url: &str) -> Result<String, String> {
    if !url.starts_with("./") && !url.starts_with("../") {
        return Ok(url.to_owned());
    }
    // A query or a fragment is no part of a path; a login stays.
    let base = match Url::parse(parent) {
        Ok(mut base) if base.has_host() => {
            base.set_query(None);
            base.set_fragment(None);
            base.to_string()
        }
        _ => parent.to_owned(),
    };
    let mut base = base.trim_end_matches('/').to_owned();
    let mut rest = url;
    loop {
        if let Some(after) = rest.strip_prefix("./") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("../") {
            // Not beyond the path.
            let start =
                base.find("://").map_or(0, |at| base[at + 3..].find('/').map_or(base.len(), |slash| at + 3 + slash));
            let Some(cut) = base[start..].rfind(['/', ':']).map(|at| start + at) else {
                return Err(format!("its address {url:?} leads out of {}", shown(parent)));
            };
            base.truncate(if base[cut..].starts_with(':') { cut + 1 } else { cut });
            rest = after;
        } else {
            let slash = if base.ends_with(':') { "" } else { "/" };
            return Ok(format!("{base}{slash}{rest}"));
        }
    }
}

/// How a repository is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Ssh,
    Local,
    Other,
}

fn kind(url: &str) -> Kind {
    match url.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") => Kind::Http,
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => Kind::Local,
        _ => match SshAddress::parse(url) {
            Ok(Some(_)) => Kind::Ssh,
            Ok(None) if url.starts_with('/') => Kind::Local,
            _ => Kind::Other,
        },
    }
}

/// Whether a repository may name that one as its submodule. One from a server names none of this machine.
fn is_allowed(parent: &str, url: &str) -> bool {
    match kind(url) {
        Kind::Http | Kind::Ssh => true,
        Kind::Local => kind(parent) == Kind::Local,
        Kind::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_relative_to_its_parent_s() {
        for (parent, url, expected) in [
            ("https://host/team/repo.git", "../other.git", "https://host/team/other.git"),
            ("https://u:p@host/team/repo?x=1", "../../a/b", "https://u:p@host/a/b"),
            ("https://host/team/repo/", "./sub", "https://host/team/repo/sub"),
            ("git@host:team/repo", "../other", "git@host:team/other"),
            ("git@host:repo", "../other", "git@host:other"),
            ("/code/repo", "../other", "/code/other"),
            ("https://host/repo", "ssh://git@host/x", "ssh://git@host/x"),
        ] {
            assert_eq!(absolute(parent, url).as_deref(), Ok(expected), "{parent} {url}");
        }
        assert!(absolute("https://host/repo", "../../../x").is_err());
    }

    #[test]
    fn a_repository_of_a_server_names_none_of_this_machine() {
        for (parent, url, allowed) in [
            ("https://host/repo", "https://other/repo", true),
            ("https://host/repo", "git@other:repo", true),
            ("https://host/repo", "file:///etc", false),
            ("https://host/repo", "/etc", false),
            ("git@host:repo", "/etc", false),
            ("/code/repo", "/code/other", true),
            ("file:///code/repo", "https://host/repo", true),
            ("/code/repo", "ext::sh -c x", false),
            ("/code/repo", "git://host/repo", false),
            ("https://host/repo", "-oProxyCommand=x:repo", false),
        ] {
            assert_eq!(is_allowed(parent, url), allowed, "{parent} {url}");
        }
    }
}
