//! `monkeyci-host replay`

use std::path::Path;

use anyhow::anyhow;
use bytes::Bytes;
use monkeyci_controller::{
    Class, Difference, RecordedBuild, Replay, ReplayError, ReplayOptions, ReplayedInstance, Stopped,
};

use crate::args::{InputArgs, ReplayArgs};
use crate::exit::Exit;
use crate::text::{harmless, harmless_lines, print_line};
use crate::{Done, builds, bundle, inputs, script};

/// Runs the script of a build once more, against what is recorded of it.
pub async fn replay(args: ReplayArgs) -> Done {
    let usage = |error: anyhow::Error| (Exit::Usage, error);
    let secrets = InputArgs { secrets: args.secrets.clone(), ..InputArgs::default() };
    let given = inputs::collect(&secrets, std::env::vars_os()).map_err(usage)?;
    let file = Path::new(&args.build);
    let is_file = file.is_file();
    let other = args.script.as_deref().map(script::at).transpose()?;
    let host;
    let (recorded, its_script): (RecordedBuild, Option<Bytes>) = if is_file {
        let bundle = bundle::read(file)?;
        host = bundle::open(&args.stores).await?;
        (bundle.recorded().map_err(|error: ReplayError| usage(error.into()))?, Some(bundle.script()))
    } else {
        let (_, build) = builds::find(&args.stores.home, &args.build).await?;
        host = bundle::open(&args.stores).await?;
        (host.recorded(&build).await.map_err(bundle::failed)?, None)
    };
    let script = match (other, its_script) {
        (Some(other), _) => other.into(),
        (None, Some(script)) => script,
        (None, None) => host.recorded_script(&recorded).await.map_err(bundle::failed)?,
    };
    let mut options = ReplayOptions::new();
    (options.job, options.until, options.secrets) = (args.job, args.until, given.secrets);
    let replay = host.replay(&recorded, script, &options).await.map_err(bundle::failed)?;
    if args.json {
        let json = serde_json::to_string(&replay).map_err(|error| (Exit::Infrastructure, anyhow!(error)))?;
        print_line(&json);
    } else {
        print_line(&harmless_lines(&text(&replay, args.verbose)));
    }
    // The build goes another way wherever it stops.
    if replay.class == Class::Divergent {
        return Ok(Exit::BadScript);
    }
    match replay.lacking().next() {
        Some((_, Stopped::Secret { secret, .. })) => {
            Err(usage(anyhow!("the script reads the secret {secret:?}: go on with --secret {secret}=FILE")))
        }
        Some(_) => {
            Err(usage(anyhow!("the script was told something that is not recorded: no replay goes beyond that")))
        }
        None => Ok(Exit::Success),
    }
}

/// What a replay came to, for people.
fn text(replay: &Replay, verbose: bool) -> String {
    let mut lines = Vec::new();
    if verbose {
        let calls = replay.instances.iter().flat_map(|one| one.calls.iter().map(move |call| (one, call)));
        lines.extend(calls.map(|(one, call)| {
            format!("{:>6}  {}  {}  {}", call.call, name(one), flat(&call.request), flat(&call.answer))
        }));
    }
    lines.extend(replay.differences().map(difference));
    lines.extend(replay.instances.iter().filter_map(stopped));
    let of = format!("{}: {} of {} calls replayed", replay.build, replay.same, replay.recorded);
    let with = if replay.same_script { "" } else { " with another script" };
    let so_far = if replay.lacking().next().is_some() { " so far" } else { "" };
    lines.push(match replay.class {
        Class::Same => format!("{of}{with}, all same{so_far} (digest {})", &replay.digest[..16]),
        Class::Cosmetic => {
            format!(
                "{of}{with}; only words differ that people read: builds go the same way (digest {})",
                &replay.digest[..16]
            )
        }
        Class::Divergent => format!("{of}{with}; then it goes another way: {}", WHAT_TO_DO),
    });
    if replay.unkeyed > 0 {
        let count = replay.unkeyed;
        lines.push(format!(
            "{count} calls were compared without the digests in them: their key is in the home of the build"
        ));
    }
    lines.join("\n")
}

/// What there is to do about a script that goes another way.
const WHAT_TO_DO: &str =
    "a build that has begun goes on with the script that it began with; run a new one to use this one";

/// An instance in a word.
fn name(instance: &ReplayedInstance) -> String {
    match (&instance.job, instance.attempt) {
        (None, _) => "define".to_owned(),
        (Some(job), 0 | 1) if instance.function == "act" => harmless(job, false),
        (Some(job), attempt) => format!("{} ({}, attempt {attempt})", harmless(job, false), instance.function),
    }
}

/// The lines of a difference.
fn difference(difference: &Difference) -> String {
    let Difference { class, call, job, function, what, recorded, now, fields } = difference;
    let of = job.as_ref().map_or_else(String::new, |job| format!(" of {job}"));
    let class = match class {
        Class::Same => "same",
        Class::Cosmetic => "cosmetic",
        Class::Divergent => "divergent",
    };
    let head = match call {
        Some(call) => {
            let place = function.as_ref().map_or_else(String::new, |name| format!(", in {name}"));
            format!("call {call}{of} differs ({class}){place}")
        }
        None if *what == "job" => {
            format!("the job {} is declared otherwise ({class})", job.as_deref().unwrap_or_default())
        }
        None => format!("{what}{of}: differs ({class})"),
    };
    let mut lines = vec![head];
    if fields.is_empty() {
        lines.push(format!("   recorded  {}", flat(recorded)));
        lines.push(format!("   now       {}", flat(now)));
    }
    let side = |side: &Option<String>| side.as_deref().map_or_else(|| "not there".to_owned(), flat);
    lines.extend(
        fields
            .iter()
            .map(|field| format!("   {}: recorded {}, now {}", flat(&field.field), side(&field.old), side(&field.new))),
    );
    lines.join("\n")
}

/// Why an instance went no further, where that is to be said.
fn stopped(instance: &ReplayedInstance) -> Option<String> {
    let name = name(instance);
    Some(match instance.stopped.as_ref()? {
        Stopped::Secret { call, secret } => {
            format!("{name} stops at call {call}, which reads the secret {secret:?}: no recording has secrets")
        }
        Stopped::Answer { call, request, bytes } => {
            format!("{name} stops at call {call}, {}: its answer of {bytes} bytes is not recorded", flat(request))
        }
        Stopped::EndOfRecording => format!("{name} is recorded no further: it was stopped there, or its host died"),
        Stopped::Until => format!("{name} stops before the next call, as --until says"),
        Stopped::NoJob => format!("{name} is not replayed: its job is not declared any more"),
        _ => return None,
    })
}

/// Text in one line.
fn flat(text: &str) -> String {
    text.replace('\n', "\\n")
}
