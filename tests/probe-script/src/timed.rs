//! Jobs that say how long something takes.

use std::time::Instant;

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all};

/// How many calls of each kind.
const CALLS: usize = 50;

pub fn jobs(case: &str, probe: &Probe) -> Case {
    match case {
        // A container job, and an action after it that takes the time of calls of several kinds, in microseconds.
        "timed-calls" => {
            let calls = action("calls", |context| {
                let mut took = Vec::new();
                let mut time = |call: &dyn Fn() -> Result<()>| -> Result<()> {
                    let begun = Instant::now();
                    call()?;
                    took.push(begun.elapsed().as_micros().to_string());
                    Ok(())
                };
                for turn in 0..CALLS {
                    time(&|| context.build().param("case").map(drop))?;
                    time(&|| context.look_up("works").map(drop))?;
                    time(&|| context.workspace().read_file("file").map(drop))?;
                    time(&|| context.output(&format!("turn-{turn}"), turn))?;
                }
                context.output("took", took.join(" "))
            });
            all((probe.sh("works", &["true"]), calls.needs("works")))
        }
        _ => Ok(None),
    }
}
