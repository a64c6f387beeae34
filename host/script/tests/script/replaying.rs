//! A script is replayed: told what it was told, with nobody to ask, and compared with what it did.

use std::sync::Arc;

use monkeyci_build::{ToldAnswer, ToldCall};
use monkeyci_script::{
    Action, Answers, Definition, Digests, Divergence, Halt, Limits, Recorded, Replayed, Script, ScriptError,
};

use crate::acting::{Kept, asks_and_publishes, recording};
use crate::hang_guard::HANGS;
use crate::support::{Guest, asking, client, info, runtime};

/// Whoever replays: with a key, or not, and with a value for what is not recorded.
#[derive(Default)]
struct Knows {
    kept: Kept,
    is_keyless: bool,
    value: Option<Vec<u8>>,
}

impl Digests for Knows {
    fn digest(&self, bytes: &[u8]) -> String {
        if self.is_keyless { String::new() } else { self.kept.digest(bytes) }
    }

    fn has_secret(&self, bytes: &[u8]) -> bool {
        self.kept.has_secret(bytes)
    }

    fn masked(&self, text: &str) -> String {
        self.kept.masked(text)
    }
}

impl Answers for Knows {
    fn has_key(&self) -> bool {
        !self.is_keyless
    }

    fn answer(&self, _: &str, _: u64, _: &str) -> Option<Vec<u8>> {
        self.value.clone()
    }
}

const ACTION: Action<'static> = Action { job: "job", call: None, creates: &[] };

/// Runs the action for the first time: what `define` declared, and what the action was told.
async fn recorded(script: &Script, kept: &Arc<Kept>) -> (Definition, Vec<ToldCall>) {
    let (client, _) = client();
    let defined = script.define(&client, info()).await.expect("define");
    script.act(&client, &defined.transcript, ACTION, HANGS, &recording(kept, &[])).await.ended.expect("act");
    let calls = kept.calls.lock().expect("no test panics here").clone();
    (defined, calls)
}

async fn replayed(
    script: &Script,
    defined: &Definition,
    (calls, is_all): (&[ToldCall], bool),
    knows: Knows,
) -> Replayed<Result<(), ScriptError>> {
    let answers: Arc<dyn Answers> = Arc::new(knows);
    let recorded = Recorded { calls, is_all, answers: &answers };
    let replayed = script.replay_act(&defined.transcript, ACTION, HANGS, recorded).await.expect("it can be read");
    let Replayed { made, halt, place, cosmetic, unkeyed, ended } = replayed;
    Replayed { made, halt, place, cosmetic, unkeyed, ended: ended.ended }
}

#[tokio::test]
async fn an_action_that_is_told_what_it_was_told_comes_to_its_end_and_asks_nobody() {
    let script = asks_and_publishes();
    let (defined, calls) = recorded(&script, &Arc::default()).await;
    let replay = replayed(&script, &defined, (&calls, true), Knows::default()).await;
    assert!(replay.ended.is_ok(), "{replay:?}");
    assert_eq!((replay.made, replay.halt, replay.cosmetic), (6, None, vec![]));
}

#[tokio::test]
async fn a_replay_ends_where_the_recording_does_unless_that_is_all_that_there_was() {
    let script = asks_and_publishes();
    let (defined, calls) = recorded(&script, &Arc::default()).await;
    for count in 0..calls.len() {
        let cut = replayed(&script, &defined, (&calls[..count], false), Knows::default()).await;
        assert_eq!((cut.made, cut.halt, cut.ended.is_err()), (count, Some(Halt::End), true));
        let other = replayed(&script, &defined, (&calls[..count], true), Knows::default()).await;
        let Some(Halt::Diverged(Divergence { call, recorded, now })) = other.halt else { panic!("{other:?}") };
        assert_eq!((call, recorded.as_str()), (count as u64 + 1, "not made"));
        assert_eq!(now, calls[count].request);
    }
}

#[tokio::test]
async fn the_first_call_that_is_another_one_is_told_with_its_number() {
    let script = asks_and_publishes();
    let (defined, calls) = recorded(&script, &Arc::default()).await;
    for at in 0..calls.len() {
        let mut others = calls.clone();
        others[at].request = "jobs.look-up(\"a\")".to_owned();
        let replay = replayed(&script, &defined, (&others, true), Knows::default()).await;
        let (call, now) = (at as u64 + 1, calls[at].request.clone());
        let divergence = Divergence { call, recorded: "jobs.look-up(\"a\")".to_owned(), now };
        assert_eq!((replay.made, replay.halt), (at, Some(Halt::Diverged(divergence))));
    }
    let more = [calls.clone(), calls[..1].to_vec()].concat();
    let replay = replayed(&script, &defined, (&more, true), Knows::default()).await;
    let Some(Halt::Diverged(Divergence { call: 7, now, .. })) = replay.halt else { panic!("{replay:?}") };
    assert_eq!(now, "not made");
}

#[tokio::test]
async fn what_is_not_recorded_is_had_from_whoever_replays_or_the_replay_stops_there() {
    let script =
        asking("", "(call $get (i32.const 16) (i32.const 6) (i32.const 64))").load(&runtime(Limits::default()));
    let secret = Arc::new(Kept { secret: Some("\"1\""), ..Kept::default() });
    let (defined, calls) = recorded(&script, &secret).await;
    let ToldAnswer::Again { bytes, .. } = calls[0].answer else { panic!("{calls:?}") };
    let knows = |value: Option<&str>, is_keyless| {
        let kept = Kept { secret: Some("\"1\""), ..Kept::default() };
        Knows { kept, is_keyless, value: value.map(|value| value.as_bytes().to_vec()) }
    };
    let lacks = replayed(&script, &defined, (&calls, true), knows(None, false)).await;
    let halt = Halt::Lacks { call: 1, request: calls[0].request.clone(), bytes };
    assert_eq!((lacks.made, lacks.halt), (0, Some(halt)));
    let has = replayed(&script, &defined, (&calls, true), knows(Some("\"1\""), false)).await;
    assert_eq!((has.made, has.halt, has.ended.is_ok()), (1, None, true));
    // Another one of that length: with the key it is known, and without nobody can.
    let other = replayed(&script, &defined, (&calls, true), knows(Some("\"2\""), false)).await;
    assert!(matches!(other.halt, Some(Halt::Diverged(_))), "{other:?}");
    let keyless = replayed(&script, &defined, (&calls, true), knows(Some("\"2\""), true)).await;
    assert_eq!((keyless.made, keyless.halt), (1, None));
    let longer = replayed(&script, &defined, (&calls, true), knows(Some("\"12\""), true)).await;
    assert!(matches!(longer.halt, Some(Halt::Diverged(_))), "{longer:?}");
}

#[tokio::test]
async fn another_define_than_the_recorded_one_is_told_with_its_call() {
    let ask = "(call $get (i32.const 16) (i32.const 6) (i32.const 64))";
    let (client, _) = client();
    let runtime = runtime(Limits::default());
    let told = asking(ask, "").load(&runtime).define(&client, info()).await.expect("define").transcript.told();
    let answers: Arc<dyn Answers> = Arc::new(Knows::default());
    let recorded = Recorded { calls: &told.calls, is_all: true, answers: &answers };
    let same = asking(ask, "").load(&runtime).replay_define(info(), told.time_ms, recorded).await.expect("readable");
    assert_eq!((same.made, same.halt, same.ended.is_ok()), (1, None, true));
    let quiet = Guest::default().load(&runtime).replay_define(info(), told.time_ms, recorded).await.expect("readable");
    assert!(matches!(quiet.halt, Some(Halt::Diverged(Divergence { call: 1, .. }))), "{quiet:?}");
    let twice = asking(&ask.repeat(2), "").load(&runtime);
    let twice = twice.replay_define(info(), told.time_ms, recorded).await.expect("readable");
    assert!(matches!(twice.halt, Some(Halt::Diverged(Divergence { call: 2, .. }))), "{twice:?}");
}

#[tokio::test]
async fn the_function_that_makes_the_other_call_is_named_where_the_script_has_names() {
    let own = "(func $mine::acts::h0123456789abcdef (call $get (i32.const 16) (i32.const 6) (i32.const 64)))";
    let guest = asking("", "(call $mine::acts::h0123456789abcdef)");
    let core_imports = format!("{} {own}", guest.core_imports);
    let script = Guest { core_imports: &core_imports, ..guest }.load(&runtime(Limits::default()));
    let (defined, mut calls) = recorded(&script, &Arc::default()).await;
    calls[0].request = "jobs.look-up(\"a\")".to_owned();
    let replay = replayed(&script, &defined, (&calls, true), Knows::default()).await;
    assert!(matches!(replay.halt, Some(Halt::Diverged(_))), "{replay:?}");
    assert_eq!(replay.place.as_deref(), Some("mine::acts"));
}
