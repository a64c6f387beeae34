//! A script that makes any calls, in any order: it interprets a program of host calls, which the parameter `program` has.
//!
//! Tests of hostile scripts are such programs, a line for each call; a fuzz target makes up others. A line is the name of a call and what
//! it is given, with spaces between:
//!
//! ```text
//! action greedy
//! x 1000 label key# value
//! act greedy
//! try look-up nobody
//! output name 65537*v
//! ```
//!
//! What stands before the first `act JOB` is `define`; what follows it, until the next, is what that job does. `N*text` is the text N times,
//! `#` the number of the turn in a line that begins with `x N`. An error that a call returns ends the program with that error; after `try` it
//! is printed. `\n`, `\e` (escape), `\s` (space) and `\0` stand for what can't stand in a line, and `''` for an empty text. A line that is
//! no call does nothing.
#![cfg(target_arch = "wasm32")]

mod calls;
mod setters;
mod words;

use monkeyci_sdk::__bindings::{Guest, Job, monkeyci::script::params};

use crate::calls::Machine;
use crate::words::Line;

struct Script;

impl Guest for Script {
    fn define() -> Result<(), String> {
        run(None)
    }

    fn act(job: String) -> Result<(), String> {
        run(Some(&job))
    }

    fn refine(job: &Job, id: String) -> Result<(), String> {
        job.label("refined", &id);
        Ok(())
    }
}

/// Runs the part of the program that is for `define`, or for a job.
fn run(job: Option<&str>) -> Result<(), String> {
    let program = params::get("program").map_err(|error| calls::text(&error))?.unwrap_or_default();
    let mut machine = Machine::default();
    let mut of = None;
    for line in program.lines().map(str::trim) {
        match line.strip_prefix("act ") {
            Some(name) => of = Some(name.trim()),
            None if of == job => line_of(&mut machine, line)?,
            None => {}
        }
    }
    Ok(())
}

fn line_of(machine: &mut Machine, line: &str) -> Result<(), String> {
    let line = Line::of(line);
    for turn in 0..line.times {
        match machine.step(&line.call, &line.given(turn)) {
            Err(error) if line.tries => println!("{}: {error}", line.call),
            ended => ended?,
        }
    }
    Ok(())
}

monkeyci_sdk::__bindings::export!(Script with_types_in monkeyci_sdk::__bindings);
