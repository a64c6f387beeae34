//! The programs of the machine that set-up, tests and benchmarks call: the one list of them.
//!
//! Set-up installs what is missing. A test of the sources refuses calls of any other program (`host/xtask/tests/sources.rs`).

use std::path::Path;

use crate::command::find;

/// Who needs a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum For {
    /// Everybody, also the demo.
    All,
    /// Tests and fault runs.
    Tests,
    /// Benchmarks.
    Benchmarks,
    /// Docker, where no engine answers.
    Docker,
    /// Podman, beside Docker.
    Podman,
    /// Fuzzing by coverage.
    Fuzzing,
    /// Rehearsals.
    Rehearsals,
    /// Building the interpreters of scripts in other languages.
    Languages,
    /// Set-up itself, where it is there; what it does without is said where it is called.
    Optional,
}

/// A program of the machine.
pub struct Program {
    /// Its name, looked for where programs are; in Podman's case also where its helpers are.
    pub name: &'static str,
    /// The Debian packages that it comes from. Those that even the smallest Debian has are named too, for other systems.
    pub packages: &'static str,
    /// Who needs it.
    pub needed: For,
    /// What for.
    pub why: &'static str,
}

const fn row(name: &'static str, packages: &'static str, needed: For, why: &'static str) -> Program {
    Program { name, packages, needed, why }
}

/// All of them.
pub const TABLE: [Program; 51] = [
    row("git", "git", For::All, "the demo's repository, and those of tests, also served over HTTP"),
    row("sh", "dash", For::All, "guest-toolchain.sh, and signals to daemons"),
    row("ip", "iproute2", For::Tests, "network namespaces of the tests' own"),
    row("iptables", "iptables", For::Tests, "what fences have to refuse is dropped in tests' pods"),
    row("ip6tables", "iptables", For::Tests, "the same, for version 6"),
    row("nsenter", "util-linux", For::Tests, "going into namespaces of the tests' own, and of their pods"),
    row("unshare", "util-linux", For::Tests, "making namespaces"),
    row("mount", "mount", For::Tests, "disks that are soon full"),
    row("umount", "mount", For::Tests, "disks that are soon full, and named namespaces"),
    row("script", "bsdutils", For::Tests, "a terminal for the host's progress"),
    row("find", "findutils", For::Tests, "what is left in a store"),
    row("grep", "grep", For::Tests, "jobs that the launcher's tests run without a container"),
    row("bash", "bash", For::Tests, "jobs with another shell"),
    row("sleep", "coreutils", For::Tests, "a process that is there"),
    row("true", "coreutils", For::Tests, "a program that does nothing"),
    row("false", "coreutils", For::Tests, "a program that fails"),
    row("zstd", "zstd", For::Tests, "a second opinion on what the host compresses"),
    row("initdb", "", For::Optional, "a PostgreSQL for tests, where PATH has it"),
    row("postgres", "", For::Optional, "a PostgreSQL for tests, where PATH has it"),
    row("slirp4netns", "slirp4netns", For::Tests, "the network of the machines that tests of the rehearsal make"),
    row("setpriv", "util-linux", For::Tests, "machines and services that end with a test, and jobs of another user"),
    row("awk", "mawk", For::Tests, "the certificates of the real machine, for machines of a rehearsal"),
    row("tar", "tar", For::Benchmarks, "the baseline of archives"),
    row("node", "nodejs", For::Benchmarks, "the baseline of starting"),
    row("docker", "docker.io", For::Benchmarks, "the baseline of a job, `docker run`"),
    row("dockerd", "docker.io", For::Docker, "running containers"),
    row("iptables", "iptables", For::Docker, "networks of containers"),
    row("podman", "podman crun uidmap", For::Podman, "running containers with Podman"),
    row("conmon", "conmon", For::Podman, "running containers with Podman"),
    row("runc", "runc", For::Podman, "running containers with Podman, also with hybrid control groups"),
    row("netavark", "netavark", For::Podman, "networks of containers"),
    row("aardvark-dns", "aardvark-dns", For::Podman, "names of containers"),
    row("c++", "g++", For::Fuzzing, "compiling libFuzzer"),
    row("bash", "bash", For::Rehearsals, "making the rehearsal's machine"),
    row("debootstrap", "debootstrap", For::Rehearsals, "Debian's files, from packages"),
    row("slirp4netns", "slirp4netns", For::Rehearsals, "a network of the machine's own"),
    row("ip", "iproute2", For::Rehearsals, "a network of the machine's own"),
    row("unshare", "util-linux", For::Rehearsals, "namespaces of the machine's own"),
    row("nsenter", "util-linux", For::Rehearsals, "running commands in the machine"),
    row("setpriv", "util-linux", For::Rehearsals, "a machine that ends with this program"),
    row("awk", "mawk", For::Rehearsals, "the mirror and the certificates of the real machine"),
    row("pip3", "python3-pip", For::Languages, "fetching the C compiler of QuickJS, a package of PyPI"),
    row("python3", "python3", For::Languages, "unpacking it"),
    row("rustc", "", For::Optional, "the toolchain that runs this program"),
    row("cargo", "", For::Optional, "the toolchain that runs this program"),
    row("rustup", "", For::Optional, "targets, rustfmt and clippy, where the toolchain is from rustup"),
    row("apt-get", "", For::Optional, "installing what is missing, on Debian"),
    row("dpkg-deb", "", For::Optional, "unpacking busybox-static, on Debian"),
    row("systemctl", "", For::Optional, "starting Docker where systemd runs"),
    row("setsid", "util-linux", For::Optional, "a Docker daemon that outlives its terminal"),
    row("setpriv", "util-linux", For::Optional, "a Podman service that ends with this program"),
];

/// Where Podman's helpers are.
const HELPERS: [&str; 3] = ["/usr/lib/podman", "/usr/libexec/podman", "/usr/local/libexec/podman"];

/// Those that somebody needs, and that are not there.
pub fn missing(needed: For) -> Vec<&'static Program> {
    let is_there = |program: &&Program| {
        find(program.name).is_some() || HELPERS.iter().any(|dir| Path::new(dir).join(program.name).is_file())
    };
    TABLE.iter().filter(|program| program.needed == needed && !is_there(program)).collect()
}
