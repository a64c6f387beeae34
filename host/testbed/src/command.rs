//! Running other programs.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A command without what `cargo run` put into the environment for this program only.
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_about_this_package) {
            command.env_remove(name);
        }
    }
    // Cargo and rustup put their library folders here. Another toolchain, or a script, must not load those.
    if let Some(libraries) = env::var_os("LD_LIBRARY_PATH") {
        let own = env::current_exe().unwrap_or_default();
        let cargo = env::var_os("CARGO").map(PathBuf::from).unwrap_or_default();
        let theirs = [own.ancestors().nth(2), cargo.ancestors().nth(2)];
        let is_theirs = |dir: &Path| theirs.iter().flatten().any(|root| dir.starts_with(root));
        let kept = env::split_paths(&libraries).filter(|dir| !dir.as_os_str().is_empty() && !is_theirs(dir));
        match env::join_paths(kept) {
            Ok(kept) if !kept.is_empty() => command.env("LD_LIBRARY_PATH", kept),
            _ => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
    command
}

fn is_about_this_package(name: &str) -> bool {
    const PREFIXES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    const NAMES: [&str; 4] = ["CARGO", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The folders where daemons are, which are not in everybody's `PATH`.
const SYSTEM: [&str; 4] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"];

/// Where a program is, if it is installed.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM.iter().map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// `PATH` with these folders before it, and the system's behind it.
pub fn path_with(first: &[PathBuf]) -> Result<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = first.iter().cloned().chain(env::split_paths(&path)).chain(SYSTEM.iter().map(PathBuf::from));
    env::join_paths(dirs).context("a folder of PATH has a colon in its name")
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = command.get_program();
    let mut text = match env::var_os("CARGO") {
        Some(cargo) if cargo == program => "cargo".to_owned(),
        _ => program.display().to_string(),
    };
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.display().to_string());
    }
    text
}

/// Runs it with this program's input and output.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs it and returns what it prints.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        bail!("`{}` failed ({}): {}", shown(command), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs it for at most `limit`. What it prints goes to the file `log`, whose end is in the error.
///
/// A file, not a pipe: a daemon that the program leaves behind may keep a pipe open for ever.
pub fn within(command: &mut Command, limit: Duration, log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("cannot share the log")?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().context("cannot wait")? {
            break status;
        }
        if began.elapsed() > limit {
            child.kill().ok();
            child.wait().ok();
            bail!("`{}` took more than {} s; {}", shown(command), limit.as_secs(), tail(log, 5));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    if !status.success() {
        bail!("`{}` failed ({status}); {}", shown(command), tail(log, 10));
    }
    Ok(())
}

/// The last lines of a log, for an error.
pub fn tail(log: &Path, lines: usize) -> String {
    let text = match fs::read(log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => format!("({error})"),
    };
    let all: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let last = &all[all.len().saturating_sub(lines)..];
    if last.is_empty() {
        return format!("it printed nothing to {}", log.display());
    }
    format!("the end of {}:\n    {}", log.display(), last.join("\n    "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(name: &str, limit: Duration, command: &mut Command) -> String {
        let log = env::temp_dir().join(format!("xtask-{}-{name}.log", std::process::id()));
        let error = within(command, limit, &log).expect_err("it fails").to_string();
        fs::remove_file(&log).ok();
        error
    }

    #[test]
    fn a_failing_program_shows_the_end_of_its_log_and_one_that_hangs_is_killed() {
        let mut fails = program("sh");
        fails.args(["-c", "echo first; echo why >&2; exit 3"]);
        let error = error_of("fail", Duration::from_secs(600), &mut fails);
        assert!(error.contains("exit status: 3") && error.ends_with("first\n    why"), "{error}");
        let error = error_of("hang", Duration::from_millis(50), program("sleep").arg("100000"));
        assert!(error.contains("took more than"), "{error}");
    }

    #[test]
    fn what_cargo_says_about_this_package_is_not_passed_on() {
        for name in ["CARGO", "CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH"] {
            assert!(is_about_this_package(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_BUILD_JOBS", "PATH", "RUSTUP_TOOLCHAIN"] {
            assert!(!is_about_this_package(name), "{name}");
        }
    }
}
