//! The images that the demo and the tests run, made from Debian's busybox: the one place that makes them.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::command::{output, program};
use crate::engine::{Engine, encoded, message_of};

/// An image that is made here. The same in all engines.
pub struct Image {
    /// Its name, with the tag.
    pub name: &'static str,
    /// What engines call changes: lines of a Dockerfile.
    changes: &'static [&'static str],
    files: fn(&Path) -> Result<Vec<u8>>,
}

/// Has a shell and the usual tools.
pub const BUSYBOX: Image =
    Image { name: "localhost/monkeyci-busybox:1", changes: &["CMD [\"/bin/sh\"]", "ENV PATH=/bin"], files: with_shell };
/// Has `/echo`, `/false` and `/cat`, static programs, and nothing else.
pub const SCRATCH: Image =
    Image { name: "localhost/monkeyci-scratch:1", changes: &["CMD [\"/echo\"]"], files: without_shell };
/// The one of the engines' conformance tests: with a command and a working directory that jobs must not notice.
pub const CONFORMANCE: Image = Image {
    name: "localhost/monkeyci-conformance:1",
    changes: &["CMD [\"/bin/sleep\", \"1000\"]", "WORKDIR /srv"],
    files: with_shell,
};

impl Image {
    /// Makes it in an engine, from a static busybox.
    pub fn make(&self, engine: &Engine, busybox: &Path) -> Result<()> {
        import(engine, self.name, self.changes, &(self.files)(busybox)?)
    }
}

/// Makes an image with a shell, of another name and with other changes.
pub fn make(engine: &Engine, name: &str, changes: &[&str], busybox: &Path) -> Result<()> {
    import(engine, name, changes, &with_shell(busybox)?)
}

/// Makes an image with a shell and these programs: absolute paths, and shell scripts. It stands for one that a registry has.
pub fn make_with(
    engine: &Engine,
    name: &str,
    changes: &[&str],
    busybox: &Path,
    programs: &[(&str, &str)],
) -> Result<()> {
    let mut root = shell(busybox)?;
    root.entry(tar::EntryType::Directory, "tools", 0o755, "", &[])?;
    for (path, script) in programs {
        root.file(path.trim_start_matches('/'), 0o755, format!("#!/bin/sh\n{script}\n").as_bytes())?;
    }
    import(engine, name, changes, &root.0.into_inner().context("cannot pack")?)
}

fn import(engine: &Engine, name: &str, changes: &[&str], root: &[u8]) -> Result<()> {
    // The tag belongs to the name: Podman 4.3 ignores a `tag` of its own.
    let mut request = format!("POST /images/create?fromSrc=-&repo={}", encoded(name));
    for change in changes {
        request.push_str(&format!("&changes={}", encoded(change)));
    }
    let answer = engine.ask(&request, root)?;
    match engine.has(name)? {
        true => Ok(()),
        false => bail!("{engine} did not make {name}: {}", message_of(&answer)),
    }
}

/// Copies an image from one engine to another.
pub fn copy(name: &str, from: &Engine, to: &Engine) -> Result<()> {
    to.ask("POST /images/load", &from.ask(&format!("GET /images/{name}/get"), &[])?).map(drop)
}

/// Files of root's that are as old as the epoch, so that the same image has the same id.
struct Root(tar::Builder<Vec<u8>>);

impl Root {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(&mut self, kind: tar::EntryType, path: &str, mode: u32, link: &str, content: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        match link {
            "" => self.0.append_data(&mut header, path, content),
            link => self.0.append_link(&mut header, path, link),
        }
        .with_context(|| format!("cannot pack {path}"))
    }

    fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.entry(tar::EntryType::Regular, path, mode, "", content)
    }
}

fn read(busybox: &Path) -> Result<Vec<u8>> {
    std::fs::read(busybox).with_context(|| format!("cannot read {}", busybox.display()))
}

fn with_shell(busybox: &Path) -> Result<Vec<u8>> {
    shell(busybox)?.0.into_inner().context("cannot pack")
}

fn shell(busybox: &Path) -> Result<Root> {
    let mut root = Root::new();
    for dir in ["bin", "etc", "root", "usr", "var", "run", "proc", "sys", "dev", "srv", "tmp"] {
        let mode = if dir == "tmp" { 0o1777 } else { 0o755 };
        root.entry(tar::EntryType::Directory, dir, mode, "", &[])?;
    }
    root.file("bin/busybox", 0o755, &read(busybox)?)?;
    let applets = output(program(busybox).arg("--list")).context("busybox does not list its applets")?;
    for applet in applets.lines().map(str::trim).filter(|applet| !["", "busybox"].contains(applet)) {
        root.entry(tar::EntryType::Symlink, &format!("bin/{applet}"), 0o777, "busybox", &[])?;
    }
    root.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n")?;
    root.file("etc/group", 0o644, b"root:x:0:\n")?;
    Ok(root)
}

/// Busybox does what its name says.
fn without_shell(busybox: &Path) -> Result<Vec<u8>> {
    let mut root = Root::new();
    root.file("echo", 0o755, &read(busybox)?)?;
    for other in ["false", "cat"] {
        root.entry(tar::EntryType::Link, other, 0o755, "echo", &[])?;
    }
    root.0.into_inner().context("cannot pack")
}
