//! What the job gets beside its workspace: variables, files, and the file in which it exposes its outputs.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::{Component, Path};

use monkeyci_api::{SidecarPlan, paths};

use super::{Options, StepError};

/// Makes the files, and returns the job's variables on top of its container's. `owner` is the job's user and group where
/// what we make has to be given to it.
///
/// The files' directory is for the job's user alone, the files are read-only. The outputs' file may be written by whomever the
/// job becomes: who is in its container may say what it exposes.
pub(super) fn hand_over(
    plan: &SidecarPlan,
    options: &Options,
    owner: Option<(u32, u32)>,
) -> Result<BTreeMap<String, String>, StepError> {
    let mut env = plan.env.0.clone();
    for (variable, content) in &plan.files.0 {
        let path = options.files.join(variable);
        write_file(&options.files, variable, content, owner).map_err(|error| {
            let reason = format!("{variable}: {error}");
            StepError { reason, ..StepError::local("making the job's files", &error) }
        })?;
        env.insert(variable.clone(), path.to_string_lossy().into_owned());
    }
    make_outputs(&options.outputs, owner).map_err(|error| StepError::local("making the file for outputs", &error))?;
    env.insert(paths::OUTPUTS_ENV.to_owned(), options.outputs.to_string_lossy().into_owned());
    Ok(env)
}

/// Writes a file that only its owner may read, into a directory that only they may enter.
pub(crate) fn write_file(dir: &Path, name: &str, content: &[u8], owner: Option<(u32, u32)>) -> io::Result<()> {
    let mut parts = Path::new(name).components();
    if !matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "this can't be the name of a file"));
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {
            if let Some((uid, gid)) = owner {
                chown(dir, Some(uid), Some(gid))?;
            }
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let path = dir.join(name);
    remove(&path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(content)?;
    if let Some((uid, gid)) = owner {
        fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(())
}

fn make_outputs(path: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    remove(path)?;
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    if let Some((uid, gid)) = owner {
        fchown(&file, Some(uid), Some(gid))?;
    }
    // The umask took bits away.
    file.set_permissions(Permissions::from_mode(0o666))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
