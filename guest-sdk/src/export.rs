//! What the [`script!`](crate::script) macro exports.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write as _;

use crate::declare::{complete, declare};
use crate::host::jobs;
use crate::job::common::RefineFn;
use crate::job::{ActionFn, Run};
use crate::{Build, Context, IntoJobs, Job, JobRef, Refine, Result, anyhow, bail};

thread_local! {
    /// The closures of the script, from `define` until `act` or `refine` takes one.
    static CLOSURES: RefCell<Closures> = const { RefCell::new(Closures::new()) };
}

/// The closures of the script, by job or handler.
struct Closures {
    act: BTreeMap<String, ActionFn>,
    refine: BTreeMap<String, (RefineFn, Refine)>,
}

impl Closures {
    const fn new() -> Self {
        Self { act: BTreeMap::new(), refine: BTreeMap::new() }
    }
}

/// Exports a function `fn(&Build) -> impl IntoJobs` as the script.
///
/// Compiled for anything but WebAssembly, it exports nothing, so that a script's crate can have [tests](crate::testing).
#[macro_export]
macro_rules! script {
    ($function:path) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Script;

            impl $crate::__bindings::Guest for Script {
                fn define() -> ::core::result::Result<(), ::std::string::String> {
                    $crate::__define($function)
                }

                fn act(job: ::std::string::String) -> ::core::result::Result<(), ::std::string::String> {
                    $crate::__act(&job)
                }

                fn refine(
                    job: &$crate::__bindings::Job,
                    id: ::std::string::String,
                ) -> ::core::result::Result<(), ::std::string::String> {
                    $crate::__refine(job, &id)
                }
            }

    $crate::__bindings::export!(Script with_types_in $crate::__bindings);
        };

        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() -> ::core::result::Result<(), ::std::string::String> = || $crate::__define($function);
    };
}

#[doc(hidden)]
#[allow(missing_docs)]
pub fn __define<J: IntoJobs>(script: impl FnOnce(&'static Build) -> J) -> Result<(), String> {
    // `'static`, because an `impl IntoJobs` in a return type captures the argument's lifetime. It is made once in an instance.
    let build: &'static Build = Box::leak(Box::new(Build::new()));
    #[cfg(target_arch = "wasm32")]
    crate::process::prepare();
    ended(define(script(build)))
}

/// What an export returns. What was printed without an end of the line is still in the standard library's buffer, which nobody
/// else empties: an instance is never told that it ends.
fn ended(result: Result<()>) -> Result<(), String> {
    // Nobody is there to be told when this fails.
    let _ = std::io::stdout().flush();
    result.map_err(|error| format!("{error:#}"))
}

fn define(jobs: impl IntoJobs) -> Result<()> {
    let mut closures = Closures::new();
    let mut handlers = Vec::new();
    for job in jobs.into_jobs()? {
        let _ = declare(&job);
        let id = job.id().to_owned();
        if let Some(refine) = &job.common().refine {
            closures.refine.insert(id.clone(), (refine.clone(), Refine::new(&job)));
        }
        match job {
            Job::Action(action) => match action.run {
                Run::Closure(run) => drop(closures.act.insert(id, run)),
                Run::Handler(run) => handlers.push((id, run)),
                Run::Call { .. } => {}
            },
            Job::Container(_) => {}
        }
    }
    for (name, run) in handlers {
        if closures.act.insert(name.clone(), run).is_some() {
            bail!("the handler {name:?} has the name of another handler or action job; give it a name of its own");
        }
    }
    CLOSURES.set(closures);
    Ok(())
}

#[doc(hidden)]
#[allow(missing_docs)]
pub fn __act(job: &str) -> Result<(), String> {
    let run = CLOSURES.with_borrow_mut(|closures| closures.act.remove(job));
    let run = run.ok_or_else(|| format!("the script has no action job or handler {job:?}"))?;
    ended(run(&Context::new()))
}

#[doc(hidden)]
#[allow(missing_docs)]
pub fn __refine(job: &jobs::Job, id: &str) -> Result<(), String> {
    ended(refine(job, id))
}

fn refine(job: &jobs::Job, id: &str) -> Result<()> {
    let (RefineFn(run), mut refined) = CLOSURES
        .with_borrow_mut(|closures| closures.refine.remove(id))
        .ok_or_else(|| anyhow!("the script has no closure that refines the job {id:?}"))?;
    run(&mut refined, &Context::new())?;
    complete(job, &refined.said());
    Ok(())
}
