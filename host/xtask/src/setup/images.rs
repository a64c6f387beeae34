//! The images that the demo and the tests run: pulled where a registry answers, else made from a Debian package.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::engine::Engine;
use super::tarball::Tarball;
use super::{api, apt};
use crate::command::{output, program};
use crate::elf::is_static;
use crate::paths::Paths;
use crate::say::Step;

/// A small image with a shell, from the registry.
const PULLED: (&str, &str) = ("docker.io/library/busybox", "1.37");
/// The same, made here.
const MADE: (&str, &str) = ("localhost/monkeyci-busybox", "1");
/// An image without a shell: three static programs and nothing else.
const SCRATCH: (&str, &str) = ("localhost/monkeyci-scratch", "1");
/// The programs of the image without a shell. Busybox does what its name says.
const SCRATCH_PROGRAMS: [&str; 3] = ["echo", "false", "cat"];

/// How long a pull may go without progress.
const PULL_PATIENCE: Duration = Duration::from_secs(8);
const PULL_LIMIT: Duration = Duration::from_secs(120);
const PATIENCE: Duration = Duration::from_secs(30);

/// The names of the images. They are the same in all engines.
pub struct Images {
    /// Has a shell and the usual tools.
    pub busybox: String,
    /// Has `/echo`, `/false` and `/cat` only.
    pub scratch: Option<String>,
}

/// Makes sure that all engines have the images.
pub fn ensure(step: &Step, paths: &Paths, engines: &[&Engine], with_scratch: bool) -> Result<Images> {
    let (busybox, mut changed) = ensure_busybox(step, paths, engines)?;
    let scratch = if with_scratch {
        for engine in lacking(engines, &name(SCRATCH))? {
            changed = true;
            let busybox = static_busybox(step, paths)?;
            import(step, engine, SCRATCH, &["CMD [\"/echo\"]"], &scratch_root(&busybox))?;
        }
        Some(name(SCRATCH))
    } else {
        None
    };
    let all: Vec<&str> = std::iter::once(busybox.as_str()).chain(scratch.as_deref()).collect();
    let all = all.join(", ");
    match changed {
        true => step.done(&all),
        false => step.already(&all),
    }
    Ok(Images { busybox, scratch })
}

/// Decides which image with a shell it is, and says whether it had to be fetched or made.
fn ensure_busybox(step: &Step, paths: &Paths, engines: &[&Engine]) -> Result<(String, bool)> {
    for there in [PULLED, MADE] {
        if lacking(engines, &name(there))?.is_empty() {
            return Ok((name(there), false));
        }
    }
    // One engine has the made one: the registry was out of reach then, so do not wait for it again.
    let made_before = lacking(engines, &name(MADE))?.len() < engines.len();
    if !made_before {
        let pull_all = || -> Result<()> {
            for engine in lacking(engines, &name(PULLED))? {
                step.doing(&format!("pulling {} into {engine}", name(PULLED)));
                pull(engine, PULLED)?;
            }
            Ok(())
        };
        match pull_all() {
            Ok(()) => return Ok((name(PULLED), true)),
            Err(error) => step.note(&format!("{error:#}; making {} from a package instead", name(MADE))),
        }
    }
    let busybox = static_busybox(step, paths)?;
    let applets = output(program(&busybox.path).arg("--list")).context("busybox does not list its applets")?;
    let root = busybox_root(&busybox.bytes, &applets);
    let changes = ["CMD [\"/bin/sh\"]", "ENV PATH=/bin"];
    for engine in lacking(engines, &name(MADE))? {
        import(step, engine, MADE, &changes, &root)?;
    }
    Ok((name(MADE), true))
}

fn name((repository, tag): (&str, &str)) -> String {
    format!("{repository}:{tag}")
}

/// The engines that do not have an image.
fn lacking<'a>(engines: &[&'a Engine], image: &str) -> Result<Vec<&'a Engine>> {
    let mut lacking = Vec::new();
    for &engine in engines {
        let target = format!("/images/{image}/json");
        let mut answer = api::request(&engine.socket, "GET", &target, None, PATIENCE)
            .with_context(|| format!("{engine} does not answer"))?;
        match answer.status {
            200 => {}
            404 => lacking.push(engine),
            status => {
                let text = answer.text().unwrap_or_default();
                bail!("{engine} says {status} about {image}: {}", text.trim());
            }
        }
    }
    Ok(lacking)
}

fn pull(engine: &Engine, image: (&str, &str)) -> Result<()> {
    let target = format!("/images/create?fromImage={}&tag={}", api::encoded(image.0), api::encoded(image.1));
    let began = Instant::now();
    let slow = |error: std::io::Error| match api::is_timeout(&error) {
        true => anyhow::anyhow!("no progress for {} s", PULL_PATIENCE.as_secs()),
        false => error.into(),
    };
    let what = || format!("cannot pull {}", name(image));
    let mut answer =
        api::request(&engine.socket, "POST", &target, None, PULL_PATIENCE).map_err(slow).with_context(what)?;
    if answer.status != 200 {
        let text = answer.text().map_err(slow).with_context(what)?;
        bail!("{}: {}", what(), message_of(&text));
    }
    // One JSON object a line. A failure after the start comes as such a line too.
    for line in answer.lines() {
        let line = line.map_err(slow).with_context(what)?;
        if line.contains("\"error\"") {
            bail!("{}: {}", what(), message_of(&line));
        }
        if began.elapsed() > PULL_LIMIT {
            bail!("{}: not done after {} s", what(), PULL_LIMIT.as_secs());
        }
    }
    match lacking(&[engine], &name(image))?.is_empty() {
        true => Ok(()),
        false => bail!("{}: {engine} does not have it after the pull", what()),
    }
}

/// The message in an engine's answer, without its JSON. Good enough for people.
fn message_of(json: &str) -> String {
    let json = json.trim();
    for key in ["\"message\":\"", "\"error\":\"", "\"cause\":\""] {
        if let Some((_, rest)) = json.split_once(key) {
            let mut text = String::new();
            let mut chars = rest.chars();
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    '\\' => text.extend(chars.next()),
                    c => text.push(c),
                }
            }
            return text;
        }
    }
    json.to_owned()
}

fn import(step: &Step, engine: &Engine, image: (&str, &str), changes: &[&str], root: &[u8]) -> Result<()> {
    step.doing(&format!("making {} in {engine}", name(image)));
    // The tag belongs to the name: Podman 4.3 ignores a `tag` of its own.
    let mut target = format!("/images/create?fromSrc=-&repo={}", api::encoded(&name(image)));
    for change in changes {
        target.push_str("&changes=");
        target.push_str(&api::encoded(change));
    }
    let answer = api::call(&engine.socket, "POST", &target, Some(root), PATIENCE)?;
    if !lacking(&[engine], &name(image))?.is_empty() {
        bail!("{engine} did not make {}: {}", name(image), message_of(&answer));
    }
    Ok(())
}

/// A static busybox of this machine.
struct Busybox {
    path: std::path::PathBuf,
    bytes: Vec<u8>,
}

fn static_busybox(step: &Step, paths: &Paths) -> Result<Busybox> {
    let unpacked = paths.target.join("xtask/busybox-static");
    let places = [Path::new("/bin/busybox").to_owned(), unpacked.join("bin/busybox"), unpacked.join("usr/bin/busybox")];
    let look = || {
        places.iter().find_map(|path| {
            let bytes = fs::read(path).ok()?;
            let path = path.clone();
            (is_static(&bytes) == Some(true)).then_some(Busybox { path, bytes })
        })
    };
    if let Some(found) = look() {
        return Ok(found);
    }
    // Not installed: the machine may have the dynamic busybox, which this package would push out.
    apt::unpack(step, paths, "busybox-static", &unpacked)
        .context("a static busybox is needed for the images; the Debian package busybox-static has it")?;
    look().with_context(|| format!("{} has no static busybox", unpacked.display()))
}

fn busybox_root(program: &[u8], applets: &str) -> Vec<u8> {
    let mut root = Tarball::default();
    for dir in ["bin", "etc", "root", "usr", "var", "run", "proc", "sys", "dev"] {
        root.dir(dir, 0o755);
    }
    root.dir("tmp", 0o1777);
    root.file("bin/busybox", 0o755, program);
    for applet in applets.lines().map(str::trim) {
        if !applet.is_empty() && applet != "busybox" {
            root.symlink(&format!("bin/{applet}"), "busybox");
        }
    }
    root.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    root.file("etc/group", 0o644, b"root:x:0:\n");
    root.finish()
}

fn scratch_root(busybox: &Busybox) -> Vec<u8> {
    let mut root = Tarball::default();
    let [first, others @ ..] = SCRATCH_PROGRAMS;
    root.file(first, 0o755, &busybox.bytes);
    for other in others {
        root.hard_link(other, first, 0o755);
    }
    root.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_engine_is_found_in_its_json() {
        assert_eq!(
            message_of("{\"message\":\"Get \\\"https://x/v2/\\\": no such host\"}\n"),
            "Get \"https://x/v2/\": no such host"
        );
        assert_eq!(message_of("{\"errorDetail\":{\"code\":1},\"error\":\"denied\"}"), "denied");
        assert_eq!(message_of("plain"), "plain");
    }
}
