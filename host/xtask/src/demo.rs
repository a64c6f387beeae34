//! The main job: the quickstart script on a sample repository, in real containers.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::{program, shown};
use crate::compile::{Extent, Profile, everything};
use crate::paths::Paths;
use crate::say::{heading, seconds};
use crate::{demo_repo, setup};

/// Sets up, builds, and becomes `monkeyci-host run`.
pub fn run(paths: &Paths, args: &[OsString]) -> Result<ExitCode> {
    let began = Instant::now();
    let ready = setup::run(paths, setup::Scope::default()).context("set-up failed")?;
    let built = everything(paths, &ready, Profile::Debug, Extent::Programs)?;
    let repository = demo_repo::ensure(paths)?;

    let mut command = program(&built.host);
    command
        .arg("run")
        .arg(built.component("quickstart")?)
        .arg("--git")
        .arg(format!("file://{}", repository.display()))
        .args(["--ref", "main", "--param"])
        .arg(format!("image={}", ready.images.busybox))
        .args(args)
        .current_dir(&paths.root)
        .env("DOCKER_HOST", ready.engine.url());
    heading(&format!("set-up took {}", seconds(began.elapsed())));
    heading(&format!("$ {}", shown(&command)));
    // Only comes back when it cannot start.
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", built.host.display()))
}
