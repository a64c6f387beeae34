//! What is being built, and what the build tells.

use rquickjs::Object;

use super::held::{Held, hold, with};
use super::{Answer, Call, number, whole};
use crate::bindings::monkeyci::script::{build_info, events};

/// Prints a line.
pub fn print(to: &str, text: &str) {
    match to {
        "out" => println!("{text}"),
        "err" => eprintln!("{text}"),
        _ => events::log(events::Level::Debug, text),
    }
}

pub fn level(name: &str) -> events::Level {
    match name {
        "debug" => events::Level::Debug,
        "warn" => events::Level::Warn,
        "error" => events::Level::Error,
        _ => events::Level::Info,
    }
}

/// `build` with the name of what is asked, and `changes`.
pub fn build<'js>(call: &Call<'js>, name: &str) -> Answer<'js> {
    if name == "changes" {
        if !build_info::changes_known() {
            return call.value(());
        }
        let changes = Object::new(call.ctx.clone())?;
        changes.set("added", build_info::added_files())?;
        changes.set("modified", build_info::modified_files())?;
        changes.set("removed", build_info::removed_files())?;
        let renamed = build_info::renamed_files().into_iter().map(|(old, new)| vec![old, new]);
        changes.set("renamed", renamed.collect::<Vec<_>>())?;
        return Ok(changes.into_value());
    }
    call.value(match call.text(1)?.as_str() {
        "id" => Some(build_info::id()),
        "org" => Some(build_info::org()),
        "repo" => Some(build_info::repo()),
        "build" => Some(build_info::build()),
        "trigger" => Some(build_info::trigger()),
        "git-url" => build_info::git_url(),
        "git-ref" => build_info::git_ref(),
        "branch" => build_info::branch(),
        "tag" => build_info::tag(),
        "commit" => build_info::commit(),
        "message" => build_info::message(),
        "author" => build_info::author(),
        "main-branch" => build_info::main_branch(),
        "describe" => build_info::describe(),
        "base-commit" => build_info::base_commit(),
        _ => None,
    })
}

/// `subscribe`, and `next-event` of a subscription.
pub fn subscription<'js>(call: &Call<'js>, name: &str) -> Answer<'js> {
    if name == "subscribe" {
        let subscription = events::Subscription::new();
        if call.get(1)? {
            subscription.from_start();
        }
        call.get::<Vec<String>>(2)?.iter().for_each(|kind| subscription.kind(kind));
        call.get::<Vec<String>>(3)?.iter().for_each(|name| subscription.named(name));
        call.get::<Vec<String>>(4)?.iter().for_each(|job| subscription.of_job(job));
        return hold(call, Held::Subscription(subscription));
    }
    let timeout = whole(call.get(2)?);
    let event = with(call, |held| match held {
        Held::Subscription(it) => Some(it.next(timeout)),
        _ => None,
    })??;
    let Some(event) = event else { return call.value(()) };
    let told = Object::new(call.ctx.clone())?;
    told.set("seq", number(event.seq()))?;
    told.set("time", number(event.time()))?;
    told.set("kind", event.kind())?;
    told.set("name", event.name())?;
    told.set("job", event.job())?;
    told.set("payload", event.payload())?;
    Ok(told.into_value())
}
