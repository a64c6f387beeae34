//! The scripts that `monkeyci-host import` makes of the files in `workflows`, as they stand beside those: the parameter `file` says which
//! one is checked. That they are what the command makes is a test of the command's own.
#![deny(warnings)]

use monkeyci_sdk::prelude::*;

include!(concat!(env!("OUT_DIR"), "/scripts.rs"));

fn script(build: &Build) -> Result<Vec<ContainerJob>> {
    imported(&build.param_or("file", "")?, build)
}

monkeyci_sdk::script!(script);
