//! The names of blobs.

use object_store::path::Path;

/// An artifact of a build, as this attempt of its job has saved it.
pub fn artifact(build: &str, id: &str, attempt: u32) -> Path {
    let dir = ["artifacts"].into_iter().chain(build.split('/')).collect::<Path>();
    let dir = if attempt > 1 { dir.join(format!("attempt-{attempt}")) } else { dir };
    dir.join(format!("{id}.tar.zst"))
}

/// All caches of a build's repository in one scope; `identity` tells repositories of the same name apart.
fn caches(build: &str, identity: &str, scope: &str, id: &str) -> Path {
    let repository = build.rsplit_once('/').map_or(build, |(repository, _)| repository);
    parts(&["caches"], &format!("{repository}/{identity}"), scope).join(id)
}

/// The directory of a cache's contents under all keys.
pub fn cache_keys(build: &str, identity: &str, scope: &str, id: &str) -> Path {
    caches(build, identity, scope, id)
}

/// A cache's content under `key`. A key may be longer than the name of a file, so it takes several parts.
pub fn cache(build: &str, identity: &str, scope: &str, id: &str, key: &str) -> Path {
    let parts = key.as_bytes().chunks(KEY_PART).map(|part| format!("k-{}", super::hex(part)));
    parts.fold(caches(build, identity, scope, id), |path, part| path.join(part)).join(CACHE_FILE)
}

/// The key of a cache's content; none if the path is no content below `keys`.
pub fn cache_key(keys: &Path, content: &Path) -> Option<String> {
    let mut parts: Vec<_> = content.prefix_match(keys)?.collect();
    if parts.pop()?.as_ref() != CACHE_FILE {
        return None;
    }
    let mut key = Vec::new();
    for part in parts {
        let part = part.as_ref().strip_prefix("k-")?.as_bytes();
        let digits = part.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        key.extend(digits.collect::<Option<Vec<u8>>>()?);
    }
    String::from_utf8(key).ok()
}

/// What of a key stands in one part of a path, in bytes: names of files have 255 at most.
const KEY_PART: usize = 100;
const CACHE_FILE: &str = "cache.tar.zst";

/// A test report of an attempt of a job. It is named by its digest: the same one twice is one.
pub fn test_report(build: &str, job: &str, attempt: u32, digest: &str) -> Path {
    parts(&["test-reports"], &format!("{build}/{job}"), &format!("{attempt}-{digest}.xml"))
}

/// The directory of all test reports of a build.
pub fn test_reports(build: &str) -> Path {
    ["test-reports"].into_iter().chain(build.split('/')).collect()
}

/// The job and the attempt of a test report below `reports`; none if it is none.
pub fn test_report_of(reports: &Path, report: &Path) -> Option<(String, u32)> {
    let mut parts = report.prefix_match(reports)?;
    let (job, file, None) = (parts.next()?, parts.next()?, parts.next()) else { return None };
    let (attempt, _) = file.as_ref().strip_suffix(".xml")?.split_once('-')?;
    Some((job.as_ref().to_owned(), attempt.parse().ok()?))
}

/// The digest that names a test report; none if it is none.
pub fn test_report_digest(report: &Path) -> Option<String> {
    let file = report.filename()?.strip_suffix(".xml")?;
    file.split_once('-').map(|(_, digest)| digest.to_owned())
}

/// The bytes of a script, by their SHA-256 in hexadecimal.
pub fn script(digest: &str) -> Path {
    ["scripts".to_owned(), format!("{digest}.wasm")].into_iter().collect()
}

/// A part of the log of a job, or of `define`: in the order of their numbers they are the log.
pub fn log(build: &str, job: Option<&str>, part: u32) -> Path {
    log_of(build, job).join(format!("{part:04}.frames"))
}

/// The directory of all parts of a log.
pub fn log_of(build: &str, job: Option<&str>) -> Path {
    logs(build).join(job.unwrap_or(DEFINE))
}

/// The directory of all logs of a build.
pub fn logs(build: &str) -> Path {
    ["logs"].into_iter().chain(build.split('/')).collect()
}

/// The job and the number of a part of a log below `logs`; none if it is none.
pub fn log_part(logs: &Path, part: &Path) -> Option<(Option<String>, u32)> {
    let mut parts = part.prefix_match(logs)?;
    let (job, file, None) = (parts.next()?, parts.next()?, parts.next()) else { return None };
    let job = (job.as_ref() != DEFINE).then(|| job.as_ref().to_owned());
    Some((job, file.as_ref().strip_suffix(".frames")?.parse().ok()?))
}

// Ids of jobs start with a letter or digit, so nothing collides with this name.
const DEFINE: &str = "_define";

/// The directories of all that is kept of a build for as long as it is known.
pub fn of_build(build: &str) -> [Path; 4] {
    ["artifacts", "logs", "test-reports", "workspaces"].map(|kind| [kind].into_iter().chain(build.split('/')).collect())
}

/// The directory of all scripts.
pub fn all_scripts() -> Path {
    Path::from("scripts")
}

/// The directory of all caches.
pub fn all_caches() -> Path {
    Path::from("caches")
}

/// The workspace archive of a build.
pub fn workspace(build: &str) -> Path {
    parts(&["workspaces"], build, "workspace.tar.zst")
}

/// The archive of a build's workspace with its `.git`.
pub fn workspace_with_git(build: &str) -> Path {
    parts(&["workspaces"], build, "with-git.tar.zst")
}

/// The directory of all workspace archives of a build.
pub fn workspaces(build: &str) -> Path {
    ["workspaces"].into_iter().chain(build.split('/')).collect()
}

fn parts(prefix: &[&str], id: &str, name: &str) -> Path {
    prefix.iter().copied().chain(id.split('/')).chain([name]).collect()
}
