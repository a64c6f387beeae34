//! What can go wrong with a script.

use std::path::PathBuf;
use std::time::Duration;

use crate::outside::RefusedImport;

/// The runtime could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The compile cache's directory can't be used.
    #[error("the compile cache at {} can't be used: {source}", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// wasmtime could not be set up on this machine.
    #[error("the WebAssembly engine can't be set up: {0}")]
    Engine(String),
}

/// A component's bytes are no script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// More bytes than allowed.
    #[error("the component has {size} bytes, and {limit} are allowed")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not WebAssembly at all.
    #[error("this is not WebAssembly: it does not start with the bytes \"\\0asm\"")]
    NotWasm,
    /// A core module.
    #[error(
        "this is a core module, and a script has to be a component: build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// Broken, or using features that scripts may not use.
    #[error("the component is broken, or uses features that scripts may not use: {0}")]
    Invalid(String),
    /// Compiling it takes more memory than allowed.
    #[error(
        "compiling the component takes more than {} MiB of memory, and no more is allowed: build the script with optimisation (`--release`), or leave out what makes single functions huge",
        limit >> 20
    )]
    CompileMemory {
        /// The limit in bytes: `Limits::compile_memory_bytes`.
        limit: usize,
    },
    /// Compiling it takes longer than allowed.
    #[error(
        "compiling the component takes longer than {} s, and no longer is allowed: build the script with optimisation (`--release`), or leave out what makes single functions huge",
        .0.as_secs_f64()
    )]
    CompileTime(Duration),
    /// The compiler failed: it was killed, say, or could not be started.
    #[error("the script could not be compiled, for a reason that is not its own: the compiler failed: {0}")]
    Compiler(String),
    /// It lacks an export.
    #[error(
        "the component does not export the function `{0}`, so it is not a build script; a script in Rust exports its function \
         with the line `monkeyci_sdk::script!(script);`, and wit/world.wit says what one in another language exports"
    )]
    NoExport(&'static str),
    /// It imports what no script is given.
    #[error("the script can't run here: {}", list(.0))]
    Refused(Vec<RefusedImport>),
    /// It needs more of what instances share than a script may have.
    #[error("the component needs more than a script may have: {0}")]
    TooMuch(String),
    /// It imports what the host does not offer, or has an import or export of the wrong type.
    #[error("the component does not fit the host: {0}")]
    Unfit(String),
}

impl LoadError {
    /// Whether the component is at fault, and not the host.
    pub fn is_script(&self) -> bool {
        !matches!(self, Self::Compiler(_))
    }

    pub(crate) fn compiler(reason: impl ToString) -> Self {
        Self::Compiler(reason.to_string())
    }
}

/// The beginning of a text, of at most so many bytes.
pub(crate) fn beginning(text: &str, most: usize) -> String {
    match text.floor_char_boundary(most) {
        end if end < text.len() => format!("{}…", &text[..end]),
        _ => text.to_owned(),
    }
}

/// The first few, each in its own words.
fn list(refused: &[RefusedImport]) -> String {
    const NAMED: usize = 5;
    let named: Vec<String> = refused.iter().take(NAMED).map(ToString::to_string).collect();
    let more = match refused.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("{}{more}", named.join("; "))
}

/// A script did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It said itself that it failed.
    #[error("{0}")]
    Failed(String),
    /// It trapped: a panic, a limit, a breach of the contract.
    #[error("the script trapped: {0}")]
    Trapped(String),
    /// What all instances of a build may take together is used up.
    #[error("the script used up {0}")]
    UsedUp(String),
    /// Its program ended by itself, with this exit status.
    #[error("the script ended itself with exit status {0}; a script returns, with an error when it has failed")]
    Exited(i32),
    /// It took too long.
    #[error("the script did not come to an end within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// It declared other jobs, or made other calls, when `define` ran again.
    #[error("the script's `define` did something else when it was run again: {0}; it has to do the same each time")]
    Diverged(String),
    /// It has asked about a job what nobody knows before the job has run: only where a build is planned.
    #[error("it asks about {job} what is not known before: {what}")]
    NotKnownYet {
        /// The job.
        job: String,
        /// What of it.
        what: String,
    },
    /// What an action was told before is not of the right form.
    #[error("what the action was told before can't be read: {0}")]
    Unreadable(String),
    /// An action was run up to the same point again, in another process or since its memory was wanted while it waited, and made another
    /// call, or was answered otherwise.
    #[error("the action did something else when it was run again: call {call} was {recorded}, and is {now} now")]
    ActionDiverged {
        /// The number of the call, from 1.
        call: u64,
        /// The call that was recorded.
        recorded: String,
        /// What was done in its place.
        now: String,
    },
}
