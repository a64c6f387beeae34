//! The host, as the SDK sees it: the bindings in a component; [a simulated one](crate::testing) everywhere else.
//!
//! Both have the same modules, types and functions, so nothing but this file has to choose.

#[cfg(target_arch = "wasm32")]
pub use crate::__bindings::monkeyci::script::{
    artifacts, build_info, events, files, jobs, params, results, secrets, types, workspace,
};
#[cfg(not(target_arch = "wasm32"))]
pub use crate::simulated::{artifacts, build_info, events, files, jobs, params, results, secrets, types, workspace};
