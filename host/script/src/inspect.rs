//! Looks into a component without running it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload, ProducersSectionReader, Validator, WasmFeatures};

use crate::cache::hex;
use crate::error::LoadError;
use crate::limits::Limits;
use crate::load::check_form;
use crate::outside::{Outside, RefusedImport};
use crate::sources::split;

/// What a component says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Its size in bytes.
    pub size: usize,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// The files that an interpreter of the script evaluates, by their paths in `.monkeyci`, with their sizes; none of a script that is
    /// compiled itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, usize>,
    /// What it imports: its permissions.
    pub imports: Vec<String>,
    /// The imports that a host of this version refuses.
    pub refused: Vec<RefusedImport>,
    /// What it exports.
    pub exports: Vec<String>,
    /// The languages and tools that made it, by its own account (the `producers` sections).
    pub producers: Vec<Producer>,
}

/// One entry of a `producers` section.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// Its name: `Rust`, say.
    pub name: String,
    /// Its version; may be empty.
    pub version: String,
}

/// Reads a component's imports, exports and producers.
///
/// # Errors
/// When the bytes are no component.
pub fn inspect(bytes: &[u8], limits: &Limits) -> Result<Inspection, LoadError> {
    check_form(bytes, limits)?;
    let invalid = |error: wasmparser::BinaryReaderError| LoadError::Invalid(error.to_string());
    Validator::new_with_features(WasmFeatures::default()).validate_all(bytes).map_err(invalid)?;

    let (_, sources) = split(bytes)?;
    let outside = Outside::of(bytes).map_err(invalid)?;
    let mut producers = BTreeSet::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::CustomSection(section) if section.name() == "producers" => {
                let reader = wasmparser::BinaryReader::new(section.data(), section.data_offset());
                for field in ProducersSectionReader::new(reader).map_err(invalid)? {
                    let field = field.map_err(invalid)?;
                    for value in field.values {
                        let value = value.map_err(invalid)?;
                        producers.insert(Producer {
                            field: field.name.to_owned(),
                            name: value.name.to_owned(),
                            version: value.version.to_owned(),
                        });
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Inspection {
        size: bytes.len(),
        digest: hex(&Sha256::digest(bytes)),
        sources: sources.iter().flat_map(|all| all.files().map(|(path, size)| (path.to_owned(), size))).collect(),
        refused: outside.refused(),
        imports: outside.imports.into_iter().map(|import| import.name).collect(),
        exports: outside.exports,
        producers: producers.into_iter().collect(),
    })
}
