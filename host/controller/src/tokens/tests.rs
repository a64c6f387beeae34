//! Tokens that another process has made.

use super::*;
use crate::clock::MachineClock;

#[test]
fn a_token_of_a_dead_process_counts_for_what_it_was_made_for_and_as_long_as_it_is_held() {
    let process = || Arc::new(Tokens::new(MachineClock::new()));
    let (dead, tokens) = (process(), process());
    let sidecar = |job: &str| Role::Sidecar { job: job.to_owned() };
    let scopes = vec![Scope::LogWrite];
    let token = dead.issue("o/r/1", (sidecar("a"), 2), scopes.clone(), Duration::from_secs(60)).expect("a token");
    assert!(tokens.check(token.expose()).is_err(), "nobody has said that it counts");
    for (build, job, attempt) in [("o/r/2", "a", 2), ("o/r/1", "b", 2), ("o/r/1", "a", 1)] {
        assert!(tokens.adopt(&token, build, (&sidecar(job), attempt)).is_none(), "{build} {job} {attempt}");
    }
    assert!(tokens.adopt(&token, "o/r/1", (&Role::Script { job: Some("a".to_owned()) }, 2)).is_none());
    assert!(tokens.check(token.expose()).is_err());

    let adopted = tokens.adopt(&token, "o/r/1", (&sidecar("a"), 2)).expect("its own");
    let claims = tokens.check(token.expose()).expect("it counts");
    assert_eq!((claims.sub.as_str(), claims.attempt, &claims.scopes), ("o/r/1", 2, &scopes));
    // Not one like it: who has the claims, and no key, has no token.
    let forged = dead.sign(&claims).expect("a token");
    let forged = forged.expose().rsplit_once('.').expect("parts").0.to_owned() + ".forged";
    assert!(tokens.check(&forged).is_err());
    drop(adopted);
    assert!(tokens.check(token.expose()).is_err());
}
