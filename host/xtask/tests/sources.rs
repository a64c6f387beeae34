//! Tests, benchmarks, fault runs and set-up call no program, read no variable and touch no place of the machine that is
//! not on the lists here and in `monkeyci_testbed::programs`: what set-up does not provide is not there on a fresh machine.
//!
//! The sources are read, not compiled: each string literal is judged by the call that it goes into.

use std::fs;
use std::path::{Path, PathBuf};

use monkeyci_testbed::programs::TABLE;

/// What runs somewhere else: these files, and folders, are not looked at.
const ELSEWHERE: &[(&str, &str)] = &[
    ("host/xtask/src/rehearse/mod.rs", "places of the machine that a rehearsal makes"),
    ("host/xtask/src/rehearse/machine.rs", "places of the machine that a rehearsal makes"),
    ("host/sidecar/src/launcher/script.rs", "names that shells have in images of jobs"),
    ("tests/probe-script", "a script, which can't reach the machine"),
    ("tests/call-script", "a script, which can't reach the machine"),
    ("tests/guide-script", "a script, which can't reach the machine"),
    ("tests/imported-script", "a script, which can't reach the machine"),
    ("host/engines/tests/conformance/probe.rs", "a program that runs in containers"),
    ("host/xtask/tests/sources.rs", "these lists"),
    ("host/xtask/tests/clock.rs", "what it looks for"),
];

/// Variables that people, Cargo and the system set; beside them there are those that set-up hands over.
const VARIABLES: &[(&str, &str)] = &[
    ("MONKEYCI_GUEST_TOOLCHAIN", "the user's choice, in the usage of `cargo xtask`"),
    ("MONKEYCI_BENCH_MEBIBYTES", "the user's choice, at the benchmark that reads it"),
    ("MONKEYCI_MASK_FUZZ_CASES", "the user's choice, at the test that reads it"),
    ("MONKEYCI_FUZZ_ROUNDS", "the user's choice, at the test that reads it"),
    ("MONKEYCI_FUZZ_TARGET", "`cargo xtask fuzz` gives it to the program that has all targets"),
    ("MONKEYCI_JOURNAL_MUTATIONS", "the user's choice, at the test that reads it"),
    ("MONKEYCI_SEEDS", "the user's choice, at the test that reads it"),
    ("MONKEYCI_KILLS", "the user's choice, at the test that reads it"),
    ("PROPTEST_RNG_SEED", "the user's choice, in the usage of `cargo xtask`"),
    ("<CAPPED>", "a test's own, for itself as a process with a cap"),
    ("<INSIDE>", "a test's own, for itself as a job"),
    ("<KILLED>", "a test's own, for itself as a host that is killed"),
    ("<TRIES>", "a test's own, for itself as a program that may be ended"),
    ("DOCKER_HOST", "the user's choice, in the usage of `cargo xtask`"),
    ("XDG_RUNTIME_DIR", "where engines without root listen"),
    ("HOME", "where the rehearsal keeps its base, and Cargo what it has fetched"),
    ("TERM", "a terminal without colours"),
    ("PATH", "where programs are, of which only those in the table are called"),
    ("LD_LIBRARY_PATH", "Cargo's own, which others must not get"),
    ("CARGO", "the toolchain that runs this"),
    ("RUSTC", "the toolchain that runs this"),
    ("RUSTFLAGS", "the user's choice of how to compile"),
    ("CARGO_HOME", "where Cargo keeps what it has fetched, which must not stand in an interpreter"),
    ("CARGO_MANIFEST_DIR", "where the repository is"),
    ("CARGO_HOME", "where Cargo's folders are, which no program is to name"),
    ("OUT_DIR", "where a build script writes"),
    ("CARGO_TARGET_DIR", "where everything is built"),
    ("CARGO_TARGET_TMPDIR", "a folder for tests"),
    ("CARGO_BIN_EXE_dial-stdio", "what Cargo has built for the test"),
    ("CARGO_BIN_EXE_monkeyci-sidecar", "what Cargo has built for the test"),
    ("<name>", "what set-up hands over (`handed::given`), and the user's choice of colours (`say::coloured`)"),
];

/// Places of the machine. With a final slash, all below.
const PLACES: &[(&str, &str)] = &[
    ("/tmp/victim", "what a hostile archive names, and does not make"),
    ("/proc", "the kernel's"),
    ("/proc/", "the kernel's"),
    ("/sys/fs/cgroup/cgroup.controllers", "the kernel's"),
    ("/dev/null", "the kernel's"),
    ("/usr/bin/env", "of a package that every Debian has"),
    ("/dev/net/tun", "whether rehearsals can have a network of their own"),
    ("/sys/class/net/docker0", "whether a Docker would be disturbed by one of a rehearsal"),
    ("/dev/shm", "the kernel's; any other folder does where there is none"),
    ("/var/run/docker.sock", "where set-up looks for Docker, and starts it"),
    ("/var/run/docker.pid", "what keeps Docker from starting, for set-up"),
    ("/var/run/docker/containerd/containerd.pid", "what keeps Docker from starting, for set-up"),
    ("/var/log/dockerd-monkeyci.log", "what the Docker says that set-up starts"),
    ("/run/podman/podman.sock", "where set-up looks for Podman"),
    ("/run/systemd/system", "whether systemd runs"),
    ("/run/lock", "the lock of set-up"),
    ("/var/lib/apt/lists", "whether apt has lists"),
    ("/usr/bin", "where programs are"),
    ("/usr/sbin", "where programs are"),
    ("/usr/local/sbin", "where programs are"),
    ("/sbin", "where programs are"),
    ("/usr/lib/rustlib/", "what guest-toolchain.sh installs"),
    ("/usr/lib/podman", "where Podman's helpers are"),
    ("/usr/libexec/podman", "where Podman's helpers are"),
    ("/usr/local/libexec/podman", "where Podman's helpers are"),
    ("/root", "in the rehearsal's machine"),
    ("/root/", "in the rehearsal's machine"),
    ("/usr", "programs that the rehearsal's machine sees in its tests"),
    ("/sys/fs/cgroup", "the kernel's"),
    ("/sys/class/net/docker0", "the kernel's; the rehearsal says what it finds"),
    ("/dev/net/tun", "the kernel's; the rehearsal says that it needs it"),
    ("/etc", "no name in an archive or a pattern: refused"),
    ("/etc/passwd", "no module of a script: refused"),
    ("/home/run/x", "in a line that is printed: nothing looks there"),
    ("/tmp", "no name in an archive: refused"),
    ("/bin/nosuchshell", "it is nowhere"),
    ("/bin/echo\\0", "no name of a program: refused"),
];

/// What ends a list of strings that name nothing of the machine: they go into containers, archives, links that are not
/// followed, and comparisons.
const NOT_THE_MACHINE: [&str; 16] = [
    "ready_command",
    "container_argv",
    ".shell_program",
    "Command::Shell",
    "owned",
    ".file",
    ".link",
    "outside",
    "symlink",
    "environment",
    ".then_some",
    ".contains",
    "assert!",
    "assert_eq!",
    "candidates",
    "sockets",
];

/// A string of a source.
#[derive(Debug)]
struct Literal {
    line: usize,
    text: String,
    /// The calls and macros that it is an argument of, the innermost first.
    calls: Vec<String>,
    /// It is the call's first argument.
    leads: bool,
}

/// Calls of a program, and reads of a variable.
const PROGRAM: [&str; 3] = ["Command::new", "program", "wrapped"];
const VARIABLE: [&str; 3] = ["env::var", "env::var_os", "env!"];

fn is_one_of(calls: &[&str], call: &str) -> bool {
    calls.iter().any(|it| call.strip_suffix(it).is_some_and(|path| path.is_empty() || path.ends_with("::")))
}

/// All strings of a source, without those in comments. Where a program or a variable is named by an expression, there is the
/// expression in angle brackets.
fn literals(source: &str) -> Vec<Literal> {
    let chars: Vec<char> = source.chars().collect();
    let (mut found, mut open, mut line, mut at): (Vec<Literal>, Vec<String>, usize, usize) =
        (Vec::new(), Vec::new(), 1, 0);
    let starts = |at: usize, text: &str| text.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c));
    while let Some(&c) = chars.get(at) {
        line += usize::from(c == '\n');
        match c {
            '/' if starts(at, "/*") => {
                while at < chars.len() && !starts(at, "*/") {
                    line += usize::from(chars[at] == '\n');
                    at += 1;
                }
            }
            '/' if starts(at, "//") => {
                while chars.get(at).is_some_and(|c| *c != '\n') {
                    at += 1;
                }
                continue;
            }
            // A character; a lifetime has no second quote.
            '\'' if chars.get(at + 1) == Some(&'\\') => at += 3,
            '\'' if chars.get(at + 2) == Some(&'\'') => at += 2,
            '"' => {
                let hashes = chars[..at].iter().rev().take_while(|c| **c == '#').count();
                let before = |back: usize| at.checked_sub(back).map(|at| chars[at]);
                let raw = before(hashes + 1) == Some('r') && !before(hashes + 2).is_some_and(|c| c.is_alphanumeric());
                let end = format!("\"{}", "#".repeat(hashes));
                let leads = before(hashes + usize::from(raw) + 1) == Some('(');
                let (mut text, first) = (String::new(), line);
                at += 1;
                while at < chars.len() && !starts(at, if raw { &end } else { "\"" }) {
                    if chars[at] == '\\' && !raw {
                        text.push(chars[at]);
                        line += usize::from(chars.get(at + 1) == Some(&'\n'));
                        at += 1;
                    }
                    line += usize::from(chars.get(at) == Some(&'\n') && (raw || chars[at - 1] != '\\'));
                    text.extend(chars.get(at));
                    at += 1;
                }
                let calls = open.iter().rev().filter(|call| !call.is_empty()).cloned().collect();
                found.push(Literal { line: first, text, calls, leads });
            }
            '(' | '[' | '{' => {
                let is_name = |c: &&char| c.is_alphanumeric() || "_:!.".contains(**c);
                let name: String = match c {
                    '{' => String::new(),
                    _ => chars[..at].iter().rev().take_while(is_name).collect::<Vec<_>>().into_iter().rev().collect(),
                };
                let is_call = c == '(' || name.ends_with('!');
                let argument: String = chars[at + 1..].iter().take_while(|c| !"(),".contains(**c)).collect();
                if is_call && (is_one_of(&PROGRAM, &name) || is_one_of(&VARIABLE, &name)) && !argument.contains('"') {
                    let text = format!("<{}>", argument.trim_start_matches('&'));
                    found.push(Literal { line, text, calls: vec![name.clone()], leads: true });
                }
                open.push(if is_call { name } else { String::new() });
            }
            ')' | ']' | '}' => drop(open.pop()),
            _ => {}
        }
        at += 1;
    }
    found
}

/// What a source does that no list has.
fn faults(source: &str) -> Vec<String> {
    let is_program = |name: &str| TABLE.iter().any(|program| program.name == name);
    let fault = |Literal { line, text, calls, leads }: Literal| {
        let call = calls.first().map(String::as_str).unwrap_or_default();
        let path =
            text.strip_prefix('/').and_then(|rest| rest.split('/').next()).is_some_and(|top| TOPS.contains(&top));
        let at_home = text.rsplit_once('/').is_some_and(|(dir, name)| dir.ends_with("/bin") && is_program(name));
        let is_there =
            PLACES.iter().any(|(place, _)| text == *place || place.ends_with('/') && text.starts_with(place));
        if leads && is_one_of(&VARIABLE, call) {
            let known = VARIABLES.iter().any(|(name, _)| text == *name);
            return (!known).then(|| format!("{line}: the variable {text} is not in VARIABLES"));
        }
        if leads && is_one_of(&PROGRAM, call) && !path {
            let (name, known) = match text.strip_prefix('<').and_then(|text| text.strip_suffix('>')) {
                // A name that is a constant could as well be written here.
                Some(name) => (
                    name,
                    name == "rig::PROGRAM" || !name.contains(char::is_uppercase) || name.contains(char::is_lowercase),
                ),
                None => (text.as_str(), is_program(&text)),
            };
            return (!known).then(|| format!("{line}: the program {name} is not in monkeyci_testbed::programs::TABLE"));
        }
        let elsewhere =
            calls.iter().any(|call| NOT_THE_MACHINE.contains(&call.as_str()) || call.ends_with(".contains"));
        (path && !at_home && !is_there && !elsewhere).then(|| format!("{line}: {text} is not in PLACES"))
    };
    literals(source).into_iter().filter_map(fault).collect()
}

/// What a path of a machine begins with.
const TOPS: [&str; 19] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv",
    "sys", "tmp", "usr", "var",
];

#[test]
fn nothing_of_the_machine_is_used_that_set_up_does_not_provide() {
    let sources = sources();
    assert!(sources.len() > 100, "the sources are there: {}", sources.len());
    let all = sources
        .iter()
        .flat_map(|(name, source)| faults(source).into_iter().map(move |fault| format!("{}:{fault}", name.display())));
    let all: Vec<_> = all.collect();
    assert!(all.is_empty(), "put it into the list with its reason, if a fresh machine has it:\n{}", all.join("\n"));
}

#[test]
fn what_is_new_is_refused_and_what_is_of_a_container_is_not() {
    let refused = [
        "fs::read(\"/bin/busybox\")",
        "const SOCKET: &str = \"/var/run/other.sock\";",
        "tempdir_in(\"/tmp/x\")",
        "std::process::Command::new(\"ruby\").arg(\"git\")",
        "Command::new(PYTHON)",
        "let x = '\"'; program(r#\"nft\"#)",
        "std::env::var(\"MONKEYCI_OTHER\")",
        "env::var_os(other)",
        "format!(\"/home/{user}\")",
        "/* \" */ File::open(\"/etc/hosts\")",
    ];
    for source in refused {
        assert_eq!(faults(source).len(), 1, "{source}: {:?}", faults(source));
    }
    let kept = [
        "// fs::read(\"/bin/x\")",
        "ready_command([\"/bin/test\", \"-e\", \"/tmp/ready\"])",
        "Command::new(\"git\").arg(\"ruby\")",
        "Command::new(&program)",
        "host.pod(\"exists /run/monkeyci/config.json\", \"\")",
        "fs::read_dir(format!(\"/proc/{pid}/fd\"))",
        "fn f<'a>(x: &'a str) { env::var(\"PATH\") }",
    ];
    for source in kept {
        assert_eq!(faults(source), [] as [String; 0], "{source}");
    }
}

/// The sources that are looked at: all of tests, benchmarks and set-up, and what is compiled for tests only of all others.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the repository").to_owned();
    let mut files = Vec::new();
    let mut folders = vec![root.join("tests"), root.join("host"), root.join("guest-sdk")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = path.strip_prefix(&root).expect("below it").to_owned();
            if ELSEWHERE.iter().any(|(elsewhere, _)| name == Path::new(elsewhere)) || name.ends_with("target") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.extension().is_some_and(|extension| extension == "rs") {
                files.push((name, fs::read_to_string(path).expect("text")));
            }
        }
    }
    let for_tests: Vec<PathBuf> = files
        .iter()
        .flat_map(|(name, source)| {
            let lines: Vec<&str> = source.lines().collect();
            let modules = lines
                .windows(2)
                .filter(|pair| pair[0] == "#[cfg(test)]")
                .filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned))
                .collect::<Vec<_>>();
            let folder = match name.file_stem().is_some_and(|stem| ["mod", "lib", "main"].iter().any(|it| stem == *it))
            {
                true => name.parent().unwrap_or(name).to_owned(),
                false => name.with_extension(""),
            };
            modules.into_iter().map(move |module| folder.join(module).with_extension("rs"))
        })
        .collect();
    files
        .into_iter()
        .filter_map(|(name, source)| {
            let whole =
                ["tests", "benches", "xtask"].iter().any(|part| name.components().any(|it| it.as_os_str() == *part))
                    || for_tests.contains(&name);
            let source = match whole {
                true => source,
                false => {
                    let at = source.find("#[cfg(test)]\nmod tests {")?;
                    // Lines keep their numbers.
                    "\n".repeat(source[..at].matches('\n').count()) + &source[at..]
                }
            };
            Some((name, source))
        })
        .collect()
}
