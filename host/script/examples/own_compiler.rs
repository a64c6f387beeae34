//! A program that loads a script and has it compiled by a limited process, which is the same program started once more.
//!
//! `cargo run --example own_compiler -- SCRIPT.WASM [CACHE]`

use std::error::Error;
use std::path::PathBuf;

use monkeyci_script::{Compiler, Runtime, RuntimeOptions, compile_if_child};

fn main() -> Result<(), Box<dyn Error>> {
    // First of all: in the process that compiles, this does not return.
    compile_if_child();

    let mut arguments = std::env::args_os().skip(1);
    let script = arguments.next().ok_or("name a script: own_compiler SCRIPT.WASM [CACHE]")?;
    let options = RuntimeOptions { cache_dir: arguments.next().map(PathBuf::from), ..RuntimeOptions::default() };
    let runtime = Runtime::new(options)?.with_compiler(Compiler::this_program());
    let script = runtime.load(&std::fs::read(script)?)?;
    println!("{} ({})", script.digest(), if script.cached() { "from the cache" } else { "compiled" });
    Ok(())
}
