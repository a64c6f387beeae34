//! Runs build scripts in TypeScript and JavaScript: a component that reads `.monkeyci/build.ts` (or `.js`, `.mjs`) of the code that is
//! built, takes the types out, and evaluates it with QuickJS.
//!
//! It is an ordinary script to the host: it has the public script API and nothing else. What authors import as `monkeyci` is the façade
//! in `js/`, whose types are in `index.d.ts`.

#[path = "../../src/glob.rs"]
mod glob;
mod place;
mod resolve;
mod strip;

#[cfg(target_arch = "wasm32")]
mod engine;
#[cfg(target_arch = "wasm32")]
mod failure;
#[cfg(target_arch = "wasm32")]
mod host;
#[cfg(target_arch = "wasm32")]
mod modules;

#[cfg(target_arch = "wasm32")]
#[allow(missing_docs, clippy::all)]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "refining-script" });

    use crate::engine;

    struct Script;

    impl Guest for Script {
        fn define() -> Result<(), String> {
            engine::define()
        }

        fn act(job: String) -> Result<(), String> {
            engine::act(&job)
        }

        fn refine(job: &Job, id: String) -> Result<(), String> {
            engine::refine(job, &id)
        }
    }

    export!(Script);
}
