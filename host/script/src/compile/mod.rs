//! Compiling: from a component's bytes to machine code, in this process or in a limited one.

mod child;
mod role;

use std::io::{PipeReader, Write};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use wasmtime::Engine;

use crate::artifact::Artifact;
use crate::error::LoadError;
use crate::limits::Limits;

pub(crate) use child::{LAST_WORDS, THREADS};
pub use role::compile_if_child;

/// Where scripts are compiled that are not in the compile cache.
///
/// Compiling takes far more memory than running, and a hostile component can be made to take as much as there is. In a
/// child process it has limits ([`Limits::compile_memory_bytes`], [`Limits::compile_time`]), it can be stopped, and a
/// compiler that crashes takes nobody with it. (It is no sandbox: what the compiler makes is what the host runs, wherever
/// it was made.) The child is a program that calls [`compile_if_child`] first of all; usually
/// that is your own program, started once more:
///
/// ```no_run
/// use monkeyci_script::{Compiler, Runtime, RuntimeOptions, compile_if_child};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     // Before anything else: in the child this does not return.
///     compile_if_child();
///     let runtime = Runtime::new(RuntimeOptions::default())?.with_compiler(Compiler::this_program());
///     let script = runtime.load(&std::fs::read("script.wasm")?)?;
///     println!("{}", script.digest());
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compiler {
    /// In this process: nothing has to be set up, and nothing but the component's size is limited.
    #[default]
    InProcess,
    /// In a process of its own, limited, that runs this program (an absolute path).
    Child(PathBuf),
}

/// What the child is told, as its second argument.
#[derive(Serialize, Deserialize)]
struct Order {
    /// Who waits for it.
    parent: i32,
    limits: Limits,
}

/// The child's first argument. A program that doesn't know it will usually refuse it, and not do whatever else it does.
const ROLE: &str = "monkeyci-compile-script";
/// The child's exit code when the component is broken; why is on stderr.
const BROKEN: i32 = 3;
/// The child's exit code when it got no more memory.
const MEMORY: i32 = 4;

impl Compiler {
    /// A child process that runs this program: its `main` has to call [`compile_if_child`] first of all.
    pub fn this_program() -> Self {
        // Not the path of the file: that may have been replaced by another version since this process started.
        Self::Child("/proc/self/exe".into())
    }

    /// What this process can do: a child process, if its `main` has called [`compile_if_child`]; and itself otherwise.
    pub fn of_this_process() -> Self {
        if role::is_played() { Self::this_program() } else { Self::InProcess }
    }

    /// Compiles. Stops a child when the other end of `stop` is closed.
    ///
    /// # Errors
    /// When the component is broken, takes more than it may, or could not be compiled for a reason that is not its own.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        limits: &Limits,
        bytes: &[u8],
        stop: Option<&PipeReader>,
    ) -> Result<Artifact, LoadError> {
        // A file without a name: whatever ends this process or the child, nothing is left behind.
        let unnamed = |name: &str| {
            let file = memfd_create(name, MemfdFlags::CLOEXEC).map_err(LoadError::compiler)?;
            Ok(std::fs::File::from(file))
        };
        let mut artifact = unnamed("machine-code")?;
        match self {
            Self::InProcess => {
                let code = engine.precompile_component(bytes).map_err(broken)?;
                artifact.write_all(&code).map_err(LoadError::compiler)?;
            }
            Self::Child(program) => {
                let files =
                    child::Files { component: unnamed("component")?, artifact: &artifact, said: unnamed("said")? };
                child::compile(program, limits, bytes, files, stop)?;
            }
        }
        Ok(Artifact::from(artifact))
    }
}

/// What wasmtime says of a component that it does not compile, with the place.
fn broken(error: wasmtime::Error) -> LoadError {
    LoadError::Invalid(format!("{error:#}"))
}
