//! What becomes of builds between the database and the host.

use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Mutex;

use monkeyci_build::{Event, EventBody};
use monkeyci_controller::{BuildRequest, GitAuth, Observer, SourceRequest};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::*;
use crate::starting::build_id;
use crate::store::BuildFilter;

impl Setting {
    /// Writes down that a build of `own` was asked for with a key, and tells nobody: its id, and its number.
    async fn waits(&self, key: &str) -> (String, i64) {
        self.waits_of("own", key).await
    }

    /// The same of a repository.
    async fn waits_of(&self, repository: &str, key: &str) -> (String, i64) {
        let own = self.server.0.store.repository(repository).await.expect("read").expect("there");
        let key = format!("{}/given/{key}", own.id);
        let build = build_id(&self.server, &own, &key);
        let asked = Asked { key, trigger: "api".to_owned(), ..Asked::default() };
        let new = NewBuild { build: build.clone(), asked, state: State::Waiting };
        let taken = self.server.0.store.take_build((own.id, &new), 1, most(100)).await.expect("written");
        assert_eq!(taken, Taken::New);
        let number = self.server.0.store.build(&build).await.expect("read").expect("there").number;
        (build, number)
    }

    async fn state(&self, build: &str) -> State {
        self.server.0.store.build(build).await.expect("read").expect("there").state
    }

    /// What has become of a build that waits.
    async fn settled(&self, build: &str) -> State {
        let settled = async {
            loop {
                match self.state(build).await {
                    State::Waiting => tokio::task::yield_now().await,
                    state => return state,
                }
            }
        };
        tokio::time::timeout(HANGS, settled).await.expect("somebody starts it")
    }

    /// A build that the host has, of which the database says that it waits: as a server leaves it that dies then.
    async fn left(&self, key: &str) -> String {
        let own = self.server.0.store.repository("own").await.expect("read").expect("there");
        let (url, auth) = ("file:///no/such/own".to_owned(), GitAuth::default());
        let source = SourceRequest::Git { url, reference: None, auth };
        let request = BuildRequest::new(Bytes::from_static(b"no component"), source);
        let request = request.key(format!("{}/given/{key}", own.id));
        // First: who starts builds looks whenever one has ended.
        let begun = self.server.0.host.submit(request).await.expect("it is taken");
        let (build, _) = self.waits(key).await;
        assert_eq!(begun.id(), build);
        build
    }
}

fn cancel(build: &str, token: &str) -> Request {
    request(route(RouteId::CancelBuild), &format!("/api/v1/builds/{build}/cancel"), Some(token), b"")
}

fn trigger(key: &str, token: &str) -> Request {
    let path = "/api/v1/repositories/own/builds";
    let mut request = request(route(RouteId::TriggerBuild), path, Some(token), b"{}");
    request.headers_mut().insert("idempotency-key", key.parse().expect("a value"));
    request
}

#[tokio::test]
async fn a_build_that_the_host_is_being_given_is_cancelled_there_and_not_in_the_database_alone() {
    let setting = Setting::new().await;
    let token = setting.token(&Scope::ALL, None, None).await;
    let (build, number) = setting.waits("a").await;
    let starting = &setting.server.0.starting;
    starting.enter(number).await;
    let mut asked = pin!(setting.ask(cancel(&build, &token)));
    let waits = async {
        while starting.listeners() == 0 {
            assert!(asked.as_mut().now_or_never().is_none(), "it is answered before the host has the build");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANGS, waits).await.expect("it waits for the host");
    assert_eq!(setting.state(&build).await, State::Waiting);
    // Nothing comes of it.
    assert!(setting.server.0.store.settle_build(number, State::Refused, None).await.expect("written"));
    starting.has_changed();
    assert_eq!(asked.await.0, StatusCode::CONFLICT);
    assert_eq!(setting.state(&build).await, State::Refused);
}

#[tokio::test]
async fn a_build_that_a_dead_server_has_left_the_host_with_is_neither_cancelled_nor_refused_in_the_database_alone() {
    let setting = Setting::new().await;
    let token = setting.token(&Scope::ALL, None, None).await;
    let build = setting.left("a").await;
    let (status, _, said) = setting.ask(cancel(&build, &token)).await;
    assert!([204, 409].contains(&status.as_u16()), "{said}");
    assert_eq!(setting.state(&build).await, State::Begun);
    // The repository has no script: a build that the host had not would be refused.
    let build = setting.left("b").await;
    setting.server.0.starting.wake();
    assert_eq!(setting.settled(&build).await, State::Begun);
}

#[tokio::test]
async fn a_build_that_was_accepted_is_started_though_nobody_waits_for_the_answer_or_was_told_of_it() {
    let setting = Setting::new().await;
    let token = setting.token(&Scope::ALL, None, None).await;
    let mut db = SqliteConnectOptions::new().filename(setting._home.path().join("server.db")).read_only(true);
    db = db.disable_statement_logging();
    let mut db = db.connect().await.expect("a database");
    {
        // Whoever asks is gone as soon as it is on disk.
        let mut asked = pin!(setting.server.router().oneshot(trigger("a", &token)));
        let written = async {
            loop {
                let answered = asked.as_mut().now_or_never().is_some();
                let builds: i64 =
                    sqlx::query_scalar("SELECT count(*) FROM builds").fetch_one(&mut db).await.expect("read");
                if answered || builds > 2 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HANGS, written).await.expect("it is taken");
    }
    let newest =
        setting.server.0.store.builds(&BuildFilter { limit: 1, ..BuildFilter::default() }).await.expect("read");
    assert_eq!(setting.settled(&newest[0].build).await, State::Refused);
    // One that nobody was told of is started when it is asked for again.
    let (build, _) = setting.waits("b").await;
    assert_eq!(setting.ask(trigger("b", &token)).await.0, StatusCode::ACCEPTED);
    assert_eq!(setting.settled(&build).await, State::Refused);
}

/// Which builds run, and which have begun, in their order.
#[derive(Default)]
struct Watched(Mutex<(Vec<String>, Vec<String>, usize)>);

impl Observer for Watched {
    fn event(&self, build: &str, event: &Event) {
        let (running, begun, most) = &mut *self.0.lock().expect("no panic");
        match event.body {
            EventBody::BuildTriggered { .. } => {
                running.push(build.to_owned());
                begun.push(build.to_owned());
                *most = running.len().max(*most);
            }
            EventBody::BuildEnded { .. } => running.retain(|other| other != build),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_repository_that_floods_takes_no_more_places_than_there_are_and_others_take_turns_with_it() {
    let watched = Arc::new(Watched::default());
    let observer = watched.clone();
    let setting = Setting::with(|host| host.observer(observer), |server| server.at_once(NonZeroUsize::MIN)).await;
    let token = setting.token(&Scope::ALL, None, None).await;
    let store = &setting.server.0.store;
    for name in ["own", "other"] {
        let repository = store.repository(name).await.expect("read").expect("there");
        store.store_script(repository.id, b"no component").await.expect("stored");
    }
    let mut flood = Vec::new();
    for number in 0..30 {
        flood.push(setting.waits(&number.to_string()).await.0);
    }
    let (other, _) = setting.waits_of("other", "a").await;
    let show = |build: &str| request(route(RouteId::ShowBuild), &format!("/api/v1/builds/{build}"), Some(&token), b"");
    let (_, _, shown) = setting.ask(show(&flood[29])).await;
    let reason = shown["reason"].as_str().expect("why it waits");
    assert!(
        reason.starts_with("it waits for a place: ") && reason.ends_with("30 of its repository are before it"),
        "{reason}"
    );

    setting.server.0.starting.wake();
    for build in flood.iter().chain([&other]) {
        // Its code can't be had: that is an end too.
        let settled = setting.settled(build).await;
        assert!(settled == State::Begun, "{build}: {settled:?}");
    }
    let ended = async {
        while !watched.0.lock().expect("no panic").0.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANGS, ended).await.expect("all end");
    let (_, _, shown) = setting.ask(show(&other)).await;
    assert_eq!(shown["reason"], Value::Null);
    let (_, begun, most) = &*watched.0.lock().expect("no panic");
    assert_eq!(*most, 1, "one at a time");
    // Each repository has one more, which stands there from the start.
    assert_eq!(begun.len(), 33, "{begun:?}");
    let place = begun.iter().position(|build| *build == other).expect("it begins");
    assert!(place <= 3, "{:?}", &begun[..=place]);
}
