//! The script runtime: loads a build script (a component), and runs its `define` and `act` under limits.
//!
//! A [`Runtime`] holds one wasmtime engine and the compile cache. [`Runtime::load`] makes a [`Script`] of a component's
//! bytes: compiled once (by a limited child process, if you like: [`Compiler`]), linked once, so that an instance costs microseconds. [`Script::define`] asks for the jobs and
//! records what the script was told ([`Transcript`]); [`Script::act`] runs one action job in a fresh instance, in which `define` is
//! first called again and told the same. What an action is told is recorded too ([`Keeper`]): another instance that is told the same comes
//! to the same point, in this process while the action waits, or in another one when its host has died ([`Recording`]), or where nothing is
//! done any more and only compared ([`Recorded`]). A script has no files, no environment, no arguments and no network: what it can do is
//! what the interfaces of `monkeyci:script` offer, and each of those calls goes through the build API's client.
#![deny(missing_docs)]

mod artifact;
mod bindings;
mod budget;
mod cache;
mod call;
mod clock;
mod compile;
mod error;
mod held;
mod host;
mod inspect;
mod instance;
mod keeper;
mod limits;
mod load;
mod log;
mod memory;
mod outside;
mod replay;
mod replaying;
mod runtime;
mod slots;
mod sources;
mod store;
mod surroundings;
mod tape;
mod timers;
mod transcript;
mod traps;
mod turns;
mod waiting;

pub use budget::limits;
pub use compile::{Compiler, compile_if_child};
pub use error::{LoadError, RuntimeError, ScriptError};
pub use inspect::{Inspection, Producer, inspect};
pub use instance::{Acted, Action, Definition, Refined};
pub use keeper::{Digests, Keeper, NotKept, Recording};
pub use limits::Limits;
pub use load::Script;
pub use outside::{CONTRACT_VERSION, RefusedImport};
pub use replay::{Recorded, Replayed};
pub use replaying::{Answers, Halt};
pub use runtime::{Runtime, RuntimeOptions};
pub use sources::{FOLDER, with_sources};
pub use store::Said;
pub use surroundings::Surroundings;
pub use tape::Divergence;
pub use transcript::Transcript;
