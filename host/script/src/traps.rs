//! Why a script trapped, in words.

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::error::ScriptError;
use crate::host::NotKnownYet;
use crate::instance::Declared;
use crate::limits::Reached;
use crate::memory::Short;
use crate::store::State;
use crate::tape::Divergence;

/// In the words of wasmtime, whose type is private: a call of the guest brings more bytes than it may.
const TOO_MUCH_AT_ONCE: &str = "fuel allocated for hostcalls";
/// In its words too: more instances, memories or tables than a component may have, on a machine without a pool.
const TOO_MANY: &str = "resource limit exceeded";

/// And: more handles than a component may have.
const NO_HANDLES: &str = "has no free keys";

/// Bytes in words.
fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

pub(crate) fn used_up(short: Short) -> ScriptError {
    ScriptError::UsedUp(short.to_string())
}

/// Finds the words for a trap, and adds what the host has refused last: that is mostly why.
pub(crate) fn explain(error: &wasmtime::Error, state: &State) -> ScriptError {
    match (cause(error, state), &state.last_error) {
        (ScriptError::Trapped(trap), Some(last)) if !trap.contains(last) => {
            ScriptError::Trapped(format!("{trap}; the last error that a call to the host had returned: {last}"))
        }
        (cause, _) => cause,
    }
}

/// The limit that was reached, the panic's message, or what wasmtime says.
fn cause(error: &wasmtime::Error, state: &State) -> ScriptError {
    if let Some(Declared(what)) = error.downcast_ref::<Declared>() {
        return ScriptError::Diverged(what.clone());
    }
    if let Some(NotKnownYet { job, what }) = error.downcast_ref::<NotKnownYet>() {
        return ScriptError::NotKnownYet { job: job.clone(), what: what.clone() };
    }
    if let Some(divergence) = error.downcast_ref::<Divergence>() {
        if !state.acts() {
            return ScriptError::Diverged(divergence.to_string());
        }
        let Divergence { call, recorded, now } = divergence.clone();
        return ScriptError::ActionDiverged { call, recorded, now };
    }
    let unreachable = matches!(error.downcast_ref::<Trap>(), Some(Trap::UnreachableCodeReached));
    let said = state.exit_status.filter(|_| unreachable);
    // WASI tells 1 of whatever is not 0.
    if let Some(status) = said.or_else(|| error.downcast_ref::<I32Exit>().map(|exit| exit.0)) {
        return ScriptError::Exited(status);
    }
    let trap = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    match &state.meter.reached {
        Some(Reached::Own(reached)) => return ScriptError::Trapped(format!("it reached {reached} ({trap})")),
        Some(Reached::Memory(short)) => return ScriptError::UsedUp(format!("{short} ({trap})")),
        Some(Reached::UsedUp(limit)) => return ScriptError::UsedUp(limit.clone()),
        None => {}
    }
    if trap.contains(TOO_MUCH_AT_ONCE) {
        return ScriptError::Trapped(format!(
            "one of its calls handed the host more than {} at once; hand large values on as files, in several calls",
            size(state.limits.call_bytes)
        ));
    }
    if trap.contains(NO_HANDLES) {
        let limit = state.limits.handles;
        return ScriptError::Trapped(format!("it reached its limit of {limit} handles ({trap}); let some go first"));
    }
    if trap.contains(TOO_MANY) {
        return ScriptError::Trapped(format!("the component needs more than a script may have: {trap}"));
    }
    if matches!(error.downcast_ref::<Trap>(), Some(Trap::MemoryOutOfBounds | Trap::StackOverflow)) {
        return ScriptError::Trapped(format!("{trap} (mostly: a function that calls itself too often)"));
    }
    let tail = state.log.tail();
    let panic = tail.rfind("panicked at ").map(|start| tail[start..].trim_end());
    ScriptError::Trapped(match panic {
        // The note on backtraces that Rust adds is no use here.
        Some(panic) => panic.split("\nnote: ").next().unwrap_or(panic).replace('\n', " "),
        None => trap,
    })
}

/// The function of the script's own that was running, if its names are in it: what is called in Rust has paths.
pub(crate) fn place(error: &wasmtime::Error) -> Option<String> {
    /// Crates that stand between a script and the host.
    const BETWEEN: [&str; 6] = ["monkeyci_sdk::", "wit_bindgen::", "core::", "std::", "alloc::", "script_bindings::"];
    let trace = error.downcast_ref::<WasmBacktrace>()?.to_string();
    let names = trace.lines().filter_map(|line| line.split_once('!').map(|(_, name)| name.trim()));
    let mut own = names.filter(|name| name.contains("::") && !BETWEEN.iter().any(|path| name.contains(path)));
    own.next().map(|name| name.rsplit_once("::h").map_or(name, |(name, _)| name).to_owned())
}
