//! What the host is made of: the crates of `Cargo.lock`, held against the policy of `.cargo/deny.toml`, and told as an SBOM.
//!
//! `cargo deny check` reads the same policy, and looks for advisories too, which takes its database and so a network. Licences, sources and
//! duplicates are looked at here, on every machine and in every run of the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::paths::Paths;
use crate::toolchain::cargo;

/// The only place that crates come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A crate of a lock file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Locked {
    name: String,
    version: String,
    /// None for one of this repository.
    source: Option<String>,
    checksum: Option<String>,
    /// As the lock file names them: by name, and version where there are several.
    needs: Vec<String>,
}

/// The licence of each crate, by name and version.
type Licences = BTreeMap<(String, String), String>;

/// What is allowed.
#[derive(Debug, Default)]
struct Policy {
    licences: BTreeSet<String>,
    /// Crates that may be there in several versions: `name@version` of those that are to go.
    duplicates: BTreeSet<String>,
}

/// The text between quotes at the beginning of what follows `key`.
fn quoted(line: &str, key: &str) -> Option<String> {
    let rest = line.trim().strip_prefix(key)?.trim_start().strip_prefix('"')?;
    Some(rest.split('"').next()?.to_owned())
}

/// The crates of a lock file, which Cargo writes, a line for each value.
fn locked(lock: &str) -> Vec<Locked> {
    let mut all: Vec<Locked> = Vec::new();
    for line in lock.lines() {
        if line == "[[package]]" {
            all.push(Locked::default());
        }
        let Some(last) = all.last_mut() else { continue };
        if let Some(name) = quoted(line, "name =") {
            last.name = name;
        } else if let Some(version) = quoted(line, "version =") {
            last.version = version;
        } else if let Some(source) = quoted(line, "source =") {
            last.source = Some(source);
        } else if let Some(checksum) = quoted(line, "checksum =") {
            last.checksum = Some(checksum);
        } else if let Some(need) = quoted(line, "") {
            last.needs.push(need);
        }
    }
    all
}

/// Reads the policy: the licences that are allowed, and the duplicates that are known, each on a line of its own.
fn policy(text: &str) -> Policy {
    let mut policy = Policy::default();
    let mut table = "";
    for line in text.lines().map(str::trim) {
        match line {
            "[licenses]" | "[bans]" | "[sources]" | "[advisories]" => table = line,
            _ if table == "[licenses]" => policy.licences.extend(quoted(line, "")),
            _ if table == "[bans]" => policy.duplicates.extend(quoted(line, "{ crate =")),
            _ => {}
        }
    }
    policy
}

/// The licence of each crate of a workspace, which is in this folder of the repository, as Cargo tells it: by name and version.
fn licences(paths: &Paths, workspace: &str) -> Result<Licences> {
    let mut command = cargo(paths);
    command.current_dir(paths.root.join(workspace));
    command.args(["tree", "--workspace", "--locked", "--target", "all", "--edges", "normal,build,dev"]);
    command.args(["--prefix", "none", "--format", "{p}|{l}"]);
    let output = command.output().context("cargo can't be run")?;
    if !output.status.success() {
        bail!("`cargo tree` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let line = |line: &str| {
        let (package, licence) = line.split_once('|')?;
        let (name, rest) = package.split_once(" v")?;
        let version = rest.split(' ').next()?;
        Some(((name.to_owned(), version.to_owned()), licence.trim_end_matches(" (*)").trim().to_owned()))
    };
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(line).collect())
}

/// Whether a licence, an expression of SPDX, can be met by those that are allowed.
fn is_allowed(licence: &str, allowed: &BTreeSet<String>) -> bool {
    let words = licence.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut at = 0;
    let fits = any(&words, &mut at, allowed);
    fits && at == words.len()
}

/// Terms with `OR` between them.
fn any(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut fits = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        fits |= all(words, at, allowed);
    }
    fits
}

/// Terms with `AND` between them.
fn all(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut fits = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        fits &= one(words, at, allowed);
    }
    fits
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let fits = any(words, at, allowed);
        let closes = words.get(*at) == Some(&")");
        *at += 1;
        return fits && closes;
    }
    if words.get(*at) == Some(&"WITH") {
        let name = format!("{word} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
        return allowed.contains(&name);
    }
    allowed.contains(*word)
}

/// What of these crates is not as the policy says.
fn faults(packages: &[Locked], licences: &Licences, policy: &Policy) -> Vec<String> {
    let mut faults = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Locked { name, version, source, checksum, .. } in packages {
        versions.entry(name).or_default().push(version);
        match source.as_deref() {
            None => {}
            Some(REGISTRY) if checksum.is_some() => {}
            Some(other) => faults.push(format!("{name} {version} comes from {other}, or has no checksum")),
        }
        match licences.get(&(name.clone(), version.clone())) {
            Some(licence) if is_allowed(licence, &policy.licences) => {}
            // What is locked and in no build, on no system, is not there.
            None => {}
            Some(licence) => faults.push(format!("{name} {version} has the licence {licence:?}, which is not allowed")),
        }
    }
    for (name, versions) in versions {
        let known = |version: &&&str| policy.duplicates.contains(&format!("{name}@{version}"));
        let unknown = versions.len() - versions.iter().filter(known).count();
        if versions.len() > 1 && unknown > 1 {
            faults.push(format!("{name} is there in the versions {}", versions.join(" and ")));
        }
    }
    let there =
        |known: &String| packages.iter().any(|Locked { name, version, .. }| *known == format!("{name}@{version}"));
    faults.extend(
        policy.duplicates.iter().filter(|known| !there(known)).map(|known| format!("{known} is not there any more")),
    );
    faults
}

/// All crates of the workspace, with their licences.
fn read(paths: &Paths) -> Result<(Vec<Locked>, Licences)> {
    let lock = fs::read_to_string(paths.root.join("Cargo.lock")).context("Cargo.lock can't be read")?;
    Ok((locked(&lock), licences(paths, "")?))
}

/// Holds the crates against the policy.
///
/// # Errors
/// Says what is not as it should be.
pub fn check(paths: &Paths) -> Result<()> {
    let text = fs::read_to_string(paths.root.join(".cargo/deny.toml")).context("the policy can't be read")?;
    let (packages, of_packages) = read(paths)?;
    let mut faults = faults(&packages, &of_packages, &policy(&text));
    // Those that are locked by themselves: for scripts, interpreters, and fuzzing.
    for lock in ["sample-scripts/Cargo.lock", "guest-sdk/typescript/Cargo.lock", "tests/fuzz/Cargo.lock"] {
        let text = fs::read_to_string(paths.root.join(lock)).with_context(|| format!("{lock} can't be read"))?;
        let strange = |package: &&Locked| package.source.as_deref().is_some_and(|from| from != REGISTRY);
        let packages = locked(&text);
        faults.extend(
            packages.iter().filter(strange).map(|package| format!("{lock}: {} is of no registry", package.name)),
        );
    }
    // What is in the program beside the workspace.
    let allowed = policy(&text).licences;
    let inside = licences(paths, "guest-sdk/typescript")?;
    let refused = inside.iter().filter(|(_, licence)| !licence.is_empty() && !is_allowed(licence, &allowed));
    faults.extend(refused.map(|((name, _), licence)| format!("{name}, of an interpreter, has the licence {licence}")));
    if faults.is_empty() { Ok(()) } else { bail!("not as .cargo/deny.toml says:\n{}", faults.join("\n")) }
}

/// Prints the SBOM, in CycloneDX's JSON.
pub fn sbom(paths: &Paths) -> Result<ExitCode> {
    let (packages, licences) = read(paths)?;
    print!("{}", bill(&packages, &licences));
    Ok(ExitCode::SUCCESS)
}

/// A text as JSON has it; names, versions and licences have no characters that need more.
fn json(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn bill(packages: &[Locked], licences: &Licences) -> String {
    let reference = |package: &Locked| format!("pkg:cargo/{}@{}", package.name, package.version);
    let find = |need: &String| {
        let mut words = need.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        packages.iter().find(|other| other.name == name && version.is_none_or(|version| other.version == version))
    };
    let (mut components, mut needs) = (Vec::new(), Vec::new());
    for package in packages {
        let Locked { name, version, checksum, .. } = package;
        let id = json(&reference(package));
        let mut component = format!(
            "{{\"type\":\"library\",\"bom-ref\":{id},\"name\":{},\"version\":{},\"purl\":{id}",
            json(name),
            json(version)
        );
        if let Some(licence) = licences.get(&(name.clone(), version.clone())) {
            let _ = write!(component, ",\"licenses\":[{{\"expression\":{}}}]", json(&licence.replace('/', " OR ")));
        }
        if let Some(checksum) = checksum {
            let _ = write!(component, ",\"hashes\":[{{\"alg\":\"SHA-256\",\"content\":{}}}]", json(checksum));
        }
        components.push(component + "}");
        let on: Vec<String> = package.needs.iter().filter_map(find).map(|other| json(&reference(other))).collect();
        needs.push(format!("{{\"ref\":{id},\"dependsOn\":[{}]}}", on.join(",")));
    }
    format!(
        "{{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"version\":1,\n\"components\":[\n{}\n],\n\"dependencies\":[\n{}\n]}}\n",
        components.join(",\n"),
        needs.join(",\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> Paths {
        Paths::from_env().expect("a repository")
    }

    #[test]
    fn every_crate_comes_from_the_registry_with_a_licence_that_is_allowed_and_once() {
        let (packages, licences) = read(&paths()).expect("the crates");
        assert!(packages.len() > 300 && licences.len() > 300, "{} and {}", packages.len(), licences.len());
        check(&paths()).expect("as the policy says");
    }

    #[test]
    fn what_the_policy_does_not_allow_is_found() {
        let policy = Policy { licences: ["MIT".to_owned()].into(), duplicates: ["old@1.0.0".to_owned()].into() };
        let of = |name: &str, version: &str, source: Option<&str>| Locked {
            name: name.to_owned(),
            version: version.to_owned(),
            source: source.map(str::to_owned),
            checksum: Some("0".to_owned()),
            needs: Vec::new(),
        };
        let packages = [
            of("git", "1.0.0", Some("git+https://example.org/x")),
            of("twice", "1.0.0", Some(REGISTRY)),
            of("twice", "2.0.0", Some(REGISTRY)),
            of("own", "1.0.0", None),
        ];
        let licences = [(("own".to_owned(), "1.0.0".to_owned()), "GPL-3.0".to_owned())].into();
        let found = faults(&packages, &licences, &policy).join("\n");
        for part in ["git 1.0.0 comes from", "\"GPL-3.0\"", "twice is there in the versions", "old@1.0.0 is not there"]
        {
            assert!(found.contains(part), "{found}");
        }
    }

    #[test]
    fn expressions_of_licences_are_read_as_they_are_meant() {
        let allowed: BTreeSet<String> = ["MIT", "Apache-2.0 WITH LLVM-exception", "ISC"].map(str::to_owned).into();
        for (licence, fits) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0 OR MIT", true),
            ("MIT AND GPL-3.0", false),
            ("MIT AND ISC", true),
            ("(MIT OR GPL-3.0) AND ISC", true),
            ("(MIT OR ISC) AND GPL-3.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("(MIT", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(licence, &allowed), fits, "{licence:?}");
        }
    }

    #[test]
    fn the_bill_of_materials_names_every_crate_with_its_licence_digest_and_needs() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"s\"\nchecksum = \"ab\"\ndependencies = [\n \"b 2.0.0\",\n]\n\n[[package]]\nname = \"b\"\nversion = \"2.0.0\"\n";
        let licences = [(("a".to_owned(), "1.0.0".to_owned()), "MIT/ISC".to_owned())].into();
        let bill = bill(&locked(lock), &licences);
        for part in [
            r#""bomFormat":"CycloneDX""#,
            r#""purl":"pkg:cargo/a@1.0.0","licenses":[{"expression":"MIT OR ISC"}],"hashes":[{"alg":"SHA-256","content":"ab"}]"#,
            r#"{"ref":"pkg:cargo/a@1.0.0","dependsOn":["pkg:cargo/b@2.0.0"]}"#,
        ] {
            assert!(bill.contains(part), "{bill}");
        }
    }
}
