use std::num::NonZeroUsize;

use monkeyci_api::Hidden;
use monkeyci_build::{Event, JobDraft, ToldAnswer, check};

use super::*;
use crate::source::SourceRequest;

const DIGESTS: Digests<'_> = Digests { key: "of this home", build: "o/r/1" };

fn inputs(secrets: &[(&str, &str)], params: &[(&str, &str)]) -> Inputs {
    let secret = |(name, value): &(&str, &str)| ((*name).to_owned(), Hidden(value.as_bytes().to_vec()));
    let param = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Inputs {
        secrets: secrets.iter().map(secret).collect(),
        params: params.iter().map(param).collect(),
        ..Inputs::default()
    }
}

fn request(inputs: Inputs) -> BuildRequest {
    let url = "https://ann:t0ps3cret@host/repo".to_owned();
    BuildRequest {
        script: Default::default(),
        source: SourceRequest::Git { url, reference: Some("main".to_owned()), auth: Default::default() },
        inputs,
        trigger: "cli".to_owned(),
        max_running: NonZeroUsize::new(3).expect("not 0"),
        timeout: Some(Duration::from_secs(60)),
        keep: true,
        keep_failed: true,
        breaks: Default::default(),
        select: None,
        given: Default::default(),
        key: None,
        digest: Default::default(),
    }
}

/// What the journal of a build with these inputs tells.
fn known(inputs: Inputs) -> Known {
    let request = request(inputs);
    let masking = Masking::new(&request.inputs).expect("few secrets");
    let request = Box::new(request.requested(&masking, &DIGESTS));
    let bodies = [
        EventBody::BuildTriggered { build: "o/r/1".to_owned(), trigger: "cli".to_owned() },
        EventBody::BuildRequested { request },
    ];
    let events: Vec<_> =
        bodies.into_iter().zip(1..).map(|(body, seq)| Event { seq, time_ms: 100 + seq, body }).collect();
    // As it stands in a journal.
    let text = serde_json::to_string(&events).expect("JSON");
    for secret in ["t0ps3cret", "sw0rdfish"] {
        assert!(!text.contains(secret), "{text}");
    }
    Known::of(&serde_json::from_str::<Vec<Event>>(&text).expect("events"))
}

fn again(known: &Known, inputs: Inputs) -> Result<BuildRequest, ResumeError> {
    let resume = ResumeRequest { build: "o/r/1".to_owned(), inputs, ..ResumeRequest::default() };
    BuildRequest::again(&resume, known, known.requested.as_ref().expect("a request"), &DIGESTS)
}

#[test]
fn a_build_goes_on_with_what_it_was_asked_to_be() {
    let known = known(inputs(&[], &[("version", "1.10")]));
    assert_eq!((known.started_ms, known.last_ms, known.needs()), (101, 102, Needed::default()));
    let again = again(&known, Inputs::default()).expect("enough");
    assert_eq!((again.max_running.get(), again.timeout), (3, Some(Duration::from_secs(60))));
    assert!(again.keep && again.keep_failed);
    assert_eq!((again.trigger.as_str(), &again.inputs.params["version"][..]), ("cli", "1.10"));
    let SourceRequest::Git { url, reference, .. } = again.source else { panic!("another source") };
    assert_eq!((url.as_str(), reference.as_deref()), ("https://host/repo", Some("main")));
}

#[test]
fn what_no_journal_has_is_asked_for_by_name_all_at_once() {
    let given = || inputs(&[("token", "sw0rdfish"), ("key", "k3y-k3y-k3y")], &[("url", "u/sw0rdfish"), ("v", "1")]);
    let known = known(given());
    let error = again(&known, inputs(&[("key", "k3y-k3y-k3y")], &[])).expect_err("not enough");
    assert!(error.to_string().ends_with("--secret token=FILE --param url=VALUE"), "{error}");
    let again = again(&known, inputs(&[("token", "sw0rdfish"), ("key", "k3y-k3y-k3y")], &[("url", "u/sw0rdfish")]));
    assert_eq!(again.expect("enough").inputs.params, given().params);
}

#[test]
fn another_value_than_the_build_began_with_is_refused() {
    let known = known(inputs(&[("token", "sw0rdfish")], &[("v", "1"), ("url", "u/sw0rdfish")]));
    let all = [("token", "sw0rdfish")];
    for (secrets, params, name) in [
        (&[("token", "another")][..], &[("url", "u/sw0rdfish")][..], "secret \"token\""),
        (&[all[0], ("more", "x")], &[("url", "u/sw0rdfish")], "secret \"more\""),
        (&all, &[("url", "u/another")], "parameter \"url\""),
        (&all, &[("url", "u/sw0rdfish"), ("v", "2")], "parameter \"v\""),
        (&all, &[("url", "u/sw0rdfish"), ("w", "1")], "parameter \"w\""),
    ] {
        let error = again(&known, inputs(secrets, params)).expect_err(name).to_string();
        assert!(error.starts_with(&format!("the {name} is not what")), "{error}");
    }
}

#[test]
fn a_digest_tells_nothing_to_who_has_not_the_home_s_key_and_is_another_for_each_build_and_name() {
    let of = |key, build, name| Digests { key, build }.of("secret", name, b"1234");
    let one = of("key", "o/r/1", "pin");
    assert_eq!(one, of("key", "o/r/1", "pin"));
    for other in [of("other", "o/r/1", "pin"), of("key", "o/r/2", "pin"), of("key", "o/r/1", "pin2")] {
        assert_ne!(one, other);
    }
}

#[test]
fn one_more_run_needs_the_secrets_that_its_script_asks_for_and_all_where_that_is_not_known() {
    let all = || vec!["token".to_owned(), "unused".to_owned()];
    let asked = vec!["token".to_owned()];
    let told = |requests: &[&str], withheld: Option<&str>| {
        let answer = ToldAnswer::Again { bytes: 9, digest: "d".to_owned(), secret: true };
        let call = |request: &&str| ToldCall { request: (*request).to_owned(), answer: answer.clone() };
        let calls = requests.iter().map(call).collect();
        Some(Told { time_ms: 1, calls, withheld: withheld.map(str::to_owned), workspace: None })
    };
    let container = JobDraft {
        image: Some("image".to_owned()),
        argv: Some(vec!["true".to_owned()]),
        ..JobDraft::container("unit")
    };
    let late = JobDraft { late: true, ..JobDraft::container("later") };
    let jobs = check(&[container, late, JobDraft::action("act")], &[]).expect("no faults").graph.jobs().to_vec();
    let [container, late, action] =
        ["unit", "later", "act"].map(|id| jobs.iter().find(|job| job.id == id).expect("declared").clone());
    let get = "secrets.get(\"token\")";
    for (told, runs, needed) in [
        (told(&["params.get(\"a\")", get], None), vec![&container], &asked),
        (told(&[get], None), vec![], &asked),
        (told(&[], None), vec![&container], &vec![]),
        // What an action asks for, and a job that is completed later, only the script knows.
        (told(&[get], None), vec![&container, &action], &all()),
        (told(&[get], None), vec![&late], &all()),
        // Nobody knows what was asked for.
        (told(&[get, "secrets.get(with a secret: 0f)"], None), vec![&container], &all()),
        (told(&[get], Some("token")), vec![&container], &all()),
        (None, vec![&container], &all()),
    ] {
        let mut known = known(inputs(&[("token", "sw0rdfish"), ("unused", "t0ps3cret")], &[("url", "u/sw0rdfish")]));
        known.told = told;
        let needs = known.needs_again(runs.iter().copied());
        assert_eq!(&needs.secrets, needed, "{:?} {runs:?}", known.told);
        assert_eq!(needs.params, ["url"], "a secret stands in it, and no journal has it");
    }
}
