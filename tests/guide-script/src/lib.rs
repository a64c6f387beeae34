//! The examples of the README and the guide, as they stand there: the parameter `example` says which one is run.

use monkeyci_sdk::prelude::*;

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

fn script(build: &Build) -> Result<Vec<Job>> {
    example(&build.param_or("example", "")?, build)
}

monkeyci_sdk::script!(script);
