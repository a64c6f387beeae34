//! What an action is told is recorded: an instance that is told the same takes its place.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use monkeyci_build::{ToldAnswer, ToldCall};
use monkeyci_script::{Action, Digests, Keeper, Limits, NotKept, Recording, Script, ScriptError};

use crate::hang_guard::HANGS;
use crate::support::{Asked, Guest, asking, client, info, runtime};

/// Asks for the parameter `answer`, and ends with a print: what it was told is kept before that.
const ASK: &str = "(call $get (i32.const 16) (i32.const 6) (i32.const 64))";

/// Keeps what is told, and knows one secret.
#[derive(Default)]
pub struct Kept {
    pub calls: Mutex<Vec<ToldCall>>,
    pub secret: Option<&'static str>,
}

impl Keeper for Kept {
    fn keep(&self, calls: Vec<ToldCall>, _: bool) -> BoxFuture<'_, Result<(), NotKept>> {
        self.calls.lock().expect("no test panics here").extend(calls);
        std::future::ready(Ok(())).boxed()
    }
}

impl Digests for Kept {
    fn digest(&self, bytes: &[u8]) -> String {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        hasher.finish().to_string()
    }

    fn has_secret(&self, bytes: &[u8]) -> bool {
        self.secret.is_some_and(|secret| String::from_utf8_lossy(bytes).contains(secret))
    }

    fn masked(&self, text: &str) -> String {
        self.secret.map_or(text.to_owned(), |secret| text.replace(secret, "***"))
    }
}

pub fn recording(kept: &Arc<Kept>, told: &[ToldCall]) -> Recording {
    Recording { keeper: Some(kept.clone()), told: told.to_vec() }
}

/// A guest whose action asks three times and publishes an event after each: what it was told is kept before that.
pub fn asks_and_publishes() -> Script {
    let act = "(loop $again
        (call $get (i32.const 16) (i32.const 6) (i32.const 64))
        (call $publish (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 1) (i32.const 64))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 3))))";
    let guest = asking("", act);
    let imports = format!(
        r#"{} (import "monkeyci:script/events@0.1.0" (instance $events
            (alias outer 1 $error (type $outer))
            (export "error" (type $error (eq $outer)))
            (export "publish" (func (param "name" string) (param "payload" string) (result (result (error $error)))))))"#,
        guest.imports
    );
    let lower = format!(
        r#"{} (core func $publish (canon lower (func $events "publish")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))"#,
        guest.lower
    );
    let with = format!(r#"{} (with "events" (instance (export "publish" (func $publish))))"#, guest.with);
    let core_imports = format!(
        r#"{} (import "events" "publish" (func $publish (param i32 i32 i32 i32 i32)))
            (data (i32.const 32) "1")"#,
        guest.core_imports
    );
    let guest = Guest { imports: &imports, lower: &lower, with: &with, core_imports: &core_imports, ..guest };
    guest.load(&runtime(Limits::default()))
}

fn lines(asked: &Asked) -> Vec<String> {
    asked.lock().expect("no test panics here").clone()
}

#[tokio::test]
async fn an_action_that_was_told_some_is_told_the_same_and_makes_only_the_other_calls() {
    let script = asks_and_publishes();
    let (first, asked) = client();
    let defined = script.define(&first, info()).await.expect("define");
    let (kept, action) = (Arc::<Kept>::default(), Action { job: "job", ..Action::default() });
    script.act(&first, &defined.transcript, action, HANGS, &recording(&kept, &[])).await.ended.expect("act");
    let whole = lines(&asked);
    assert_eq!(whole.len(), 6, "{whole:?}");
    // Its last call too, behind which nothing leaves the instance: how it ended follows from that.
    let told = kept.calls.lock().expect("no test panics here").clone();
    assert_eq!(told.len(), 6, "{told:#?}");
    for count in 0..=told.len() {
        let (again, asked) = client();
        let (others, action) = (Arc::<Kept>::default(), Action { job: "job", ..Action::default() });
        let recording = recording(&others, &told[..count]);
        script.act(&again, &defined.transcript, action, HANGS, &recording).await.ended.expect("act");
        assert_eq!(lines(&asked), whole[count..], "after {count} calls");
        let kept = others.calls.lock().expect("no test panics here").clone();
        assert_eq!(told[..count].len() + kept.len(), told.len(), "what was kept is kept once");
    }
}

#[tokio::test]
async fn an_action_that_does_something_else_than_it_did_ends_with_the_call_that_differs() {
    let script = asking("", ASK).load(&runtime(Limits::default()));
    let (client, asked) = client();
    let defined = script.define(&client, info()).await.expect("define");
    let call = |request: &str| ToldCall { request: request.to_owned(), answer: ToldAnswer::Text("null".to_owned()) };
    for (told, at, was, is) in [
        (vec![call("params.get(\"other\")")], 1, "params.get(\"other\")", "params.get(\"answer\")"),
        (vec![call("params.get(\"answer\")"), call("jobs.look-up(\"a\")")], 2, "jobs.look-up(\"a\")", "not made"),
    ] {
        let (kept, action) = (Arc::<Kept>::default(), Action { job: "job", ..Action::default() });
        let acted = script.act(&client, &defined.transcript, action, HANGS, &recording(&kept, &told)).await;
        let Err(ScriptError::ActionDiverged { call, recorded, now }) = acted.ended else { panic!("{acted:?}") };
        assert_eq!((call, recorded.as_str(), now.as_str()), (at, was, is));
    }
    assert_eq!(lines(&asked), [""; 0], "nothing was asked");
}

#[tokio::test]
async fn an_answer_with_a_secret_in_it_is_not_kept_and_asked_for_again() {
    let script = asks_and_publishes();
    let (first, _) = client();
    let defined = script.define(&first, info()).await.expect("define");
    // The build API counts what it is asked: the first answer is 1.
    let secret = Arc::new(Kept { secret: Some("\"1\""), ..Kept::default() });
    let act = Action { job: "job", ..Action::default() };
    script.act(&first, &defined.transcript, act, HANGS, &recording(&secret, &[])).await.ended.expect("act");
    let told = secret.calls.lock().expect("no test panics here").clone();
    assert!(matches!(told[0].answer, ToldAnswer::Again { .. }), "{told:#?}");
    let (again, asked) = client();
    let goes_on = script.act(&again, &defined.transcript, act, HANGS, &recording(&secret, &told)).await;
    goes_on.ended.expect("the same answer");
    assert_eq!(lines(&asked).len(), 1, "the first answer: all others are kept, also the last one");
    // Now that somebody else has asked, the answer is another one.
    let diverges = script.act(&again, &defined.transcript, act, HANGS, &recording(&secret, &told)).await;
    assert!(matches!(diverges.ended, Err(ScriptError::ActionDiverged { call: 1, .. })), "{diverges:?}");
}

/// A guest whose action sleeps.
fn sleeper(limits: Limits, sleep: Duration) -> Script {
    let act = format!("(call $block (call $sleep (i64.const {})))", sleep.as_nanos());
    let guest = Guest {
        imports: r#"
          (import "wasi:io/poll@0.2.0" (instance $poll
            (export "pollable" (type $p (sub resource)))
            (export "[method]pollable.block" (func (param "self" (borrow $p))))))
          (alias export $poll "pollable" (type $pollable))
          (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
            (alias outer 1 $pollable (type $outer))
            (export "pollable" (type $p (eq $outer)))
            (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))"#,
        lower: r#"(core func $sleep (canon lower (func $clock "subscribe-duration")))
          (core func $block (canon lower (func $poll "[method]pollable.block")))"#,
        with: r#"(with "clock" (instance (export "sleep" (func $sleep)) (export "block" (func $block))))"#,
        core_imports: r#"(import "clock" "sleep" (func $sleep (param i64) (result i32)))
          (import "clock" "block" (func $block (param i32)))"#,
        act: &act,
        ..Guest::default()
    };
    guest.load(&runtime(limits))
}

#[tokio::test]
async fn actions_that_sleep_leave_slots_and_places_to_others_however_many_they_are() {
    let script = sleeper(Limits { instances: 1, waiting_instances: 2, ..Limits::default() }, MOMENT);
    let (client, _) = client();
    let defined = script.define(&client, info()).await.expect("define");
    let sleep = async || {
        let (kept, action) = (Arc::<Kept>::default(), Action { job: "job", ..Action::default() });
        script.act(&client, &defined.transcript, action, HANGS, &recording(&kept, &[])).await.ended
    };
    let all = futures::future::join_all((0..50).map(|_| sleep())).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    // One that sleeps for longer than anybody waits here leaves its slot all the same.
    let sleeps = sleeper(Limits { instances: 1, waiting_instances: 1, ..Limits::default() }, 2 * HANGS);
    let defined_too = sleeps.define(&client, info()).await.expect("define");
    let (kept, action) = (Arc::<Kept>::default(), Action { job: "job", ..Action::default() });
    let recording = recording(&kept, &[]);
    let mut asleep = Box::pin(sleeps.act(&client, &defined_too.transcript, action, 2 * HANGS, &recording));
    let other = tokio::time::timeout(HANGS, sleeps.define(&client, info()));
    tokio::select! {
        biased;
        _ = asleep.as_mut() => panic!("it sleeps"),
        defined = other => drop(defined.expect("it has the slot").expect("define")),
    }
    // Who can't be made anew waits too, in its slot.
    let action = Action { job: "job", ..Action::default() };
    let all = (0..5).map(|_| script.act(&client, &defined.transcript, action, HANGS, &NOT_KEPT));
    let all = futures::future::join_all(all).await;
    assert!(all.iter().all(|acted| acted.ended.is_ok()), "{all:?}");
}

const MOMENT: Duration = Duration::from_millis(20);

static NOT_KEPT: Recording = Recording { keeper: None, told: Vec::new() };

#[tokio::test]
async fn an_action_that_waits_gives_its_memory_to_one_that_begins() {
    // Two instances of two pages each, and what is recorded; not three.
    let limits = Limits { build_memory_bytes: 300 << 10, own_memory_bytes: 300 << 10, ..Limits::default() };
    let script = sleeper(limits, MOMENT);
    let (client, _) = client();
    let defined = script.define(&client, info()).await.expect("define");
    let sleep = async || {
        let (kept, action) = (Arc::<Kept>::default(), Action { job: "job", ..Action::default() });
        script.act(&client, &defined.transcript, action, HANGS, &recording(&kept, &[])).await.ended
    };
    let all = futures::future::join_all((0..20).map(|_| sleep())).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
}

#[tokio::test]
async fn a_script_for_another_build_has_memory_of_its_own() {
    // One instance of two pages, and what is recorded; not two.
    let limits = Limits { build_memory_bytes: 200 << 10, own_memory_bytes: 200 << 10, ..Limits::default() };
    let script = sleeper(limits, 2 * HANGS);
    let (client, _) = client();
    let defined = script.define(&client, info()).await.expect("define");
    let action = Action { job: "job", ..Action::default() };
    let asleep = script.act(&client, &defined.transcript, action, 2 * HANGS, &NOT_KEPT);
    let other = script.for_another_build();
    assert_eq!((other.digest(), other.imports()), (script.digest(), script.imports()));
    assert_eq!(script.imports(), ["wasi:io/poll@0.2.0", "wasi:clocks/monotonic-clock@0.2.0"]);
    let beside = tokio::time::timeout(HANGS, other.define(&client, info()));
    tokio::select! {
        biased;
        ended = asleep => panic!("it sleeps: {ended:?}"),
        defined = beside => drop(defined.expect("it has memory").expect("define")),
    }
}

#[tokio::test]
async fn a_time_limit_holds_over_all_instances_of_an_action() {
    let script = sleeper(Limits { instances: 1, waiting_instances: 0, ..Limits::default() }, 2 * HANGS);
    let (client, _) = client();
    let defined = script.define(&client, info()).await.expect("define");
    let (kept, action) = (Arc::<Kept>::default(), Action { job: "job", ..Action::default() });
    let limit = Duration::from_millis(20);
    let acted = script.act(&client, &defined.transcript, action, limit, &recording(&kept, &[])).await;
    assert!(matches!(acted.ended, Err(ScriptError::TimedOut(after)) if after == limit), "{acted:?}");
}
