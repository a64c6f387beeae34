//! Images in all engines: pulled where a registry answers, else made from a Debian package.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

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
    let pulled = format!("{}:{}", PULLED.0, PULLED.1);
    let (mut wanted, mut changed): (Vec<&Image>, bool) = (Vec::new(), false);
    let without = lacking(engines, &pulled)?;
    // One engine has the made one: the registry was out of reach then, so do not wait for it again.
    let made_before = !without.is_empty() && lacking(engines, BUSYBOX.name)?.len() < engines.len();
    let busybox = if !made_before && (without.is_empty() || pull(step, &without, &pulled)) {
        changed = !without.is_empty();
        pulled
    } else {
        wanted.push(&BUSYBOX);
        BUSYBOX.name.to_owned()
    };
    if for_tests {
        wanted.extend([&SCRATCH, &CONFORMANCE]);
    }
    let mut missing = Vec::new();
    for image in &wanted {
        missing.extend(lacking(engines, image.name)?.into_iter().map(|engine| (image, engine)));
    }
    let program = (for_tests || !missing.is_empty()).then(|| static_busybox(step, paths)).transpose()?;
    for (image, engine) in missing {
        changed = true;
        step.doing(&format!("making {} in {engine}", image.name));
        image.make(engine, program.as_deref().context("there is no busybox")?)?;
    }
    let others = wanted.iter().map(|image| image.name).filter(|name| *name != busybox);
    let all = std::iter::once(busybox.as_str()).chain(others).collect::<Vec<_>>().join(", ");
    match changed {
        true => step.done(&all),
        false => step.already(&all),
    }
    Ok(Images { busybox, scratch: SCRATCH.name, program })
}

/// The engines that do not have an image.
fn lacking<'a>(engines: &[&'a Engine], image: &str) -> Result<Vec<&'a Engine>> {
    let looked = engines.iter().map(|engine| Ok((*engine, engine.has(image)?))).collect::<Result<Vec<_>>>()?;
    Ok(looked.into_iter().filter(|(_, has)| !has).map(|(engine, _)| engine).collect())
}

/// Pulls an image into all of these, or says why not.
fn pull(step: &Step, engines: &[&Engine], name: &str) -> bool {
    let request = format!("POST /images/create?fromImage={}&tag={}", encoded(PULLED.0), encoded(PULLED.1));
    for engine in engines {
        step.doing(&format!("pulling {name} into {engine}"));
        let answer = engine.ask_for(&request, &[], PULL_PATIENCE);
        // A failure after the start is in the answer's text.
        let why = match answer.and_then(|answer| Ok((engine.has(name)?, answer))) {
            Ok((true, _)) => continue,
            Ok((false, answer)) => message_of(&answer),
            Err(error) => format!("{error:#}"),
        };
        step.note(&format!("cannot pull {name}: {why}; making {} from a package instead", BUSYBOX.name));
        return false;
    }
    true
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
