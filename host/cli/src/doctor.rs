//! `monkeyci-host doctor`: what this machine has of what builds need, and what mends each gap.

use std::path::{Path, PathBuf};
use std::process::Command;

use monkeyci_controller::{Builds, BuildsError};
use monkeyci_engines::{DockerEngine, DockerOptions, Engine};
use rustix::fs::{Access, access, statvfs};
use serde::Serialize;

use crate::Done;
use crate::args::{DoctorArgs, Fence};
use crate::exit::Exit;
use crate::progress::Style;
use crate::script;
use crate::setup;
use crate::text::{colours, harmless, print_line, print_text, size};

/// With less room than this a build soon stands still.
const ROOM: u64 = 2 << 30;
/// What the kernel needs for the fence round jobs' networks.
const MODULES: [&str; 2] = ["nf_tables", "nft_reject_inet"];

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It is there.
    Ok,
    /// It is not as it should be, and builds run.
    Warning,
    /// Builds can't run.
    Missing,
}

/// What was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// What it is.
    what: &'static str,
    state: State,
    /// What was found.
    found: String,
    /// What mends it; none where nothing is to be mended.
    mend: Option<String>,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, state: State::Ok, found: found.into(), mend: None }
    }

    fn gap(what: &'static str, state: State, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what, state, found: found.into(), mend: Some(mend.into()) }
    }
}

/// Looks at everything, and says what is missing.
pub async fn doctor(args: DoctorArgs) -> Done {
    let home = setup::home(&args.home).map_err(|error| (Exit::Infrastructure, error))?;
    let options = setup::docker(&args.engine.engine)?;
    let (engine, holes) = engine(options).await;
    let mut findings = vec![
        Finding::ok("version", format!("monkeyci-host {}", env!("CARGO_PKG_VERSION"))),
        sidecar(),
        home_of(&home).await,
        room(&home),
        engine,
    ];
    findings.extend(holes);
    if args.engine.network_fence == Fence::Required {
        findings.push(fence());
    }
    findings.push(compiler());
    let missing = findings.iter().filter(|finding| finding.state == State::Missing).count();
    if args.json {
        print_line(&serde_json::json!(findings).to_string());
    } else {
        print_text(&text(Style { colours: colours(&std::io::stdout()) }, &findings));
    }
    Ok(if missing == 0 { Exit::Success } else { Exit::Infrastructure })
}

fn text(style: Style, findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { what, state, found, mend } in findings {
        let (colour, word) = match state {
            State::Ok => ("32", "ok     "),
            State::Warning => ("33", "warning"),
            State::Missing => ("31", "missing"),
        };
        text.push_str(&format!("{}  {what:width$}  {}\n", style.paint(colour, word), harmless(found, false)));
        if let Some(mend) = mend {
            text.push_str(&format!("{:9}{:width$}  mend it: {}\n", "", "", harmless(mend, false)));
        }
    }
    let missing = findings.iter().filter(|finding| finding.state == State::Missing).count();
    text.push_str(match missing {
        0 => "builds can run here\n",
        _ => "builds can't run here yet\n",
    });
    text
}

fn sidecar() -> Finding {
    let what = "sidecar";
    let path = match setup::sidecar_program() {
        Ok(path) => path,
        Err(error) => return Finding::gap(what, State::Missing, error.to_string(), "set MONKEYCI_SIDECAR"),
    };
    match access(&path, Access::EXEC_OK) {
        Ok(()) => Finding::ok(what, path.display().to_string()),
        Err(error) => {
            let mend = "put the program monkeyci-sidecar beside monkeyci-host, or name it with MONKEYCI_SIDECAR";
            Finding::gap(what, State::Missing, format!("{}: {error}", path.display()), mend)
        }
    }
}

/// The home; one that is not there yet is no gap.
async fn home_of(home: &Path) -> Finding {
    let what = "home";
    match Builds::open(home).await {
        Ok(_) => Finding::ok(what, home.display().to_string()),
        Err(BuildsError::NoHome { .. }) => match existing(home) {
            Some(parent) if access(&parent, Access::WRITE_OK).is_ok() => {
                Finding::ok(what, format!("{}, which the first build makes", home.display()))
            }
            _ => {
                let mend = "name another one with --home, or make it and give it to this user (chown)";
                Finding::gap(what, State::Missing, format!("{} can't be made", home.display()), mend)
            }
        },
        Err(error) => Finding::gap(what, State::Missing, error.to_string(), "name another one with --home"),
    }
}

/// The nearest directory of a path that is there.
fn existing(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find(|path| path.is_dir()).map(Path::to_owned)
}

fn room(home: &Path) -> Finding {
    let what = "disk";
    let stat = existing(home).and_then(|path| statvfs(&path).ok());
    let Some(stat) = stat else {
        return Finding::gap(what, State::Warning, "how much room the home has is not known", "name it with --home");
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = format!("{} free for the home", size(free));
    match free < ROOM {
        true => Finding::gap(what, State::Warning, found, "monkeyci-host gc --older-than 30d --cache-size 10G"),
        false => Finding::ok(what, found),
    }
}

/// The engine, and what it can't do.
async fn engine(options: DockerOptions) -> (Finding, Vec<Finding>) {
    let what = "engine";
    match DockerEngine::connect(options).await {
        Ok(engine) => {
            let hole = |hole| Finding::gap(what, State::Warning, hole, "run builds of strangers on another machine");
            (Finding::ok(what, engine.describe()), engine.not_enforced().into_iter().map(hole).collect())
        }
        Err(error) => {
            let mend = "install Docker or Podman and start it (`apt-get install docker.io`, say); scripts without container jobs \
                        need none";
            (Finding::gap(what, State::Missing, error.to_string(), mend), Vec::new())
        }
    }
}

/// Whether the kernel has what fences jobs in. It loads a part of it when somebody asks for it first.
fn fence() -> Finding {
    let what = "kernel";
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let listed = |file: &str| std::fs::read_to_string(format!("/lib/modules/{release}/{file}")).unwrap_or_default();
    let lists = [listed("modules.builtin"), listed("modules.dep")].concat();
    let is_there = |module: &&str| {
        let loaded = Path::new("/sys/module").join(module).exists();
        loaded || lists.contains(&format!("/{module}.ko"))
    };
    match MODULES.iter().find(|module| !is_there(module)) {
        None => Finding::ok(what, format!("Linux {release}, with nf_tables")),
        Some(module) if lists.is_empty() => {
            let found = format!("Linux {release}; whether it has {module} can't be seen from here");
            Finding::gap(
                what,
                State::Warning,
                found,
                "modprobe nft_reject_inet; a job says so if it can't be fenced in",
            )
        }
        Some(module) => {
            let found = format!("Linux {release} has no {module}, which keeps jobs from private networks");
            let mend = "use a kernel with nf_tables, or let trusted jobs run without the fence: --network-fence off";
            Finding::gap(what, State::Missing, found, mend)
        }
    }
}

/// What compiles scripts. Who has components needs none.
fn compiler() -> Finding {
    let what = "rust";
    let cargo = crate::test::cargo();
    let version = Command::new(&cargo).arg("--version").output();
    let Some(version) = version.ok().filter(|answer| answer.status.success()) else {
        let found = "no cargo: scripts can't be compiled here, and components run all the same";
        return Finding::gap(what, State::Warning, found, "install Rust from https://rustup.rs");
    };
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    match script::missing_target(Path::new(".")) {
        true => {
            let found = format!("{version}, without the target {}", script::TARGET);
            Finding::gap(what, State::Warning, found, format!("rustup target add {}", script::TARGET))
        }
        false => Finding::ok(what, format!("{version}, with the target {}", script::TARGET)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gap_is_told_with_what_mends_it() {
        let findings = [
            Finding::ok("version", "monkeyci-host 0.1.0"),
            Finding::gap("disk", State::Warning, "1.0 GiB free for the home", "monkeyci-host gc"),
            Finding::gap("engine", State::Missing, "no container engine found", "start one"),
        ];
        insta::assert_snapshot!(text(Style { colours: false }, &findings), @r"
        ok       version  monkeyci-host 0.1.0
        warning  disk     1.0 GiB free for the home
                          mend it: monkeyci-host gc
        missing  engine   no container engine found
                          mend it: start one
        builds can't run here yet
        ");
        assert!(text(Style { colours: false }, &findings[..2]).ends_with("builds can run here\n"));
    }

    #[tokio::test]
    async fn a_home_that_is_not_there_yet_is_no_gap_and_one_that_can_not_be_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = dir.path().join("a/b");
        assert_eq!((home_of(&home).await.state, room(&home).what), (State::Ok, "disk"));
        assert!(!home.exists());
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert_eq!(home_of(&file).await.state, State::Missing);
    }
}
