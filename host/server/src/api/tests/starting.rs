//! What becomes of builds between the database and the host.

use std::pin::pin;

use monkeyci_controller::{BuildRequest, GitAuth, SourceRequest};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::*;
use crate::starting::build_id;
use crate::store::BuildFilter;

impl Setting {
    /// Writes down that a build of `own` was asked for with a key, and tells nobody: its id, and its number.
    async fn waits(&self, key: &str) -> (String, i64) {
        let own = self.server.0.store.repository("own").await.expect("read").expect("there");
        let key = format!("{}/given/{key}", own.id);
        let build = build_id(&self.server, &own, &key);
        let asked = Asked { key, trigger: "api".to_owned(), ..Asked::default() };
        let taken = self.server.0.store.take_build((own.id, &build, &asked), 1, 100).await.expect("written");
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
        let (build, _) = self.waits(key).await;
        let row = self.server.0.store.build(&build).await.expect("read").expect("there");
        let (url, auth) = ("file:///no/such/own".to_owned(), GitAuth::default());
        let source = SourceRequest::Git { url, reference: None, auth };
        let request = BuildRequest::new(Bytes::from_static(b"no component"), source).key(row.asked.key);
        let begun = self.server.0.host.submit(request).await.expect("it is taken");
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
