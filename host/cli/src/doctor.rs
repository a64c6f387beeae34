//! `monkeyci-host doctor`: what this machine has of what builds need, and what mends each gap.

use std::os::unix::fs::MetadataExt;
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
use crate::text::{colours, harmless, print_line, print_text, quoted, size};

/// With less room than this a build soon stands still.
const ROOM: u64 = 2 << 30;
/// What the kernel needs for the fence round jobs' networks.
const MODULES: [&str; 2] = ["nf_tables", "nft_reject_inet"];

/// What names another sidecar.
const SIDECAR: &str = "export MONKEYCI_SIDECAR=/path/of/monkeyci-sidecar";
/// What names another home.
const HOME: &str = "export MONKEYCI_HOME=$HOME/monkeyci-home";
/// What starts or installs an engine, by a program that is there; the first that is counts.
const ENGINES: [(&str, &str); 6] = [
    ("dockerd", "systemctl start docker"),
    ("podman", "systemctl start podman.socket"),
    ("apt-get", "apt-get install docker.io"),
    ("dnf", "dnf install podman"),
    ("apk", "apk add docker"),
    ("pacman", "pacman -S docker"),
];

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
    let (engine, holes) = engine(&args.engine.engine, options).await;
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
        Err(error) => return Finding::gap(what, State::Missing, error.to_string(), SIDECAR),
    };
    match access(&path, Access::EXEC_OK) {
        Ok(()) => Finding::ok(what, path.display().to_string()),
        Err(error) => {
            let found = format!("{}: {error}; it belongs beside monkeyci-host", path.display());
            Finding::gap(what, State::Missing, found, SIDECAR)
        }
    }
}

/// The home; one that is not there yet is no gap.
async fn home_of(home: &Path) -> Finding {
    let what = "home";
    let mode = std::fs::metadata(home).map(|found| found.mode());
    if mode.is_ok_and(|mode| mode & 0o022 != 0) && home.is_dir() {
        let found = format!("{}: others can write to it, and what they put there would be run", home.display());
        return Finding::gap(
            what,
            State::Missing,
            found,
            format!("chmod go-w {}", quoted(&home.display().to_string())),
        );
    }
    match Builds::open(home).await {
        Ok(_) => Finding::ok(what, home.display().to_string()),
        Err(BuildsError::NoHome { .. }) => match existing(home) {
            Some(parent) if access(&parent, Access::WRITE_OK).is_ok() => {
                Finding::ok(what, format!("{}, which the first build makes", home.display()))
            }
            _ => {
                let found = format!("{} can't be made: it would stand in a directory of somebody else", home.display());
                Finding::gap(what, State::Missing, found, HOME)
            }
        },
        Err(error) => Finding::gap(what, State::Missing, error.to_string(), HOME),
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
        return Finding::gap(what, State::Warning, "how much room the home has is not known", HOME);
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = format!("{} free for the home", size(free));
    match free < ROOM {
        true => Finding::gap(what, State::Warning, found, "monkeyci-host gc --older-than 30d --cache-size 10G"),
        false => Finding::ok(what, found),
    }
}

/// The engine, and what it can't do.
async fn engine(asked: &str, options: DockerOptions) -> (Finding, Vec<Finding>) {
    let what = "engine";
    match DockerEngine::connect(options).await {
        Ok(engine) => {
            let hole = |hole| Finding::gap(what, State::Warning, hole, "run builds of strangers on another machine");
            (Finding::ok(what, engine.describe()), engine.not_enforced().into_iter().map(hole).collect())
        }
        Err(error) => {
            let found = format!("{error}; scripts without container jobs need none");
            (Finding::gap(what, State::Missing, found, as_root(engine_mend(asked, is_installed))), Vec::new())
        }
    }
}

/// What brings the engine that is asked for, where these programs are.
fn engine_mend(asked: &str, is_there: impl Fn(&str) -> bool) -> &'static str {
    let other = match asked {
        "podman" => "dockerd",
        "docker" => "podman",
        _ => "",
    };
    let known = ENGINES.iter().find(|(program, _)| *program != other && is_there(program));
    known.map_or("curl -fsSL https://get.docker.com | sh", |(_, command)| command)
}

/// Whether a program is there, also one that only root has in its path.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).any(|dir| dir.join(program).is_file())
}

/// A command that only root may run, as this user runs it.
fn as_root(command: &str) -> String {
    if rustix::process::geteuid().is_root() { command.to_owned() } else { format!("sudo {command}") }
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
            let found = format!(
                "Linux {release}; whether it has {module} can't be seen from here; a job that can't be fenced in says so"
            );
            Finding::gap(what, State::Warning, found, as_root(&format!("modprobe {}", MODULES[1])))
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
        return Finding::gap(what, State::Warning, found, "curl -sSf https://sh.rustup.rs | sh");
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
    use std::os::unix::fs::PermissionsExt;

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

    #[test]
    fn what_mends_a_missing_engine_is_a_command_of_this_machine() {
        let asked = |engine: &str, programs: &[&str]| engine_mend(engine, |program| programs.contains(&program));
        let with = |programs: &[&str]| asked("auto", programs);
        assert_eq!(asked("podman", &["dockerd", "podman"]), "systemctl start podman.socket");
        assert_eq!(with(&["apt-get", "dockerd"]), "systemctl start docker");
        assert_eq!(with(&["apt-get"]), "apt-get install docker.io");
        assert_eq!(with(&["dnf"]), "dnf install podman");
        assert_eq!(with(&[]), "curl -fsSL https://get.docker.com | sh");
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
        // As `run` refuses it.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).expect("set");
        let open = home_of(dir.path()).await;
        assert_eq!((open.state, open.mend), (State::Missing, Some(format!("chmod go-w {}", dir.path().display()))));
    }
}
