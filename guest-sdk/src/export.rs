//! What the [`script!`](crate::script) macro exports.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::declare::declare;
use crate::job::ActionFn;
use crate::{Build, Context, IntoJobs};

thread_local! {
    /// The closures of the action jobs, from `define` until `act` takes one.
    static ACTIONS: RefCell<BTreeMap<String, ActionFn>> = const { RefCell::new(BTreeMap::new()) };
}

/// Exports a function `fn(&Build) -> impl IntoJobs` as the script.
#[macro_export]
macro_rules! script {
    ($function:path) => {
        const _: () = {
            struct Script;

            impl $crate::__bindings::Guest for Script {
                fn define() -> ::core::result::Result<(), ::std::string::String> {
                    $crate::__define($function)
                }

                fn act(job: ::std::string::String) -> ::core::result::Result<(), ::std::string::String> {
                    $crate::__act(&job)
                }
            }

    $crate::__bindings::export!(Script with_types_in $crate::__bindings);
        };
    };
}

#[doc(hidden)]
#[allow(missing_docs)]
pub fn __define<J: IntoJobs>(script: impl FnOnce(&'static Build) -> J) -> Result<(), String> {
    // `'static`, because an `impl IntoJobs` in a return type captures the argument's lifetime.
    static BUILD: Build = Build::new();
    let jobs = script(&BUILD).into_jobs().map_err(|error| format!("{error:#}"))?;
    let actions = jobs.into_iter().filter_map(declare).collect();
    ACTIONS.set(actions);
    Ok(())
}

#[doc(hidden)]
#[allow(missing_docs)]
pub fn __act(job: &str) -> Result<(), String> {
    let run = ACTIONS
        .with_borrow_mut(|actions| actions.remove(job))
        .ok_or_else(|| format!("the script has no action job {job:?}"))?;
    run(&Context::new()).map_err(|error| format!("{error:#}"))
}
