//! From a component's bytes to something that can be instantiated.

use std::io::PipeReader;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::bindings::{ScriptIndices, ScriptPre};
use crate::cache::hex;
use crate::error::LoadError;
use crate::limits::Limits;
use crate::memory::BuildMemory;
use crate::outside::{CONTRACT_VERSION, Outside};
use crate::runtime::Runtime;
use crate::sources::{Sources, split};
use crate::store::State;

/// A loaded script: compiled and linked. Cheap to clone.
///
/// Its instances, and those of its clones, share the memory that a build may have: of each build there is one that was loaded, or made
/// [for another build](Self::for_another_build).
#[derive(Clone)]
pub struct Script {
    pub(crate) runtime: Runtime,
    pub(crate) pre: Arc<ScriptPre<State>>,
    pub(crate) indices: Arc<ScriptIndices>,
    pub(crate) refines: bool,
    /// Of all instances of this script, and of its clones.
    pub(crate) memory: BuildMemory,
    /// How much of it an instance needs to begin with.
    pub(crate) needs: usize,
    imports: Arc<[String]>,
    /// What the script is made of, if it is an interpreter's.
    pub(crate) sources: Option<Arc<Sources>>,
    digest: Arc<str>,
    size: usize,
    cached: bool,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("digest", &self.digest).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Runtime {
    /// Loads a script: from the compile cache if it is there, by compiling it otherwise. That takes some 100 ms, for which
    /// this thread waits.
    ///
    /// # Errors
    /// When the bytes are no script that this host can run, or the compiler fails.
    pub fn load(&self, bytes: &[u8]) -> Result<Script, LoadError> {
        self.load_until(bytes, None)
    }

    /// Loads a script as [`load`](Self::load) does, on one of tokio's threads for what blocks. When the future is dropped,
    /// a child process that compiles is killed.
    ///
    /// # Errors
    /// As `load`.
    pub async fn load_in_background(&self, bytes: Bytes) -> Result<Script, LoadError> {
        if let Some(script) = self.known(&bytes) {
            return Ok(script);
        }
        // The end that is held here closes when this future is dropped, and the thread sees that.
        let (stop, held) = std::io::pipe().map_err(LoadError::compiler)?;
        let runtime = self.clone();
        let loaded = tokio::task::spawn_blocking(move || runtime.load_until(&bytes, Some(&stop))).await;
        drop(held);
        loaded.unwrap_or_else(|error| Err(LoadError::compiler(error)))
    }

    /// The script that is loaded already, for one more build.
    fn known(&self, bytes: &Bytes) -> Option<Script> {
        let (known, script) = &**self.loaded.as_ref()?;
        let is_same = known.as_ptr() == bytes.as_ptr() && known.len() == bytes.len();
        let is_it = is_same || known == bytes;
        is_it.then(|| Script { runtime: self.clone(), memory: self.memory.build(), cached: true, ..script.clone() })
    }

    fn load_until(&self, bytes: &[u8], stop: Option<&PipeReader>) -> Result<Script, LoadError> {
        check_form(bytes, &self.limits)?;
        let (code, sources) = split(bytes)?;
        let outside = check_outside(code)?;
        let digest = hex(&Sha256::digest(bytes));
        // What is compiled is the same for all scripts of an interpreter.
        let compiled = match sources {
            Some(_) => hex(&Sha256::digest(code)),
            None => digest.clone(),
        };
        let found = || self.cache.as_ref().and_then(|cache| cache.get(&self.engine, &compiled));
        let (component, cached) = match found() {
            Some(component) => (component, true),
            None => {
                let _turn = self.turns.take();
                // Somebody may have compiled it while this waited for its turn.
                match found() {
                    Some(component) => (component, true),
                    None => (self.compile(code, &compiled, stop)?, false),
                }
            }
        };
        let unfit = |error: wasmtime::Error| {
            LoadError::Unfit(match outside.as_ref().and_then(Outside::newer_contract) {
                Some(version) => format!(
                    "the script was built against version {version} of the contract, and this host speaks version \
                     {CONTRACT_VERSION}: {error:#}"
                ),
                None => format!("{error:#}"),
            })
        };
        let pre = self.linker.instantiate_pre(&component).and_then(ScriptPre::new).map_err(unfit)?;
        let indices = ScriptIndices::new(pre.instance_pre()).map_err(unfit)?;
        Ok(Script {
            runtime: self.clone(),
            pre: Arc::new(pre),
            indices: Arc::new(indices),
            memory: self.memory.build(),
            needs: needs(&component),
            refines: component.get_export_index(None, "refine").is_some(),
            imports: outside.into_iter().flat_map(|outside| outside.imports).map(|import| import.name).collect(),
            sources: sources.map(Arc::new),
            digest: digest.into(),
            size: bytes.len(),
            cached,
        })
    }

    /// Compiles a script, and puts what comes of it into the cache.
    fn compile(&self, bytes: &[u8], digest: &str, stop: Option<&PipeReader>) -> Result<Component, LoadError> {
        let mut artifact = self.compiler.compile(&self.engine, &self.limits, bytes, stop)?;
        // SAFETY: this host's own compiler wrote it and is done, and it has no name by which others could reach it.
        let component = unsafe { artifact.load(&self.engine) }.map_err(|error| {
            if let Some(limit) = limit_of_the_pool(&error, &self.limits) {
                return LoadError::TooMuch(limit);
            }
            let ask = "is it of this version, and does its `main` begin with `compile_if_child`?";
            LoadError::compiler(format!("what it made can't be loaded ({ask}): {error:#}"))
        })?;
        if let Some(cache) = &self.cache {
            cache.put(digest, &mut artifact);
        }
        Ok(component)
    }
}

impl Script {
    /// The same script for another build, which has its own memory.
    pub fn for_another_build(&self) -> Self {
        Self { memory: self.runtime.memory.build(), ..self.clone() }
    }

    /// The names of what it imports, `monkeyci:script/jobs@0.1.0` say: its permissions.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The SHA-256 of the script's bytes, in hexadecimal: of the component, with the sources behind it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The component's size in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether the compiled form came from the cache.
    pub fn cached(&self) -> bool {
        self.cached
    }
}

/// Looks at what the component asks for and offers, so that nobody waits for the compiler to hear that it can't run. None where it
/// can't be read: then the compiler says why.
fn check_outside(bytes: &[u8]) -> Result<Option<Outside>, LoadError> {
    let Ok(outside) = Outside::of(bytes) else { return Ok(None) };
    let refused = outside.refused();
    if !refused.is_empty() {
        return Err(LoadError::Refused(refused));
    }
    for export in ["define", "act"] {
        if !outside.exports.iter().any(|name| name == export) {
            return Err(LoadError::NoExport(export));
        }
    }
    Ok(Some(outside))
}

/// A page of linear memory, in bytes.
const PAGE: u64 = 64 << 10;

/// How much linear memory an instance has when it begins, or somewhat more.
fn needs(component: &Component) -> usize {
    // None where it makes instances of what it imports, which no script can.
    let required = component.resources_required();
    let bytes = required.map_or(0, |required| {
        let pages = required.max_initial_memory_size.unwrap_or(0).saturating_mul(u64::from(required.num_memories));
        pages.saturating_mul(PAGE)
    });
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The limit of the pool of instances that a component does not fit into, in the words of wasmtime, which has no type for it.
fn limit_of_the_pool(error: &wasmtime::Error, limits: &Limits) -> Option<String> {
    let mut told = error.chain().map(ToString::to_string);
    let told =
        told.find(|text| text.contains("exceeds the") || text.contains("not supported in the pooling allocator"))?;
    Some(told.replace(&format!("{:#x} bytes", limits.memory_bytes), &format!("{} MiB", limits.memory_bytes >> 20)))
}

/// Looks at the first bytes, so that the usual mistakes get a message of their own.
pub(crate) fn check_form(bytes: &[u8], limits: &Limits) -> Result<(), LoadError> {
    if bytes.len() > limits.component_bytes {
        return Err(LoadError::TooLarge { size: bytes.len(), limit: limits.component_bytes });
    }
    // Magic number, then version and layer: https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md
    match bytes {
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::CoreModule),
        [b'\0', b'a', b's', b'm', ..] => Ok(()),
        _ => Err(LoadError::NotWasm),
    }
}
