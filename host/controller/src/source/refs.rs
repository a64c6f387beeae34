//! What a name means in a repository: a branch, a tag, another ref, or a commit.

use git2::{ObjectType, Oid, Repository};
use monkeyci_build::Source;

/// A commit that a name means.
pub(super) struct Found {
    pub(super) commit: Oid,
    /// What else the name could have meant, in words.
    pub(super) also: Option<String>,
}

/// Whether a ref has a full name that a clone does not bring: `refs/pull/7/head`, say.
pub(super) fn is_fetched_by_name(repository: &Repository, wanted: &str) -> bool {
    // What is not well-formed, a pattern say, would be read as something else.
    wanted.starts_with("refs/")
        && !is_brought(wanted)
        && git2::Reference::is_valid_name(wanted)
        && commit(repository, wanted).is_none()
}

/// A ref, and the commit behind an `@`: `refs/pull/7/head@4ca77f…`. The ref is fetched, which a clone does not bring, and the commit is built:
/// whoever has looked at it has looked at no other one.
pub(super) fn pinned(wanted: &str) -> Option<(&str, Oid)> {
    let (name, commit) = wanted.rsplit_once('@').filter(|(name, _)| name.starts_with("refs/") && !is_brought(name))?;
    let is_whole = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((name, Oid::from_str(commit).ok().filter(|_| is_whole)?))
}

/// What names a commit of which it is known by which name it was had.
pub(super) fn pin(reference: Option<String>, commit: String) -> String {
    let name = reference.as_deref().map(|name| pinned(name).map_or(name, |(name, _)| name));
    match name.filter(|name| name.starts_with("refs/") && !is_brought(name)) {
        Some(name) => format!("{name}@{commit}"),
        None => commit,
    }
}

fn is_brought(name: &str) -> bool {
    ["refs/heads/", "refs/tags/", "refs/remotes/"].iter().any(|prefix| name.starts_with(prefix))
}

/// Finds the commit that `wanted` names, and says in `source` what it is: a full ref; `HEAD`, or none, for the main branch; a branch,
/// a tag, or (the start of) a commit's id, in this order.
pub(super) fn resolve(repository: &Repository, wanted: Option<&str>, source: &mut Source) -> Option<Found> {
    let wanted = match wanted {
        None | Some("HEAD") => match source.main_branch.clone() {
            Some(main) => format!("refs/heads/{main}"),
            // A remote whose HEAD is no branch.
            None => {
                let commit = commit(repository, "refs/remotes/origin/HEAD").or_else(|| commit(repository, "HEAD"))?;
                return Some(Found { commit, also: None });
            }
        },
        Some(wanted) => wanted.to_owned(),
    };
    let branch = |name: &str, source: &mut Source| {
        let commit = commit(repository, &format!("refs/remotes/origin/{name}"))?;
        source.git_ref = Some(format!("refs/heads/{name}"));
        source.branch = Some(name.to_owned());
        Some(commit)
    };
    let tag = |name: &str, source: &mut Source| {
        let commit = commit(repository, &format!("refs/tags/{name}"))?;
        source.git_ref = Some(format!("refs/tags/{name}"));
        source.tag = Some(name.to_owned());
        Some(commit)
    };
    let only = |commit: Oid| Found { commit, also: None };
    if let Some(name) = wanted.strip_prefix("refs/heads/") {
        return branch(name, source).map(only);
    }
    if let Some(name) = wanted.strip_prefix("refs/tags/") {
        return tag(name, source).map(only);
    }
    if wanted.starts_with("refs/") {
        let commit = commit(repository, &wanted)?;
        source.git_ref = Some(wanted);
        return Some(only(commit));
    }
    if let Some(commit) = branch(&wanted, source) {
        let tag = tag(&wanted, &mut Source::default());
        let also = tag.map(|_| {
            format!(
                "there are a branch and a tag {wanted:?}: the branch is built; name the tag as refs/tags/{wanted} to build that"
            )
        });
        return Some(Found { commit, also });
    }
    if let Some(commit) = tag(&wanted, source) {
        return Some(only(commit));
    }
    let is_id = wanted.len() >= 7 && wanted.chars().all(|c| c.is_ascii_hexdigit());
    let object = is_id.then(|| repository.revparse_single(&wanted).ok()).flatten()?;
    Some(only(object.peel(ObjectType::Commit).ok()?.id()))
}

fn commit(repository: &Repository, name: &str) -> Option<Oid> {
    Some(repository.find_reference(name).ok()?.peel(ObjectType::Commit).ok()?.id())
}

/// The main branch: what the remote's HEAD points to, or the usual names where there is no remote.
pub(super) fn main_branch(repository: &Repository) -> Option<String> {
    let head = repository.find_reference("refs/remotes/origin/HEAD").ok();
    let target = head.as_ref().and_then(|head| head.symbolic_target().ok().flatten());
    if let Some(name) = target.and_then(|target| target.strip_prefix("refs/remotes/origin/")) {
        return Some(name.to_owned());
    }
    let exists = |name: &&str| {
        ["refs/heads", "refs/remotes/origin"]
            .iter()
            .any(|prefix| repository.find_reference(&format!("{prefix}/{name}")).is_ok())
    };
    ["main", "master"].iter().copied().find(|name| exists(name)).map(str::to_owned)
}
