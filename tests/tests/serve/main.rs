//! The server's program: builds by API and by webhook, for those who listen, and through its own death.

mod languages;
mod served;

use std::io::Read;

use hmac::{Hmac, Mac};
use monkeyci_tests::hang_guard;
use monkeyci_tests::host::{Host, Running};
use monkeyci_tests::place;
use monkeyci_tests::repository::Repository;
use serde_json::{Value, json};
use served::Served;
use sha2::Sha256;

const SECRET: &str = "a secret of the tests' own";

/// What has happened, without what is different each time.
fn story<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let told = events.into_iter().filter(|event| event["seq"].is_u64() && event["type"] != "build/requested");
    told.map(|event| format!("{} {} {} {}", event["type"], event["job"], event["ending"]["cause"], event["status"]))
        .collect()
}

/// Sends the webhook of a push that is signed so; returns the status, and what is answered.
fn push(served: &Served, delivery: &str, body: &Value, secret: &str) -> (u16, Value) {
    let body = body.to_string().into_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(&body);
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let signature = format!("sha256={signature}");
    let headers = [
        ("Content-Type", "application/json"),
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", delivery),
        ("X-Hub-Signature-256", signature.as_str()),
    ];
    let (status, mut answer) = served.ask("POST /api/v1/webhooks/github/app", &headers, &body);
    let mut text = String::new();
    answer.read_to_string(&mut text).expect("a body");
    (status, serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn a_build_by_api_comes_to_the_same_as_run_and_a_reader_who_connects_again_misses_nothing() {
    let (host, repository) = (Host::default(), Repository::default());
    let commit = repository.git(&["rev-parse", "main"]);
    let run = host.run("resume", &["--git", &repository.url(), "--ref", "main", "--param", "version=1"]);
    assert_eq!(run.code, Some(0), "{run:#?}");

    let served = Served::first(&host);
    served.add("app", &repository.url());
    // As the tests run it.
    let (image, scratch) = (place::image(), place::scratch_image());
    let params = json!({ "case": "resume", "version": "1", "image": image, "scratch-image": scratch });
    let asked = json!({ "branch": "main", "params": params });
    let build = served.trigger("app", &asked);
    let first = served.heard(&build, None, "script/defined");
    assert_eq!(first.last().expect("an event")["type"], "script/defined");
    let all = served.to_the_end(&build, first);
    assert_eq!(all, served.pages(&build), "each event once, and in order");
    assert_eq!(served.heard(&build, all.last().expect("an event")["seq"].as_u64(), ""), [] as [Value; 0]);
    let sorted = |mut story: Vec<String>| {
        // Jobs beside each other take turns.
        story.sort();
        story
    };
    assert_eq!(sorted(story(&all)), sorted(story(&run.events)));

    let (status, shown) = served.call(&format!("GET /api/v1/builds/{build}"), &Value::Null);
    let told = (status, &shown["status"], &shown["trigger"], &shown["record"]["source"]["commit"]);
    assert_eq!(told, (200, &json!("success"), &json!("api"), &json!(commit)), "{shown}");
    let bearer = format!("Bearer {}", served.token);
    let (status, mut logs) =
        served.ask(&format!("GET /api/v1/builds/{build}/logs?job=first"), &[("Authorization", &bearer)], b"");
    let mut text = String::new();
    logs.read_to_string(&mut text).expect("a log to its end");
    assert!(status == 200 && text.contains("first ran") && text.contains("event: end"), "{text}");
    let (_, artifacts) = served.call(&format!("GET /api/v1/builds/{build}/artifacts"), &Value::Null);
    assert_eq!(artifacts["artifacts"][0]["id"], "made", "{artifacts}");
    let (status, mut archive) =
        served.ask(&format!("GET /api/v1/builds/{build}/artifacts/made"), &[("Authorization", &bearer)], b"");
    let mut bytes = Vec::new();
    archive.read_to_end(&mut bytes).expect("an archive");
    assert_eq!((status, Some(bytes.len() as u64)), (200, artifacts["artifacts"][0]["size"].as_u64()));
    assert!(zstd::decode_all(&*bytes).expect("an archive").windows(8).any(|part| part == b"of first"));
    assert_eq!(served.call(&format!("GET /api/v1/builds/{build}/artifacts/none"), &Value::Null).0, 404);
    assert_eq!(served.terminate(), Some(0));
}

#[test]
fn a_signed_push_builds_its_commit_with_the_script_in_it_and_one_that_is_forged_or_replayed_does_not() {
    let (host, repository) = (Host::default(), Repository::default());
    std::fs::create_dir(repository.path().join(".monkeyci")).expect("made");
    std::fs::copy(place::script("probe_script"), repository.path().join(".monkeyci/ci.wasm")).expect("copied");
    repository.commit("with a script");
    let commit = repository.git(&["rev-parse", "main"]);
    repository.write("later", "not pushed yet");
    repository.commit("another commit");
    let mut run = host.command(&["run", "--progress", "json", "--git", &repository.url(), "--ref", &commit]);
    let run = Running::spawn(run.arg(place::script("probe_script"))).end();

    let served = Served::first(&host);
    let new =
        json!({ "name": "app", "url": repository.url(), "script_path": ".monkeyci/ci.wasm", "webhook_secret": SECRET });
    assert_eq!(served.call("POST /api/v1/repositories", &new).0, 201);
    let body = json!({ "ref": "refs/heads/main", "after": commit, "commits": [{ "added": [".monkeyci/ci.wasm"] }] });
    assert_eq!(push(&served, "1", &body, "not the secret of this one").0, 401);
    let (status, taken) = push(&served, "1", &body, SECRET);
    assert_eq!(status, 202, "{taken}");
    assert_eq!(push(&served, "1", &body, SECRET).0, 409);
    assert_eq!(push(&served, "2", &body, SECRET).0, 409);
    let build = taken["build"].as_str().expect("a build").to_owned();
    let all = served.to_the_end(&build, Vec::new());
    // The forge knows which branch and which files: nothing is different.
    assert_eq!(story(&all), story(&run.events));
    let (_, shown) = served.call(&format!("GET /api/v1/builds/{build}"), &Value::Null);
    let source = &shown["record"]["source"];
    assert_eq!(
        (&shown["trigger"], &source["commit"], &source["branch"]),
        (&json!("webhook/push"), &json!(commit), &json!("main"))
    );
    let (_, listed) = served.call("GET /api/v1/builds?repository=app&branch=main", &Value::Null);
    assert_eq!((listed["builds"].as_array().expect("a list").len(), &listed["builds"][0]["build"]), (1, &json!(build)));
    let (_, log) = served.call("GET /api/v1/repositories/app/deliveries", &Value::Null);
    assert_eq!(
        (log["deliveries"].as_array().expect("a list").len(), &log["deliveries"][0]["build"]),
        (1, &json!(build))
    );

    // A commit that has no script, and one that is not there.
    let without = repository.git(&["rev-parse", "v1"]);
    for (commit, status) in [(without, "refused"), ("a".repeat(40), "error")] {
        let build = served.trigger("app", &json!({ "commit": commit }));
        let shown = hang_guard::found("it is looked at", || {
            let (_, shown) = served.call(&format!("GET /api/v1/builds/{build}"), &Value::Null);
            (shown["status"] != "waiting").then_some(shown)
        });
        assert_eq!(shown["status"], status, "{shown}");
        assert!(shown["reason"].is_string() && served.heard(&build, None, "").is_empty(), "{shown}");
    }
}

#[test]
fn builds_that_were_accepted_go_on_when_their_server_was_killed_and_no_reader_misses_an_event() {
    let (host, repository) = (Host::default(), Repository::default());
    let served = Served::first(&host);
    served.add("app", &repository.url());
    // Whoever goes on with a build needs what its journal has not.
    let file = host.home().join("value");
    std::fs::write(&file, "the bytes of a secret").expect("written");
    let place = ["secret", "set", "deploy-key", "-r", "app", "--file", file.to_str().expect("a path")];
    assert_eq!(served.command(&host, &place), "set deploy-key\n");
    std::fs::remove_file(file).expect("removed");
    let blocked = served.trigger("app", &json!({ "params": { "case": "resume-approval" } }));
    let heard = served.heard(&blocked, None, "job/blocked");
    let others: Vec<String> =
        (0..5).map(|n| served.trigger("app", &json!({ "params": { "case": "events", "n": n.to_string() } }))).collect();
    let token = served.token.clone();
    served.kill();

    let served = Served::next(&host, &token);
    for build in &others {
        let all = served.to_the_end(build, Vec::new());
        let ended: Vec<_> = all.iter().filter(|event| event["type"] == "build/ended").collect();
        assert!(ended.len() == 1 && ended[0]["status"] == "success", "{all:#?}");
    }
    // Who goes on with it does so in a moment.
    hang_guard::until("the build goes on", || {
        let approve = format!("POST /api/v1/builds/{blocked}/jobs/deploy/approve");
        served.call(&approve, &json!({ "comment": "go" })).0 == 204
    });
    let all = served.to_the_end(&blocked, heard);
    assert_eq!(all, served.pages(&blocked), "each event once, and in order");
    let approved = all.iter().find(|event| event["type"] == "job/approved").expect("it was approved");
    assert_eq!(approved["by"], "token first");
    let (_, listed) = served.call("GET /api/v1/builds", &Value::Null);
    assert_eq!(listed["builds"].as_array().expect("a list").len(), 6);
    let listed = served.command(&host, &["secret", "list", "-r", "app"]);
    assert_eq!(listed, "deploy-key  set by token first\n");
    let (_, uses) = served.call(&format!("GET /api/v1/builds/{blocked}/inputs"), &Value::Null);
    assert_eq!(uses["uses"][0]["name"], "deploy-key", "{uses}");
    assert_eq!(served.command(&host, &["secret", "rm", "deploy-key", "-r", "app"]), "removed deploy-key\n");
    for name in ["server.db", "server.db-wal", "journal.db", "journal.db-wal"] {
        let bytes = std::fs::read(host.home().join(name)).unwrap_or_default();
        let found = bytes.windows(21).any(|part| part == b"the bytes of a secret");
        assert!(!found && (name.ends_with("-wal") || !bytes.is_empty()), "{name}");
    }
}

#[test]
fn a_build_for_which_there_is_no_place_waits_says_why_and_begins_when_another_one_ends() {
    let (host, repository) = (Host::default(), Repository::default());
    let served = Served::with(&host, &["--builds", "1"]);
    served.add("app", &repository.url());
    // An action that waits keeps its build's place.
    served.add_with("waiting", &repository.url(), "call_script");
    let first = served.trigger("waiting", &json!({ "params": { "program": "action a\nact a\nsleep 99999999" } }));
    served.heard(&first, None, "job/started");
    let asked = json!({ "params": { "case": "events", "n": "1" } });
    let others = [served.trigger("app", &asked), served.trigger("app", &asked)];
    for (build, before) in
        others.iter().zip(["it is the next one of its repository", "one of its repository is before it"])
    {
        let (_, shown) = served.call(&format!("GET /api/v1/builds/{build}"), &Value::Null);
        let reason = format!("it waits for a place: 1 of 1 are taken; {before}");
        assert_eq!((&shown["status"], &shown["reason"]), (&json!("waiting"), &json!(reason)), "{shown}");
    }
    let (status, said) = served.call(&format!("POST /api/v1/builds/{first}/cancel"), &Value::Null);
    assert_eq!(status, 204, "{said}");
    for build in &others {
        let shown = hang_guard::found("it ends", || {
            let (_, shown) = served.call(&format!("GET /api/v1/builds/{build}"), &Value::Null);
            (!["waiting", "running"].contains(&shown["status"].as_str()?)).then_some(shown)
        });
        assert_eq!((&shown["status"], &shown["reason"]), (&json!("success"), &Value::Null), "{shown}");
    }
}

#[test]
fn a_server_that_is_told_to_stop_ends_its_streams_and_the_next_one_goes_on_with_its_builds() {
    let (host, repository) = (Host::default(), Repository::default());
    let served = Served::first(&host);
    served.add("app", &repository.url());
    let build = served.trigger("app", &json!({ "params": { "case": "resume-approval" } }));
    let heard = served.heard(&build, None, "job/blocked");
    let (bearer, seen) = (format!("Bearer {}", served.token), heard.last().expect("an event")["seq"].to_string());
    let headers =
        [("Authorization", bearer.as_str()), ("Accept", "text/event-stream"), ("Last-Event-ID", seen.as_str())];
    let (status, mut open) = served.ask(&format!("GET /api/v1/builds/{build}/events"), &headers, b"");
    assert_eq!(status, 200);
    let token = served.token.clone();
    assert_eq!(served.terminate(), Some(0));
    let mut rest = String::new();
    open.read_to_string(&mut rest).expect("the stream ends, and does not break off");
    assert!(!rest.contains("build/ended"), "{rest}");

    let served = Served::next(&host, &token);
    hang_guard::until("the build goes on", || {
        served.call(&format!("POST /api/v1/builds/{build}/cancel"), &Value::Null).0 == 204
    });
    let all = served.to_the_end(&build, heard);
    assert_eq!(all.last().expect("an event")["status"], "cancelled");
}

#[test]
fn an_address_that_others_reach_is_refused_without_tls_and_so_is_a_home_that_has_a_server() {
    let host = Host::default();
    let said = |arguments: &[&str]| {
        let output = host.command(&["serve"]).args(arguments).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = said(&["--listen", "0.0.0.0:0"]);
    assert!(code == Some(2) && text.contains("--plain-network"), "{text}");
    let _served = Served::first(&host);
    let (code, text) = said(&["--listen", "127.0.0.1:0"]);
    assert!(code == Some(2) && text.contains("another server uses"), "{text}");
}
