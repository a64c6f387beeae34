//! A build that calls too often.

use std::time::Duration;

use monkeyci_api::{Role, grants};

use super::{BUILD, Rig};
use crate::build_api::pace::Pace;

#[tokio::test]
async fn a_build_that_calls_too_often_waits_and_no_other_one_with_it() {
    let rig = Rig::defining().await;
    let token = |build: &str| {
        let bearer = (Role::Script { job: None }, 0);
        rig.api.tokens.issue(build, bearer, grants::define(), Duration::from_secs(60)).expect("a token")
    };
    let (greedy, other) = (rig.client(BUILD, token(BUILD)), rig.client("org/repo/2", token("org/repo/2")));
    greedy.params().await.expect("one call is not too often");
    let now = rig.api.tokens.passed();
    let served = rig.api.served(BUILD).expect("served");
    served.pace.is_used_up_for(now, Duration::from_secs(60 * 60));
    // What is refused is not counted, and does not wait.
    rig.client(BUILD, token("org/repo/2")).params().await.expect_err("a token of another build");
    let waits = tokio::spawn(async move { greedy.params().await.is_ok() });
    for _ in 0..1000 {
        other.params().await.expect("it has called for the first time");
    }
    assert!(!waits.is_finished(), "for an hour");
    waits.abort();
    assert!(Pace::default().turn(now).is_zero());
}
