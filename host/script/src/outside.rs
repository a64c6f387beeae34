//! What a component asks for and offers: read before it is compiled, so that the usual mistakes cost no time.

use serde::Serialize;
use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentType, ComponentTypeRef, InstanceTypeDeclaration,
    Parser, Payload,
};

/// The name of the contract's package.
const CONTRACT: &str = "monkeyci:script";
/// The version of the contract that this host speaks; a test compares it with `wit/`.
pub const CONTRACT_VERSION: &str = "0.1.1";
/// The interfaces of the contract; a test compares them with `wit/`.
const INTERFACES: [&str; 11] = [
    "artifacts",
    "build-info",
    "events",
    "files",
    "jobs",
    "params",
    "process",
    "results",
    "secrets",
    "types",
    "workspace",
];
/// The version of WASI whose standard library scripts get.
const WASI_VERSION: &str = "0.2.0";
/// What a standard library needs of it.
const WASI: [(&str, &[&str]); 6] = [
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stderr",
            "stdin",
            "stdout",
            "terminal-input",
            "terminal-output",
            "terminal-stderr",
            "terminal-stdin",
            "terminal-stdout",
        ],
    ),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", &["preopens", "types"]),
    ("wasi:io", &["error", "poll", "streams"]),
    ("wasi:random", &["insecure", "insecure-seed", "random"]),
    (
        "wasi:sockets",
        &["instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket"],
    ),
];

/// An import that no host of this version takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedImport {
    /// Its name: `wasi:http/types@0.2.0`, say.
    pub import: String,
    /// Why, and what to do.
    pub reason: String,
}

impl std::fmt::Display for RefusedImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it imports `{}`: {}", self.import, self.reason)
    }
}

/// The outside of a component.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    pub(crate) imports: Vec<Import>,
    pub(crate) exports: Vec<String>,
}

/// An import, but for those of types, which give nothing to whoever imports them.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) name: String,
    /// Whether nothing is asked for: an instance with nothing in it.
    empty: bool,
}

impl Outside {
    /// Reads what can be read without validating.
    ///
    /// # Errors
    /// When the bytes are no component.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut outside = Self::default();
        // The types by their index, of which only instances with nothing in them matter.
        let mut empty_types = Vec::new();
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                _ if depth > 0 => {}
                Payload::ComponentTypeSection(section) => {
                    for ty in section {
                        empty_types.push(match ty? {
                            ComponentType::Instance(declarations) => {
                                !declarations.iter().any(|it| matches!(it, InstanceTypeDeclaration::Export { .. }))
                            }
                            _ => false,
                        });
                    }
                }
                Payload::ComponentAliasSection(section) => {
                    for alias in section {
                        let kind = match alias? {
                            ComponentAlias::InstanceExport { kind, .. } => kind,
                            ComponentAlias::Outer { kind, .. } => {
                                if kind == wasmparser::ComponentOuterAliasKind::Type {
                                    empty_types.push(false);
                                }
                                continue;
                            }
                            ComponentAlias::CoreInstanceExport { .. } => continue,
                        };
                        if kind == ComponentExternalKind::Type {
                            empty_types.push(false);
                        }
                    }
                }
                Payload::ComponentImportSection(section) => {
                    for import in section {
                        let import = import?;
                        let empty = match import.ty {
                            ComponentTypeRef::Type(_) => {
                                empty_types.push(false);
                                continue;
                            }
                            ComponentTypeRef::Instance(ty) => empty_types.get(ty as usize).copied().unwrap_or_default(),
                            _ => false,
                        };
                        outside.imports.push(Import { name: import.name.name.to_owned(), empty });
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.kind == ComponentExternalKind::Type {
                            empty_types.push(false);
                        }
                        outside.exports.push(export.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(outside)
    }

    /// The imports that are refused, with the reasons.
    pub(crate) fn refused(&self) -> Vec<RefusedImport> {
        let asked = self.imports.iter().filter(|import| !import.empty);
        asked
            .filter_map(|Import { name, .. }| Some(RefusedImport { import: name.clone(), reason: refused(name)? }))
            .collect()
    }

    /// The version of the contract that the component was built against, where it is newer than ours.
    pub(crate) fn newer_contract(&self) -> Option<&str> {
        let versions = self.imports.iter().filter_map(|import| {
            let (package, _, version) = parts(&import.name)?;
            (package == CONTRACT).then_some(version?)
        });
        let newest = versions.max_by_key(|version| numbers(version))?;
        (numbers(newest) > numbers(CONTRACT_VERSION)).then_some(newest)
    }
}

/// Why an import is refused; none when it is not.
fn refused(name: &str) -> Option<String> {
    let offered = || {
        format!(
            "a script gets the interfaces of {CONTRACT} and what a standard library needs of WASI {WASI_VERSION}, and \
             nothing else"
        )
    };
    let Some((package, interface, Some(version))) = parts(name) else { return Some(offered()) };
    if package == CONTRACT {
        return if !compatible(version, CONTRACT_VERSION) {
            Some(format!(
                "the script was built against version {version} of the contract, and this host speaks version \
                 {CONTRACT_VERSION}; build it with an SDK of that version"
            ))
        } else if !INTERFACES.contains(&interface) {
            Some(format!(
                "version {CONTRACT_VERSION} of the contract, which this host speaks, has no such interface; the script was \
                 built against version {version}"
            ))
        } else {
            None
        };
    }
    let Some((_, interfaces)) = WASI.iter().find(|(known, _)| *known == package) else { return Some(offered()) };
    if !compatible(version, WASI_VERSION) {
        return Some(format!(
            "it is of version {version} of WASI, and scripts speak 0.2: build for a target such as wasm32-wasip2"
        ));
    }
    (!interfaces.contains(&interface)).then(offered)
}

/// Package, interface and version of a name such as `wasi:io/poll@0.2.6`.
fn parts(name: &str) -> Option<(&str, &str, Option<&str>)> {
    let (path, version) = name.split_once('@').map_or((name, None), |(path, version)| (path, Some(version)));
    let (package, interface) = path.split_once('/')?;
    Some((package, interface, version))
}

/// Whether a component that was built against `built` runs where `ours` is spoken, by the rules of semantic versions.
fn compatible(built: &str, ours: &str) -> bool {
    match (numbers(built), numbers(ours)) {
        (Some((0, built, _)), Some((0, ours, _))) => built == ours,
        (Some((built, ..)), Some((ours, ..))) => built == ours,
        _ => false,
    }
}

fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    // `-rc.1` and the like are no releases, but what they are called counts.
    let release = version.split(['-', '+']).next()?;
    let mut numbers = release.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_the_one_that_wit_has() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
        let mut interfaces = Vec::new();
        for entry in std::fs::read_dir(dir).expect("the contract") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
            assert!(text.contains(&format!("package {CONTRACT}@{CONTRACT_VERSION};")), "{text}");
            interfaces.extend(
                text.lines().filter_map(|line| line.strip_prefix("interface ")?.strip_suffix(" {").map(str::to_owned)),
            );
        }
        interfaces.sort();
        assert_eq!(interfaces, INTERFACES);
    }

    #[test]
    fn no_comment_of_the_contract_ends_those_that_are_made_of_it_in_other_languages() {
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).expect("the contract") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
            let ends = text.lines().find(|line| line.contains("*/"));
            assert_eq!(ends, None, "a glob in words, please");
        }
    }

    #[test]
    fn an_import_is_refused_with_the_reason_that_fits() {
        for fine in
            ["monkeyci:script/jobs@0.1.0", "monkeyci:script/jobs@0.1.9", "wasi:io/poll@0.2.6", "wasi:cli/exit@0.2.0"]
        {
            assert_eq!(refused(fine), None, "{fine}");
        }
        for (import, reason) in [
            (
                "monkeyci:script/jobs@0.2.0",
                "built against version 0.2.0 of the contract, and this host speaks version 0.1.1",
            ),
            ("monkeyci:script/jobs", "and nothing else"),
            ("monkeyci:script/vault@0.1.5", "has no such interface; the script was built against version 0.1.5"),
            ("wasi:http/types@0.2.0", "and nothing else"),
            ("wasi:clocks/timezone@0.2.0", "and nothing else"),
            ("wasi:cli/stdout@0.3.0", "of version 0.3.0 of WASI"),
            ("shell", "and nothing else"),
        ] {
            let found = refused(import).expect(import);
            assert!(found.contains(reason), "{import}: {found}");
        }
    }
}
