//! The workspace. The tests give the files: `hello.txt`, `sub/other.txt`, and a link `link` that leads out.

use std::io::Read;

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all, refused};

pub fn jobs(case: &str, probe: &Probe) -> Case {
    match case {
        "workspace-read" => {
            let seen = look(probe.build)?;
            println!("define sees {seen}");
            refused("a file that is not there", probe.build.workspace().read_file("nothing"))?;
            refused("a digest of nothing", probe.build.workspace().hash_files(["*.nothing"]))?;
            all((
                action("again", move |context| again(context, &seen)),
                probe.sh("after", &["cat hello.txt"]).needs("again"),
            ))
        }
        // The tests give a repository with the tag `v1`.
        "workspace-of-git" => {
            let files = probe.build.workspace().glob(["**"])?;
            println!("described as {:?}, with {}", probe.build.describe(), files.join(" "));
            let look = ["find . -type f | sort", "env | grep -E '^(CI|MONKEYCI_[A-Z]+)=' | grep -v OUTPUTS | sort"];
            all((
                probe.sh("looks", &look),
                // As text: a log of bytes is shown with what is no text replaced.
                probe.sh("with-git", &["tar -c . | od -A n -v -t x1"]).with_git(),
            ))
        }
        // The tests give 100,000 files, a pipe, and links to nowhere good.
        "workspace-define" => {
            let workspace = probe.build.workspace();
            println!("{} files", workspace.glob(["many/*", "**/*.txt"])?.len());
            println!("digest of {} digits", workspace.hash_files(["many/*"])?.len());
            for path in ["pipe", "root", "loop", "root/etc/passwd"] {
                println!("{path}: {}", if workspace.read_file(path).is_err() { "refused" } else { "read" });
            }
            all(())
        }
        // The tests give `closed.txt`, which its reader may not read.
        "workspace-unreadable" => {
            let workspace = probe.build.workspace();
            println!("globbed {}", workspace.glob(["*.txt"])?.join(" "));
            refused("reading a closed file", workspace.read_file("closed.txt"))?;
            refused("a digest of a closed file", workspace.hash_files(["*.txt"]))?;
            all(())
        }
        "workspace-escape" => {
            for path in ["../secret", "/etc/passwd", "sub/../../secret", "link", "link/x", ""] {
                refused(&format!("reading {path:?}"), probe.build.workspace().read_file(path))?;
            }
            let link = probe.build.workspace().stat("link")?;
            println!("the link is a {:?}", link.context("no link")?.kind);
            all(action("escape", |context| {
                for path in ["../secret", "/etc/passwd", "link"] {
                    refused(&format!("opening {path:?}"), context.open_file(path))?;
                }
                for path in ["../x", "/tmp/x", "a/../../x", ""] {
                    refused(&format!("writing {path:?}"), context.write_file(path, "x"))?;
                    refused(&format!("adding to {path:?}"), context.append_file(path, "x"))?;
                }
                println!("nothing got out");
                Ok(())
            }))
        }
        _ => Ok(None),
    }
}

/// What there is to see, in a line.
fn look(build: &Build) -> Result<String> {
    let workspace = build.workspace();
    let hello = workspace.stat("hello.txt")?.context("no hello.txt")?;
    ensure!(!workspace.exists("nothing")?, "there is nothing");
    Ok(format!(
        "{:?} {:?} {} | {} | {} | {} {} | {:?} | {}",
        workspace.read_to_string("hello.txt")?,
        hello.kind,
        hello.size,
        workspace.read_dir(".")?.join(" "),
        workspace.read_dir("sub")?.join(" "),
        workspace.glob(["*.txt"])?.join(" "),
        workspace.glob(["**/o*.txt"])?.join(" "),
        workspace.stat("sub")?.map(|it| it.kind),
        workspace.hash_files(["**/*.txt"])?,
    ))
}

fn again(context: &Context, seen: &str) -> Result<()> {
    let now = look(context.build())?;
    ensure!(now == seen, "the action sees {now}");
    let mut file = context.open_file("hello.txt")?;
    let mut text = String::new();
    let size = file.size();
    file.read_to_string(&mut text)?;
    println!("the action sees the same, and reads {size} bytes: {text:?}");
    Ok(())
}
