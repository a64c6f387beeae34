//! Parameters and secrets: who sets them, which builds get them, and that nothing of them is to be found.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use monkeyci_build::Requested;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use tracing::subscriber::DefaultGuard;

use super::*;
use crate::keys::MasterKey;
use crate::origin::Origin;

impl Setting {
    /// The answer to a request with a token and JSON.
    async fn call(&self, id: RouteId, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, answer) = self.ask(request(route(id), path, Some(token), body.as_bytes())).await;
        (status.as_u16(), answer)
    }

    async fn set(&self, id: RouteId, path: &str, body: Value) {
        let token = self.token(&[Scope::Secrets], None, None).await;
        let (status, said) = self.call(id, path, &token, &body).await;
        assert_eq!(status, 204, "{path}: {said}");
    }

    async fn asks(&self, id: RouteId, path: &str) -> Value {
        let token = self.token(&[Scope::Secrets], None, None).await;
        let (status, answer) = self.call(id, path, &token, &Value::Null).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

/// Opens a server in a home where another one has just been.
async fn again(home: &Path, choose: impl Fn(ServerBuilder) -> ServerBuilder) -> Result<Server, ServerError> {
    let opened = async {
        loop {
            match choose(Server::builder(Host::builder(home))).open().await {
                // The task that starts builds lets go of it in a moment.
                Err(ServerError::Taken { .. }) => tokio::task::yield_now().await,
                opened => return opened,
            }
        }
    };
    tokio::time::timeout(HANGS, opened).await.expect("it is free")
}

/// Whether bytes stand somewhere in the files of a directory.
fn stands_in(dir: &Path, wanted: &[u8]) -> Option<String> {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if let Some(found) = stands_in(&path, wanted) {
                return Some(found);
            }
        } else if std::fs::read(&path).unwrap_or_default().windows(wanted.len()).any(|part| part == wanted) {
            return Some(path.display().to_string());
        }
    }
    None
}

/// What the host itself says while a test runs, however little it is worth.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Said {
    fn listen(&self) -> DefaultGuard {
        let said = self.clone();
        let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || said.clone());
        tracing::subscriber::set_default(lines.finish())
    }
}

const VALUES: [&str; 4] = ["the value of a parameter 1", "the bytes of a secret 2", "the bytes of a secret 3", SECRET];

#[tokio::test]
async fn no_value_stands_in_a_file_a_log_or_an_answer_but_that_of_a_parameter_where_it_is_asked_for() {
    let said = Said::default();
    let _listening = said.listen();
    let setting = Setting::new().await;
    setting.set(RouteId::SetParamOf, "/api/v1/repositories/own/params/p", json!({ "value": VALUES[0] })).await;
    setting.set(RouteId::SetSecretOf, "/api/v1/repositories/own/secrets/s", json!({ "value": VALUES[1] })).await;
    setting
        .set(RouteId::SetSecret, "/api/v1/secrets/s", json!({ "base64": base64(VALUES[2]), "branch": "main" }))
        .await;
    // What is wrong is said without it.
    let token = setting.token(&[Scope::Secrets], None, None).await;
    for wrong in [
        json!({ "base64": VALUES[1] }),
        json!({ "value": VALUES[1], "reveal": VALUES[1] }),
        json!({ "value": [VALUES[1]] }),
        json!({ "value": VALUES[1], "base64": VALUES[1] }),
        json!(VALUES[1]),
    ] {
        let path = "/api/v1/repositories/own/secrets/s";
        let (status, problem) = setting.call(RouteId::SetSecretOf, path, &token, &wrong).await;
        assert!(status == 400 && !problem.to_string().contains(VALUES[1]), "{wrong}: {problem}");
    }
    let params = setting.asks(RouteId::ListParamsOf, "/api/v1/repositories/own/params").await;
    assert_eq!(params["inputs"][0]["value"], VALUES[0], "{params}");
    for (id, path) in
        [(RouteId::ListSecretsOf, "/api/v1/repositories/own/secrets"), (RouteId::ListSecrets, "/api/v1/secrets")]
    {
        let listed = setting.asks(id, path).await;
        let one = &listed["inputs"][0];
        assert_eq!((&one["name"], &one["value"], &one["set_by"]), (&json!("s"), &Value::Null, &json!("token t")));
        assert!(VALUES.iter().all(|value| !listed.to_string().contains(value)), "{listed}");
    }
    let shown = format!("{:?}", setting.server);
    for value in VALUES {
        assert_eq!(stands_in(setting._home.path(), value.as_bytes()), None, "{value}");
        assert_eq!(stands_in(setting._home.path(), base64(value).as_bytes()), None, "{value}");
        assert!(!shown.contains(value) && !String::from_utf8_lossy(&said.0.lock().expect("no panic")).contains(value));
    }
    let log = String::from_utf8_lossy(&said.0.lock().expect("no panic")).into_owned();
    assert!(log.contains("a secret was set"), "it is heard what is said: {log}");
}

fn base64(text: &str) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn a_build_has_what_is_nearest_to_it_from_its_beginning_on_and_it_is_written_down_what_it_was_given() {
    let setting = Setting::new().await;
    let store = &setting.server.0.store;
    let own = store.repository("own").await.expect("read").expect("there");
    store.store_script(own.id, b"no component").await.expect("stored");
    let labelled = json!({ "labels": ["web", "web"] });
    let admin = setting.token(&[Scope::Admin], None, None).await;
    let (status, _) = setting.call(RouteId::SetLabels, "/api/v1/repositories/own/labels", &admin, &labelled).await;
    let (_, shown) = setting.call(RouteId::ShowRepository, "/api/v1/repositories/own", &admin, &Value::Null).await;
    assert_eq!((status, &shown["labels"]), (204, &json!(["web"])));

    let of_own = |kind: &str, name: &str| format!("/api/v1/repositories/own/{kind}/{name}");
    setting.set(RouteId::SetSecret, "/api/v1/secrets/all", json!({ "value": "for all", "reveal": true })).await;
    setting.set(RouteId::SetSecret, "/api/v1/secrets/near", json!({ "value": "far" })).await;
    setting.set(RouteId::SetSecret, "/api/v1/secrets/label", json!({ "value": "web", "label": "web" })).await;
    setting.set(RouteId::SetSecret, "/api/v1/secrets/other", json!({ "value": "db", "label": "db" })).await;
    setting.set(RouteId::SetSecretOf, &of_own("secrets", "near"), json!({ "value": "nearer" })).await;
    let near = json!({ "value": "nearest", "branch": "release/*" });
    setting.set(RouteId::SetSecretOf, &of_own("secrets", "near"), near).await;
    setting.set(RouteId::SetSecretOf, &of_own("secrets", "push"), json!({ "value": "x", "event": "push" })).await;
    setting.set(RouteId::SetParamOf, &of_own("params", "p"), json!({ "value": "kept" })).await;
    setting.set(RouteId::SetParamOf, &of_own("params", "q"), json!({ "value": "kept" })).await;

    let begun = async |body: Value| {
        let path = "/api/v1/repositories/own/builds";
        let (status, told) = setting.call(RouteId::TriggerBuild, path, &admin, &body).await;
        assert_eq!(status, 202, "{told}");
        let build = told["build"].as_str().expect("a build").to_owned();
        let requested = async {
            loop {
                let events = setting.server.host().builds().events_after(&build, 0).await.unwrap_or_default();
                if let Some(requested) = Requested::of(&events) {
                    return requested.clone();
                }
                tokio::task::yield_now().await;
            }
        };
        (tokio::time::timeout(HANGS, requested).await.expect("it begins"), build)
    };
    let (requested, build) = begun(json!({ "branch": "release/1", "params": { "p": "asked" } })).await;
    let names = |requested: &Requested| requested.secrets.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&requested), ["all", "label", "near"]);
    assert_eq!(requested.reveal.iter().collect::<Vec<_>>(), ["all"]);
    let params = [("p".to_owned(), "asked".to_owned()), ("q".to_owned(), "kept".to_owned())];
    assert_eq!(requested.params, params.into(), "what is asked for counts more");
    let uses = setting.asks(RouteId::ListInputsOfBuild, &format!("/api/v1/builds/{build}/inputs")).await;
    let used = |uses: &Value| {
        let one = |one: &Value| format!("{} {} {}", one["kind"], one["name"], one["branch"]).replace('"', "");
        let mut used: Vec<_> = uses["uses"].as_array().expect("a list").iter().map(one).collect();
        used.sort();
        used
    };
    let given = ["param p null", "param q null", "secret all null", "secret label null", "secret near release/*"];
    assert_eq!(used(&uses), given);

    // Another branch has another value, and who only says of which branch a commit is has what is for all.
    let near = |requested: &Requested| requested.secrets.get("near").cloned();
    let (on_main, _) = begun(json!({ "branch": "main" })).await;
    let (said, said_build) = begun(json!({ "branch": "release/1", "commit": "a".repeat(40) })).await;
    assert!(near(&on_main) != near(&requested) && near(&said) != near(&requested));
    let uses = setting.asks(RouteId::ListInputsOfBuild, &format!("/api/v1/builds/{said_build}/inputs")).await;
    assert!(used(&uses).contains(&"secret near null".to_owned()), "{uses}");

    // What was replaced or removed, the build still has when it is gone on with; no other one has it.
    let source = crate::sources::Stored { store: Arc::downgrade(store) };
    let value =
        async |build: &str| source.secrets_of(build).await.expect("read").get("near").map(|value| value.0.clone());
    let row = store.build(&build).await.expect("read").expect("there");
    let open = async |number: i64| {
        let mut db = SqliteConnectOptions::new().filename(setting._home.path().join("server.db"));
        db = db.disable_statement_logging();
        let mut db = db.connect().await.expect("a database");
        let update = sqlx::query("UPDATE builds SET ended = NULL WHERE number = ?").bind(number);
        update.execute(&mut db).await.expect("written");
    };
    let replaced = json!({ "value": "newer", "branch": "release/*" });
    open(row.number).await;
    setting.set_quietly("near", &replaced).await;
    assert_eq!(value(&build).await.as_deref(), Some(&b"nearest"[..]));
    let (other, _) = begun(json!({ "branch": "release/1" })).await;
    assert!(near(&other).is_some() && near(&other) != near(&requested));
    // When it is over, the value goes with the next that is set.
    store.build_ended(row.number, "success").await.expect("written");
    setting.set(RouteId::SetSecretOf, &of_own("secrets", "another"), json!({ "value": "x" })).await;
    let rows = store.given(crate::store::InputKind::Secret, &build).await.expect("read");
    assert!(rows.iter().all(|row| row.name != "near"), "{rows:?}");
    let uses = setting.asks(RouteId::ListUsesOf, "/api/v1/repositories/own/uses?name=near&limit=100").await;
    // The one that waited from the start begins too.
    let others = uses["uses"].as_array().expect("a list").iter().filter(|one| one["build"] != "local/own/k1").count();
    assert_eq!(others, 4, "it still stands there who had it: {uses}");

    let remove = async |query: &str| {
        let path = format!("/api/v1/repositories/own/secrets/near{query}");
        setting.call(RouteId::RemoveSecretOf, &path, &admin, &Value::Null).await.0
    };
    assert_eq!((remove("?branch=main").await, remove("?branch=release/*").await), (404, 204));
    assert_eq!((remove("").await, remove("").await), (204, 404));
    let (far, _) = begun(json!({ "branch": "release/1" })).await;
    assert!(near(&far).is_some() && near(&far) != near(&other));
}

impl Setting {
    /// Keeps a secret of `own` without looking which builds are over.
    async fn set_quietly(&self, name: &str, body: &Value) {
        use crate::store::{InputKind, NewInput, Place};
        let own = self.server.0.store.repository("own").await.expect("read").expect("there");
        let branch = body["branch"].as_str().map(|branch| branch.parse().expect("a pattern"));
        let place = Place { repository: Some(own.id), branch, ..Place::default() };
        let value = body["value"].as_str().expect("a text").as_bytes();
        let new =
            NewInput { kind: InputKind::Secret, name, place: &place, value, reveal: false, set_by: "t", set_ms: 2_000 };
        self.server.0.store.set_input(&new, 100).await.expect("written");
    }
}

#[tokio::test]
async fn values_names_labels_and_their_number_have_limits_and_a_secret_for_one_repository_has_no_label() {
    let setting = Setting::new().await;
    let token = setting.token(&[Scope::Secrets], None, None).await;
    let long = "x".repeat(crate::budget::LONGEST_VALUE + 1);
    for (name, body, expected) in [
        ("s", json!({ "value": long }), 413),
        ("s", json!({ "value": "" }), 400),
        ("s", json!({}), 400),
        ("s", json!({ "value": "a", "branch": "" }), 400),
        ("s", json!({ "value": "a", "event": "comment" }), 400),
        ("s", json!({ "value": "a", "label": "l" }), 400),
        ("a%20b", json!({ "value": "a" }), 400),
    ] {
        let path = format!("/api/v1/repositories/own/secrets/{name}");
        let (status, problem) = setting.call(RouteId::SetSecretOf, &path, &token, &body).await;
        assert_eq!(status, expected, "{name}: {problem}");
    }
    for body in [json!({ "value": "a", "reveal": true }), json!({ "base64": "YQ==" })] {
        let (status, problem) = setting.call(RouteId::SetParam, "/api/v1/params/p", &token, &body).await;
        assert_eq!(status, 400, "{problem}");
    }
    use crate::store::{InputKind, Kept, NewInput, Place};
    let place = Place { event: Some(Origin::Tag), ..Place::default() };
    let set = async |name: &str| {
        let new = NewInput {
            kind: InputKind::Param,
            name,
            place: &place,
            value: b"v",
            reveal: false,
            set_by: "t",
            set_ms: 1,
        };
        setting.server.0.store.set_input(&new, 2).await.expect("asked")
    };
    let kept = [set("a").await, set("b").await, set("c").await, set("a").await];
    assert_eq!(kept, [Kept::New, Kept::New, Kept::Full, Kept::Instead]);
    let many: Vec<_> = (0..=crate::budget::MAX_LABELS).map(|n| n.to_string()).collect();
    let admin = setting.token(&[Scope::Admin], None, None).await;
    for (labels, expected) in [(json!(many), 400), (json!(["a b"]), 400), (json!(["a"]), 204)] {
        let body = json!({ "labels": labels });
        let (status, _) = setting.call(RouteId::SetLabels, "/api/v1/repositories/own/labels", &admin, &body).await;
        assert_eq!(status, expected, "{body}");
    }
}

#[tokio::test]
async fn another_master_key_is_refused_and_one_that_follows_it_has_all_sealed_anew() {
    let setting = Setting::new().await;
    setting.set(RouteId::SetSecret, "/api/v1/secrets/s", json!({ "value": "hunter2" })).await;
    let Setting { server, day: _, _home: home } = setting;
    let home = home.path();
    server.close();
    drop(server);
    let key = |byte: u8| {
        MasterKey::parse(&::base64::Engine::encode(&::base64::engine::general_purpose::STANDARD, [byte; 32]), "a test")
            .expect("a key")
    };
    let works = async |choose: &dyn Fn(ServerBuilder) -> ServerBuilder| {
        let server = again(home, choose).await.expect("it opens");
        let rows = server.0.store.inputs(crate::store::InputKind::Secret, None).await.expect("read");
        let hook = server.0.store.repository("own").await.expect("read").expect("there").hook_secret;
        assert_eq!((server.0.store.value(&rows[0]).expect("opened"), hook.0.as_str()), (b"hunter2".to_vec(), SECRET));
        server.close();
    };
    works(&|server| server).await;
    // From the file to a key of one's own, to the next one, and not to one of which nobody has said what was before.
    works(&|server| server.master_key(key(1))).await;
    works(&|server| server.master_key(key(2)).master_key_before(key(1))).await;
    for choose in [
        &(|server: ServerBuilder| server.master_key(key(3))) as &dyn Fn(ServerBuilder) -> ServerBuilder,
        &(|server| server.master_key(key(3)).master_key_before(key(1))),
        &(|server| server),
    ] {
        let error = again(home, choose).await.expect_err("it is another one");
        assert!(matches!(error, ServerError::WrongKey { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(&key(2).name()) && !said.contains("hunter2"), "{said}");
    }
    works(&|server| server.master_key(key(2))).await;
    // A file that is gone is not drawn anew.
    std::fs::remove_file(home.join("server.key")).expect("it is there");
    assert!(matches!(again(home, |server| server).await, Err(ServerError::NoKey { .. })));
    std::fs::write(home.join("server.key"), &key(2).text().0).expect("written");
    assert!(matches!(again(home, |server| server).await, Err(ServerError::Key(_))), "others can read it");
    std::fs::set_permissions(home.join("server.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("set");
    works(&|server| server.rotate_master_key(true)).await;
    assert_ne!(MasterKey::read(&home.join("server.key")).expect("a key").name(), key(2).name());
    works(&|server| server).await;
    // As a server leaves it that dies before the new key has its name.
    std::fs::rename(home.join("server.key"), home.join("server.key.next")).expect("renamed");
    std::fs::write(home.join("server.key"), &key(2).text().0).expect("written");
    std::fs::set_permissions(home.join("server.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("set");
    works(&|server| server).await;
    assert!(!home.join("server.key.next").exists());
}

#[tokio::test]
async fn what_an_older_version_has_left_in_the_clear_is_sealed_and_leaves_no_trace() {
    let home = tempfile::tempdir().expect("a directory");
    let opened = again(home.path(), |server| server).await.expect("it opens");
    opened.close();
    drop(opened);
    let clear = "a secret that stood in the clear";
    let closed = async {
        while home.path().join("server.db-wal").exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANGS, closed).await.expect("it is closed");
    let db = SqliteConnectOptions::new().filename(home.path().join("server.db")).disable_statement_logging();
    let mut db = db.connect().await.expect("a database");
    let old = "INSERT INTO repositories (name, url, hook_secret, added_ms) VALUES ('old', 'file:///no', ?, 1)";
    sqlx::query(old).bind(clear).execute(&mut db).await.expect("written");
    sqlx::Connection::close(db).await.expect("closed");
    assert!(stands_in(home.path(), clear.as_bytes()).is_some());
    let server = again(home.path(), |server| server).await.expect("it opens");
    let repository = server.0.store.repository("old").await.expect("read").expect("there");
    assert_eq!(repository.hook_secret.0, clear);
    assert_eq!(stands_in(home.path(), clear.as_bytes()), None);
}
