//! The last builds, replayed with a script.

use std::collections::BTreeMap;

use anyhow::anyhow;
use bytes::Bytes;
use monkeyci_controller::{
    BundlingError, Class, Difference, Hidden, Host, Replay, ReplayOptions, SourceRequest, Stopped,
};

use crate::exit::Exit;
use crate::text::{harmless, print_line};
use crate::{Done, builds, bundle};

/// What a build came to when it was replayed.
struct Replayed {
    build: String,
    /// `same`, `cosmetic`, `divergent` or `unknown`: as far as it is recorded, it is the same, or it can't be replayed at all.
    class: &'static str,
    /// Why, where it is not the same.
    why: Option<String>,
}

/// Replays the last `count` builds of a repository with a script, and says of how many it goes another way.
pub async fn last(
    host: &Host,
    (source, count): (&SourceRequest, usize),
    script: Bytes,
    secrets: BTreeMap<String, Hidden<Vec<u8>>>,
    json: bool,
) -> Done {
    let last = host.last_builds(source, count).await.map_err(builds::failed)?;
    if last.is_empty() {
        return Err((Exit::Usage, anyhow!("there is no build of this repository in the home that could be replayed")));
    }
    let mut options = ReplayOptions::new();
    options.secrets = secrets;
    let replays = host.replays(&last, script, options).await.map_err(bundle::failed)?;
    let replayed = |(build, replay)| match replay {
        Ok(replay) => of(build, &replay),
        Err(error) => Replayed { build, class: "unknown", why: Some(BundlingError::to_string(&error)) },
    };
    let all: Vec<Replayed> = last.into_iter().zip(replays).map(replayed).collect();
    show(&all, json);
    Ok(if all.iter().any(|one| one.class == "divergent") { Exit::BadScript } else { Exit::Success })
}

fn of(build: String, replay: &Replay) -> Replayed {
    let first = |class: Class| replay.differences().find(|one| one.class == class).map(told);
    let (class, why) = match (replay.class, replay.lacking().next()) {
        (Class::Divergent, _) => ("divergent", first(Class::Divergent)),
        (_, Some((_, Stopped::Secret { secret, .. }))) => {
            ("unknown", Some(format!("it reads the secret {secret:?}, which is not recorded: see --secret")))
        }
        (_, Some(_)) => ("unknown", Some("it was told something that is not recorded".to_owned())),
        (Class::Cosmetic, None) => ("cosmetic", first(Class::Cosmetic)),
        (Class::Same, None) => ("same", None),
    };
    Replayed { build, class, why }
}

/// A difference in a line.
fn told(difference: &Difference) -> String {
    let Difference { call, job, what, recorded, now, fields, .. } = difference;
    let of = job.as_ref().map_or_else(String::new, |job| format!(" of {job}"));
    let place = call.map_or_else(|| format!("{what}{of}"), |call| format!("call {call}{of}"));
    match fields.first() {
        Some(field) => {
            let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "none".to_owned());
            format!("{place}: {} {} → {}", field.field, side(&field.old), side(&field.new))
        }
        None => format!("{place}: {recorded} → {now}"),
    }
}

fn show(all: &[Replayed], json: bool) {
    let count = |class: &str| all.iter().filter(|one| one.class == class).count();
    let classes = ["same", "cosmetic", "divergent", "unknown"].map(|class| (class, count(class)));
    if json {
        let one = |Replayed { build, class, why }: &Replayed| serde_json::json!({ "build": build, "class": class, "why": why });
        let builds: Vec<_> = all.iter().map(one).collect();
        let counts: BTreeMap<_, _> = classes.into_iter().collect();
        print_line(&serde_json::json!({ "builds": builds, "counts": counts }).to_string());
        return;
    }
    for Replayed { build, class, why } in all {
        let Some(why) = why else { continue };
        let mark = match *class {
            "divergent" => '!',
            "cosmetic" => '~',
            _ => '?',
        };
        print_line(&harmless(&format!("{mark} {build}  {class}: {}", why.replace('\n', " ")), false));
    }
    let counts = classes.iter().filter(|(class, count)| *class != "unknown" || *count > 0);
    let counts: Vec<String> = counts.map(|(class, count)| format!("{count} {class}")).collect();
    print_line(&format!("replays of {}: {}", all.len(), counts.join(", ")));
}
