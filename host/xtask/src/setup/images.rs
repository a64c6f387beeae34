//! Images in all engines: pulled where a registry answers, else made from a Debian package.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::apt;
use crate::paths::Paths;
use crate::say::Step;
use monkeyci_testbed::engine::{Engine, encoded, message_of};
use monkeyci_testbed::images::{BUSYBOX, CONFORMANCE, Image, SCRATCH};

/// A small image with a shell, from the registry.
const PULLED: (&str, &str) = ("docker.io/library/busybox", "1.37");
/// How long a pull may go without progress.
const PULL_PATIENCE: Duration = Duration::from_secs(8);

/// The names of the images. They are the same in all engines.
pub struct Images {
    /// Has a shell and the usual tools.
    pub busybox: String,
    /// Has `/echo`, `/false` and `/cat` only.
    pub scratch: &'static str,
    /// The program that images are made from, if this set-up needed one.
    pub program: Option<PathBuf>,
}

/// Makes sure that all engines have the images; also those that only tests need, if asked for.
pub fn ensure(step: &Step, paths: &Paths, engines: &[&Engine], for_tests: bool) -> Result<Images> {
    let mut program = match for_tests {
        true => Some(static_busybox(step, paths)?),
        false => None,
    };
    let pulled = format!("{}:{}", PULLED.0, PULLED.1);
    let (mut wanted, mut changed): (Vec<&Image>, bool) = (Vec::new(), false);
    let busybox = match lacking(engines, &pulled)?.as_slice() {
        [] => pulled,
        without => {
            let made = lacking(engines, BUSYBOX.name)?.len();
            // One engine has the made one: the registry was out of reach then, so do not wait for it again.
            if made == engines.len() && pull(step, without, &pulled) {
                changed = true;
                pulled
            } else {
                wanted.push(&BUSYBOX);
                BUSYBOX.name.to_owned()
            }
        }
    };
    if for_tests {
        wanted.extend([&SCRATCH, &CONFORMANCE]);
    }
    for image in &wanted {
        for engine in lacking(engines, image.name)? {
            changed = true;
            let program = match &mut program {
                Some(program) => program,
                none => none.insert(static_busybox(step, paths)?),
            };
            step.doing(&format!("making {} in {engine}", image.name));
            image.make(engine, program)?;
        }
    }
    let mut all = vec![busybox.as_str()];
    all.extend(wanted.iter().map(|image| image.name).filter(|name| *name != busybox));
    match changed {
        true => step.done(&all.join(", ")),
        false => step.already(&all.join(", ")),
    }
    Ok(Images { busybox, scratch: SCRATCH.name, program })
}

/// The engines that do not have an image.
fn lacking<'a>(engines: &[&'a Engine], image: &str) -> Result<Vec<&'a Engine>> {
    let mut lacking = Vec::new();
    for &engine in engines {
        if !engine.has(image)? {
            lacking.push(engine);
        }
    }
    Ok(lacking)
}

/// Pulls an image into all of these, or says why not.
fn pull(step: &Step, engines: &[&Engine], name: &str) -> bool {
    let one = |engine: &Engine| {
        step.doing(&format!("pulling {name} into {engine}"));
        let request = format!("POST /images/create?fromImage={}&tag={}", encoded(PULLED.0), encoded(PULLED.1));
        let answer = engine.ask_for(&request, &[], PULL_PATIENCE)?;
        match engine.has(name)? {
            true => Ok(()),
            // A failure after the start is in the answer's text.
            false => bail!("{engine}: {}", message_of(&answer)),
        }
    };
    let pulled: Result<()> = engines.iter().try_for_each(|engine| one(engine));
    if let Err(error) = &pulled {
        step.note(&format!("cannot pull {name}: {error:#}; making {} from a package instead", BUSYBOX.name));
    }
    pulled.is_ok()
}

/// A static busybox, unpacked from Debian's package: never the machine's, which may be a dynamic one, or none.
fn static_busybox(step: &Step, paths: &Paths) -> Result<PathBuf> {
    let unpacked = paths.target.join("xtask/busybox-static");
    let look = || ["bin/busybox", "usr/bin/busybox"].iter().map(|path| unpacked.join(path)).find(|path| path.is_file());
    if let Some(found) = look() {
        return Ok(found);
    }
    // Not installed: the machine may have the dynamic busybox, which this package would push out.
    apt::unpack(step, paths, "busybox-static", Path::new(&unpacked))
        .context("a static busybox is needed for the images; the Debian package busybox-static has it")?;
    look().with_context(|| format!("{} has no static busybox", unpacked.display()))
}
