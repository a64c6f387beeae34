//! How long it takes to replay an action of 10,000 calls, its instance and `define` included.

#[path = "../tests/script/support.rs"]
#[allow(dead_code, reason = "tests have more guests than a benchmark")]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use monkeyci_build::{ToldAnswer, ToldCall};
use monkeyci_script::{Action, Answers, Digests, Limits, Recorded};

use support::{asking, client, info, runtime};

/// How many calls there are.
const CALLS: usize = 10_000;
/// How often they are replayed.
const ROUNDS: usize = 50;
/// What it may take.
const BAR: Duration = Duration::from_millis(100);

/// Whoever replays a recording in which nothing is missing.
struct Nothing;

impl Digests for Nothing {
    fn digest(&self, _: &[u8]) -> String {
        String::new()
    }

    fn has_secret(&self, _: &[u8]) -> bool {
        false
    }

    fn masked(&self, text: &str) -> String {
        text.to_owned()
    }
}

impl Answers for Nothing {
    fn has_key(&self) -> bool {
        true
    }

    fn answer(&self, _: &str, _: u64, _: &str) -> Option<Vec<u8>> {
        None
    }
}

fn main() {
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    tokio.block_on(async {
        let act = format!(
            "(loop $again
                (call $get (i32.const 16) (i32.const 6) (i32.const 64))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const {CALLS}))))"
        );
        let script = asking("", &act).load(&runtime(Limits::default()));
        let (client, _) = client();
        let defined = script.define(&client, info()).await.expect("define");
        let answer = ToldAnswer::Text("\"7\"".to_owned());
        let calls = vec![ToldCall { request: "params.get(\"answer\")".to_owned(), answer }; CALLS];
        let answers: Arc<dyn Answers> = Arc::new(Nothing);
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let recorded = Recorded { calls: &calls, is_all: true, answers: &answers };
            let action = Action { job: "job", ..Action::default() };
            let start = Instant::now();
            let limit = Duration::from_secs(60);
            let replayed = script.replay_act(&defined.transcript, action, limit, recorded).await.expect("readable");
            times.push(start.elapsed());
            assert_eq!((replayed.made, replayed.halt), (CALLS, None));
            replayed.ended.ended.expect("it came to its end");
        }
        times.sort();
        println!("a replay of {CALLS} calls (median of {ROUNDS}; at most {BAR:?})");
        println!("  {:>10.2?}", times[ROUNDS / 2]);
    });
}
