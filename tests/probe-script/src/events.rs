//! Reading events.

use std::time::Duration;

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all, refused};

const LONG: Duration = Duration::from_secs(30);

pub fn jobs(case: &str, probe: &Probe) -> Case {
    match case {
        "subscribe" => {
            let speaker = probe.sh("before-speaker", &["sleep 1"]);
            let speak = action("speaker", |context| {
                context.publish("probe/other", "0")?;
                context.publish("probe/ready", r#"{"n":1}"#)
            });
            all((action("listener", listen), speaker, speak.needs("before-speaker")))
        }
        "subscribe-outside" => all(action("listener", |context| {
            println!("listening");
            let event = context.wait_for_event("outside/go", LONG)?.context("nobody said anything")?;
            println!("heard {} {:?} {}", event.kind(), event.job(), event.payload());
            Ok(())
        })),
        "subscribe-first" => all((
            action("listener", |context| {
                context.wait_for_event("probe/ready", LONG)?.context("nobody was ready")?;
                println!("heard it");
                Ok(())
            }),
            action("speaker", |context| context.publish("probe/ready", "1")),
        )),
        "subscribe-never" => all(action("listener", |context| {
            let heard = context.wait_for_event("probe/never", Duration::from_millis(200))?;
            ensure!(heard.is_none(), "heard {heard:?}");
            println!("heard nothing");
            Ok(())
        })),
        _ => Ok(None),
    }
}

fn listen(context: &Context) -> Result<()> {
    let events = context.subscribe().named("probe/ready").of_job("speaker").from_start();
    let ready = events.next(LONG)?.context("nobody was ready")?;
    println!("heard {:?} {} {} from {:?}", ready.name(), ready.kind(), ready.payload(), ready.job());
    let ends = context.subscribe().kind("job/ended").of_job("speaker").from_start();
    let end = ends.next(LONG)?.context("speaker does not end")?;
    ensure!(end.seq() > ready.seq(), "events are out of order: {} {}", ready.seq(), end.seq());
    ensure!(end.time() >= ready.time(), "time goes backwards");
    println!("saw the end of {:?}", end.job());
    ensure!(events.next(Duration::from_millis(200))?.is_none(), "there is another event");
    let ahead = context.subscribe().named("probe/own");
    context.publish("probe/own", "[1,2]")?;
    let own = ahead.next(LONG)?.context("its own event does not come")?;
    println!("heard itself: {}", own.payload());
    refused("a payload that is not JSON", context.publish("probe/bad", "{"))
}
