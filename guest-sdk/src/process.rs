//! How a script's program ends, when it does not return.

use std::io::Write as _;

use crate::__bindings::monkeyci::script::process;

/// Prints what a panic finds in the buffer of stdout before its message.
pub(crate) fn prepare() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let _ = std::io::stdout().flush();
        told(panic);
    }));
}

/// The C library's: the last thing that `exit` calls. The one that it would call knows only whether the status is 0, so the host
/// is told before.
// SAFETY: it has the type that the C standard gives it, and never returns.
#[unsafe(no_mangle)]
extern "C" fn _Exit(status: i32) -> ! {
    process::exit_status(status);
    core::arch::wasm32::unreachable()
}
