//! Parts of the workspace, for scripts; and the output areas of actions.
//!
//! All of it goes through cap-std's `Dir`: a link that leads out leads nowhere.

use std::io;
use std::path::{Component, Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt, OpenOptions, OpenOptionsExt};
use futures::StreamExt;
use http::{HeaderMap, StatusCode};
use monkeyci_api::{Action, Claims, FileQuery, FileStat, FilesDigest, Globs, Names, SIZE_HEADER};
use tokio_util::io::ReaderStream;

use super::Api;
use super::admission::{BuildPath, ItemPath, admit};
use super::{readers, workspace_files};
use crate::disk::FILE;
use crate::home::make_dir;
use crate::running::{BuildDirs, BuildHandle};
use crate::serve::{Refusal, parse};

pub(crate) async fn read_file(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let action = Action::ReadFiles(FileQuery::Content(path.item.clone()));
    let (build, _) = admit(&api, &headers, &path.build, action).await?;
    let open = api.readers.open(&build.id, readers::FILE)?;
    let (file, size) = blocking(build, move |dirs| {
        let wanted = resolved(dirs, &inside(&path.item)?)?;
        // Without waiting for the other end of a pipe, should it be one.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        let file = dirs.workspace.open_with(&wanted, &options).map_err(|error| refuse(&wanted, error))?;
        let metadata = file.metadata().map_err(|error| refuse(&wanted, error))?;
        if !metadata.is_file() {
            return Err(Refusal::invalid(format!("{wanted:?} is no file")));
        }
        Ok((file.into_std(), metadata.len()))
    })
    .await?;
    let bytes = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 128 * 1024);
    let bytes = bytes.inspect(move |_| {
        let _until_the_end = &open;
    });
    Ok(([(SIZE_HEADER, size.to_string())], Body::from_stream(bytes)).into_response())
}

pub(crate) async fn read_dir(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Json<Names>, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReadFiles(FileQuery::Dir(path.item.clone()))).await?;
    let names = blocking(build, move |dirs| {
        let wanted = resolved(dirs, &inside(&path.item)?)?;
        let fail = |error: io::Error| refuse(&wanted, error);
        let mut names = Vec::new();
        for entry in dirs.workspace.read_dir(&wanted).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let mut name = entry.file_name().to_string_lossy().into_owned();
            if name == ".git" {
                continue;
            }
            if entry.file_type().map_err(fail)?.is_dir() {
                name.push('/');
            }
            names.push(name);
        }
        names.sort();
        Ok(names)
    })
    .await?;
    Ok(Json(Names { names }))
}

pub(crate) async fn stat(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
) -> Result<Json<FileStat>, Refusal> {
    let (build, _) = admit(&api, &headers, &path.build, Action::ReadFiles(FileQuery::Stat(path.item.clone()))).await?;
    let stat = blocking(build, move |dirs| {
        let wanted = inside(&path.item)?;
        // A link at the end is not followed.
        let at = match (wanted.parent(), wanted.file_name()) {
            (Some(above), Some(name)) if !above.as_os_str().is_empty() => {
                resolved(dirs, above).map(|above| above.join(name))
            }
            _ => Ok(wanted.clone()),
        };
        let at = match at {
            Err(refusal) if refusal.is_not_found() => {
                return Ok(FileStat { kind: None, size: 0, executable: false });
            }
            at => at?,
        };
        match dirs.workspace.symlink_metadata(&at) {
            Ok(metadata) => {
                let kind = match () {
                    () if metadata.is_file() => "file",
                    () if metadata.is_dir() => "directory",
                    () if metadata.is_symlink() => "symlink",
                    () => "other",
                };
                let size = if metadata.is_file() { metadata.len() } else { 0 };
                Ok(FileStat { kind: Some(kind.to_owned()), size, executable: metadata.mode() & 0o100 != 0 })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory => {
                Ok(FileStat { kind: None, size: 0, executable: false })
            }
            Err(error) => Err(refuse(&wanted, error)),
        }
    })
    .await?;
    Ok(Json(stat))
}

pub(crate) async fn glob(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Names>, Refusal> {
    let (build, _) = admit(&api, &headers, &path, Action::ReadFiles(FileQuery::Glob)).await?;
    let Globs { globs } = parse(&body)?;
    let names = blocking(build, move |dirs| workspace_files::glob(dirs, &globs)).await?;
    Ok(Json(Names { names }))
}

pub(crate) async fn hash(
    State(api): State<Arc<Api>>,
    Path(path): Path<BuildPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<FilesDigest>, Refusal> {
    let (build, _) = admit(&api, &headers, &path, Action::ReadFiles(FileQuery::Hash)).await?;
    let Globs { globs } = parse(&body)?;
    let hash = move |dirs: &BuildDirs| workspace_files::hash(dirs, &globs);
    Ok(Json(FilesDigest { digest: blocking(build, hash).await? }))
}

pub(crate) async fn write_output(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let admitted = admit(&api, &headers, &path.build, Action::WriteOutput(path.item.clone())).await?;
    put_output(admitted, path.item, body, false).await
}

pub(crate) async fn extend_output(
    State(api): State<Arc<Api>>,
    Path(path): Path<ItemPath>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let admitted = admit(&api, &headers, &path.build, Action::ExtendOutput(path.item.clone())).await?;
    put_output(admitted, path.item, body, true).await
}

/// Writes a file in the output area, or extends it.
async fn put_output(
    (build, claims): (Arc<BuildHandle>, Arc<Claims>),
    path: String,
    body: Bytes,
    extend: bool,
) -> Result<StatusCode, Refusal> {
    let job = claims.role.job().unwrap_or_default().to_owned();
    let attempt = claims.attempt;
    let disk = build.disk.clone();
    blocking(build, move |dirs| {
        let wanted = inside(&path)?;
        let taken = disk.begin();
        let fail = |error: io::Error| refuse(&wanted, error);
        let area = output_area(dirs, &job, attempt).map_err(fail)?;
        let before = area.metadata(&wanted).map(|metadata| metadata.len()).ok();
        // A new file takes room for its name, and may for the directories above it.
        let named = if before.is_none() { FILE * wanted.components().count() as u64 } else { 0 };
        taken.take(body.len() as u64 + named)?;
        if let Some(parent) = wanted.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            area.create_dir_all(parent).map_err(fail)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true).append(extend).truncate(!extend);
        let mut file = area.open_with(&wanted, &options).map_err(fail)?;
        io::Write::write_all(&mut file, &body).map_err(fail)?;
        taken.keep();
        if !extend {
            disk.give_back(before.unwrap_or(0));
        }
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The output area of an attempt of a job's action; it is made on first use. No attempt finds what an earlier one has left.
pub(crate) fn output_area(dirs: &BuildDirs, job: &str, attempt: u32) -> io::Result<Dir> {
    let path = dirs.output_area(job, attempt);
    make_dir(&path)?;
    Dir::open_ambient_dir(path, ambient_authority())
}

/// Does what blocks with the build's directories.
pub(super) async fn blocking<T: Send + 'static>(
    build: Arc<BuildHandle>,
    work: impl FnOnce(&BuildDirs) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let work = move || match build.dirs.get() {
        Some(dirs) => work(dirs),
        None => Err(Refusal::not_found("the code has not been checked out yet")),
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Refusal::store("a file", error)))
}

/// A path inside the workspace. `Dir` would refuse what leads out too, but not say it so well; and git's own directory is no
/// part of the workspace: there may be credentials in it.
pub(super) fn inside(path: &str) -> Result<PathBuf, Refusal> {
    let clean: PathBuf = FilePath::new(path).components().filter(|part| *part != Component::CurDir).collect();
    let normal = |part: Component<'_>| match part {
        Component::Normal(name) => name != ".git",
        _ => false,
    };
    if path.is_empty() || path.contains('\0') || !clean.components().all(normal) {
        return Err(Refusal::invalid(format!(
            "{path:?} does not name a file of the workspace: paths are relative, without \"..\", and not below .git"
        )));
    }
    Ok(if clean.as_os_str().is_empty() { PathBuf::from(".") } else { clean })
}

/// Where a path of the workspace leads when all links on the way are followed: not out of it, and not into git's own directory, by
/// whatever name.
fn resolved(dirs: &BuildDirs, wanted: &FilePath) -> Result<PathBuf, Refusal> {
    if wanted == FilePath::new(".") {
        return Ok(wanted.to_owned());
    }
    let found = dirs.workspace.canonicalize(wanted).map_err(|error| refuse(wanted, error))?;
    if found.components().any(|part| part.as_os_str() == ".git") {
        return Err(Refusal::invalid(format!("{wanted:?} leads into .git, which is no part of the workspace")));
    }
    Ok(found)
}

/// What a failed access means for whoever asked.
fn refuse(path: &FilePath, error: io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Refusal::not_found(format!("there is no {path:?}")),
        io::ErrorKind::PermissionDenied => {
            // Also what cap-std says of a link that leads out.
            Refusal::invalid(format!("{path:?} can't be reached: it leads out of the workspace, or may not be read"))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Refusal::store("the output area", error),
        _ => workspace_files::failed(path, &error),
    }
}
