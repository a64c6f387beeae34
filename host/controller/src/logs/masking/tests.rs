use std::collections::BTreeMap;

use monkeyci_api::Hidden;
use monkeyci_build::{
    AddressRange, Again, BuildStatus, CacheSpec, Call, Changes, Command, ContainerSpec, Destination, DestinationHost,
    Ending, EventBody, Held, JobKind, JobSummary, LateValue, NetworkMode, ParamKind, ParamSpec, Readiness, Requested,
    RequestedSource, RestoreArtifact, Retry, ReusedJob, RunWhen, SaveArtifact, Selection, ServiceSpec, ShellCommand,
    ShellLine, SidecarReport, Source, TestFailure, TestSummary,
};

use proptest::prelude::*;

use self::endings::endings;
use self::faults::faults;
use super::*;

mod endings;
mod faults;

/// With characters that JSON escapes.
const SECRETS: [&str; 3] = ["sw0rdfish", "pass\"word\\é", "two\nlines-of-it"];

fn masking(secrets: &[(&str, &str)]) -> Masking {
    let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), Hidden(value.as_bytes().to_vec()))).collect();
    Masking::new(&Inputs { secrets, ..Inputs::default() }).expect("few secrets")
}

fn map(text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(text.to_owned(), text.to_owned())])
}

/// A job with the text in every field.
fn job(text: &str) -> JobSpec {
    let s = || text.to_owned();
    let service = ServiceSpec {
        name: s(),
        image: s(),
        argv: Some(vec![s()]),
        env: map(text),
        secret_env: map(text),
        readiness: vec![Readiness::Port(1), Readiness::Command(vec![s()])],
        ready_timeout_ms: 1,
    };
    let container = ContainerSpec {
        image: s(),
        command: Command::Shell(ShellCommand { lines: vec![s()], program: vec![s()], each: false }),
        env: map(text),
        late_env: BTreeMap::from([(s(), LateValue::Secret("token".to_owned()))]),
        work_dir: s(),
        user: Some(s()),
        architecture: Some(s()),
        memory_bytes: None,
        cpu_millis: None,
        shm_bytes: None,
        pull: Default::default(),
        entrypoint_of_image: false,
        with_git: false,
        save_artifacts: vec![SaveArtifact { id: s(), path: s(), files: vec![s()], ..SaveArtifact::default() }],
        restore_artifacts: vec![RestoreArtifact { id: s(), path: s(), ..RestoreArtifact::default() }],
        caches: vec![CacheSpec {
            id: s(),
            path: s(),
            more_paths: vec![s()],
            key: s(),
            fallbacks: vec![s()],
            ..CacheSpec::default()
        }],
        test_reports: vec![s()],
        network: NetworkMode::Internet,
        network_allow: vec![Destination { host: DestinationHost::Name(s()), port: None }],
        services: vec![service],
    };
    JobSpec {
        id: s(),
        needs: vec![],
        removed_needs: vec![],
        timeout_ms: 1,
        run_when: RunWhen::Always,
        allow_failure: false,
        retry: Some(Retry { count: 1, on: vec![], delay_ms: 1 }),
        priority: 0,
        fail_fast: Some(s()),
        approval: Some(s()),
        manual: false,
        late: false,
        labels: map(text),
        calls: Some(Call { handler: s(), argument: s() }),
        creates_artifacts: vec![s()],
        kind: JobKind::Container(Box::new(container)),
    }
}

fn results(text: &str) -> Results {
    let s = || text.to_owned();
    let failures = vec![TestFailure { name: s(), message: s() }];
    Results {
        message: Some(s()),
        warning: Some(s()),
        outputs: map(text),
        links: vec![(s(), s())],
        tests: Some(TestSummary { total: 1, failures, ..TestSummary::default() }),
        coverage: None,
    }
}

/// The event after one of a kind, with the text in every field that may hold any text: what an event says of jobs, outputs,
/// names and ids is data, which other checks keep secrets out of. A new event can't be left out: the match would not compile.
fn next_event(before: Option<&EventBody>, text: &str) -> Option<EventBody> {
    let s = || text.to_owned();
    let job = || "job".to_owned();
    let json = || serde_json::json!({ text: [text, 1.5, null], "b": { "c": text } }).to_string();
    let held = |held| EventBody::JobHeld { job: job(), attempt: 1, number: 1, held: Box::new(held), limit_ms: 1 };
    Some(match before {
        None => EventBody::BuildTriggered { build: "o/r/1".to_owned(), trigger: s() },
        Some(EventBody::BuildTriggered { .. }) => {
            let source = RequestedSource::Git { url: "u".to_owned(), reference: None };
            let requested = Requested {
                script: "5c".to_owned(),
                source,
                params: BTreeMap::new(),
                secret_params: BTreeMap::new(),
                secrets: BTreeMap::new(),
                reveal: Default::default(),
                max_running: std::num::NonZeroUsize::MIN,
                timeout_ms: None,
                keep: false,
                keep_failed: false,
                breaks: Default::default(),
                select: None,
                given: Default::default(),
                confined: Default::default(),
                tells_actions: true,
                tells_ends: true,
                key_name: None,
            };
            EventBody::BuildRequested { request: Box::new(requested) }
        }
        Some(EventBody::BuildRequested { .. }) => {
            EventBody::BuildRerun { of: "o/r/1".to_owned(), by: s(), what: Again::Failed, with_changes: false }
        }
        Some(EventBody::BuildRerun { .. }) => EventBody::BuildResumed { by: s() },
        Some(EventBody::BuildResumed { .. }) => EventBody::ScriptTold { told: Box::default() },
        Some(EventBody::ScriptTold { .. }) => EventBody::JobTold { job: job(), attempt: 1, calls: vec![] },
        Some(EventBody::JobTold { .. }) => EventBody::BuildCheckedOut {
            source: Source {
                git_url: Some(s()),
                message: Some(s()),
                author: Some(s()),
                branch: Some("main".to_owned()),
                changes: Some(Box::new(Changes::default())),
                ..Source::default()
            },
        },
        Some(EventBody::BuildCheckedOut { .. }) => {
            EventBody::ScriptLoaded { digest: "d".to_owned(), size: 1, cached: true }
        }
        Some(EventBody::ScriptLoaded { .. }) => {
            let mut results = results(text);
            results.outputs.clear();
            let reused = ReusedJob {
                job: job(),
                ending: Ending::ActionFailed { message: s() },
                results: Some(Box::new(results)),
                artifacts: vec![],
                submitted: None,
            };
            let (left_out, again) = (vec![(job(), s())], vec![(job(), s())]);
            EventBody::JobsSelected {
                selection: Box::new(Selection { reused: vec![reused], left_out, again, started: vec![job()] }),
            }
        }
        Some(EventBody::JobsSelected { .. }) => EventBody::BuildRefused { message: s() },
        Some(EventBody::BuildRefused { .. }) => EventBody::ScriptDefined {
            jobs: vec![],
            removed: vec![(job(), s())],
            params: vec![ParamSpec {
                name: "p".to_owned(),
                kind: ParamKind::Text,
                default: None,
                required: false,
                description: Some(s()),
            }],
        },
        Some(EventBody::ScriptDefined { .. }) => EventBody::JobsSubmitted { by: job(), attempt: 1, jobs: vec![] },
        Some(EventBody::JobsSubmitted { .. }) => {
            EventBody::JobBlocked { job: job(), attempt: 1, message: s(), runs: Some(s()) }
        }
        Some(EventBody::JobBlocked { .. }) => {
            EventBody::JobApproved { job: job(), attempt: 1, by: s(), comment: Some(s()) }
        }
        Some(EventBody::JobApproved { .. }) => EventBody::JobRefined { job: Box::new(self::job("x")), attempt: 1 },
        Some(EventBody::JobRefined { .. }) => {
            EventBody::JobWaiting { job: job(), attempt: 1, jobs: vec![job()], rest: false }
        }
        Some(EventBody::JobWaiting { .. }) => {
            let mut results = results(text);
            results.outputs.clear();
            EventBody::JobResults { job: job(), attempt: 1, results: Box::new(results) }
        }
        Some(EventBody::JobResults { .. }) => {
            let report = SidecarReport::Ended(Ending::ActionFailed { message: s() });
            EventBody::JobReported { job: job(), attempt: 1, report: Box::new(report) }
        }
        Some(EventBody::JobReported { report, .. }) if matches!(**report, SidecarReport::Ended(_)) => {
            let report = SidecarReport::LauncherGone { during: Some(s()) };
            EventBody::JobReported { job: job(), attempt: 1, report: Box::new(report) }
        }
        Some(EventBody::JobReported { .. }) => {
            EventBody::JobRetried { job: job(), attempt: 1, ending: Ending::ActionFailed { message: s() }, delay_ms: 1 }
        }
        Some(EventBody::JobRetried { .. }) => {
            EventBody::OutsideEvent { by: s(), name: "n".to_owned(), payload: json() }
        }
        Some(EventBody::OutsideEvent { .. }) => {
            EventBody::BuildFailed { script: true, message: s(), faults: faults(text) }
        }
        Some(EventBody::BuildFailed { .. }) => EventBody::BuildWarned { message: s() },
        Some(EventBody::BuildWarned { .. }) => EventBody::JobStarted { job: job(), attempt: 1 },
        Some(EventBody::JobStarted { .. }) => EventBody::JobRunning { job: job(), attempt: 1 },
        Some(EventBody::JobRunning { .. }) => held(Held::Failure { ending: Ending::ActionFailed { message: s() } }),
        Some(EventBody::JobHeld { held: at, .. }) if matches!(**at, Held::Failure { .. }) => {
            held(Held::Before { line: ShellLine { number: 1, text: s() } })
        }
        Some(EventBody::JobHeld { held: at, .. }) if matches!(**at, Held::Before { .. }) => {
            held(Held::After { line: ShellLine { number: 1, text: s() } })
        }
        Some(EventBody::JobHeld { .. }) => EventBody::JobContinued { job: job(), attempt: 1, by: s() },
        Some(EventBody::JobContinued { .. }) => {
            EventBody::JobEnded { job: job(), attempt: 1, ending: Ending::ActionFailed { message: s() } }
        }
        Some(EventBody::JobEnded { .. }) => EventBody::CancelRequested { by: s() },
        Some(EventBody::CancelRequested { .. }) => EventBody::BuildTimedOut { after_ms: 1 },
        Some(EventBody::BuildTimedOut { .. }) => {
            EventBody::ScriptEvent { job: Some(job()), attempt: 1, name: "n".to_owned(), payload: json() }
        }
        Some(EventBody::ScriptEvent { .. }) => EventBody::ScriptReport { job: Some(job()), attempt: 1, message: s() },
        Some(EventBody::ScriptReport { .. }) => {
            EventBody::ParamAsked { job: Some(job()), attempt: 1, param: Some("p".to_owned()) }
        }
        Some(EventBody::ParamAsked { .. }) => {
            EventBody::ArtifactSaved { job: job(), attempt: 1, id: "a".to_owned(), size: 1, digest: "d".to_owned() }
        }
        Some(EventBody::ArtifactSaved { .. }) => {
            let mut results = results(text);
            results.outputs.clear();
            let summary =
                |ending| JobSummary { job: job(), ending, duration_ms: None, results: Some(Box::new(results.clone())) };
            EventBody::BuildEnded {
                status: BuildStatus::Failure,
                jobs: endings(text).into_iter().map(summary).collect(),
            }
        }
        Some(EventBody::BuildEnded { .. }) => return None,
    })
}

/// Every string of a JSON value, keys too.
fn strings(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        serde_json::Value::Object(fields) => {
            found.extend(fields.keys().cloned());
            fields.values().for_each(|value| strings(value, found));
        }
        _ => {}
    }
}

/// Checks that no event lets the secret out, of which each of its fields with words has `before` and `after` around it.
fn in_no_event(secret: &str) {
    let masking = masking(&[("token", secret)]);
    let text = format!("before {secret} after");
    let (mut before, mut seen) = (None, 0);
    while let Some(event) = next_event(before.as_ref(), &text) {
        let masked = masking.event(event.clone());
        let mut texts = Vec::new();
        strings(&serde_json::to_value(&masked).expect("JSON"), &mut texts);
        for said in texts {
            assert_eq!(masking.find(&said), None, "{}: {said}", event.kind());
            assert!(!said.contains(secret), "{}: {said}", event.kind());
            seen += usize::from(said.contains("before *** after"));
        }
        if let Some((_, payload)) = masked.published() {
            let value: serde_json::Value = serde_json::from_str(payload).expect("JSON still");
            assert_eq!(value["b"]["c"], "before *** after");
        }
        before = Some(event);
    }
    assert!(seen > 100, "there are words in {seen} fields only");
}

#[test]
fn no_event_of_any_type_lets_a_secret_out_in_its_words() {
    SECRETS.into_iter().for_each(in_no_event);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// (What is nowhere in the words of these tests: a digit is in the midst of it.)
    #[test]
    fn no_event_of_any_type_lets_any_secret_out_in_its_words(
        secret in r#"[!-~äé]{1,12}[ "\\\\\t\n]?[a-zA-Z!-/]{2}[0-9]{3}[!-~ "'\\\\\n]{0,20}[!-~]{2}"#,
    ) {
        in_no_event(&secret);
    }
}

#[test]
fn a_job_with_the_value_of_a_secret_in_any_field_is_refused_naming_the_field_and_the_secret() {
    let masking = masking(&[("pin", "1234"), ("token", "sw0rdfish")]);
    let whole = job("a sw0rdfish of");
    let mut fields = Vec::new();
    whole.texts(&mut |field, _| {
        if !fields.contains(&masking.text(field)) {
            fields.push(masking.text(field));
        }
    });
    let faults = masking.values_in(std::slice::from_ref(&whole));
    let found: Vec<&str> = faults.0.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(found, fields);
    assert!(fields.len() >= 24, "{fields:?}");
    // Nothing of the script's own is overlooked: every text of the job as it is written down is in one of these.
    let mut written = Vec::new();
    strings(&serde_json::to_value(&whole).expect("JSON"), &mut written);
    let with_secret = written.iter().filter(|text| text.contains("sw0rdfish")).count();
    let mut seen = 0;
    whole.texts(&mut |_, _| seen += 1);
    // Names of secrets are none of the texts.
    assert_eq!(seen, with_secret - 1);
    let said = faults.to_string();
    assert!(
        said.contains("image: has the value of the secret \"token\" in it") && !said.contains("sw0rdfish"),
        "{said}"
    );
}

#[test]
fn what_only_our_own_words_have_in_common_with_a_secret_blocks_no_job() {
    let names = ["image", "shell", "null", "true", "internet", "container", "always", "services", "secret"];
    let secrets: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
    let faults = masking(&secrets).values_in(&[job("x")]);
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn an_output_with_a_secret_in_it_is_left_out_and_the_job_warned_of_both() {
    let mut said = Results::default();
    said.outputs.insert("image".to_owned(), "registry/acme/app:1".to_owned());
    said.outputs.insert("version".to_owned(), "1".to_owned());
    said.warn("slow");
    masking(&[("org", "acme")]).withhold(&mut said);
    assert_eq!(said.outputs.keys().collect::<Vec<_>>(), ["version"]);
    let warning = said.warning.expect("a warning");
    assert!(warning.starts_with("slow; ") && warning.contains("\"image\"") && warning.contains("\"org\""), "{warning}");
}

#[test]
fn a_payload_is_masked_inside_its_strings_and_stays_as_it_was_written() {
    let masking = masking(&[("pin", "12345678"), ("word", "pass\"word")]);
    let payload =
        r#"{ "n": 1.10, "big": 99999999999999999999, "a\u0062": "x\ty", "p": "it is pass\"word", "q":"12345678" }"#;
    let masked = r#"{ "n": 1.10, "big": 99999999999999999999, "a\u0062": "x\ty", "p": "it is ***", "q":"***" }"#;
    assert_eq!(masking.json(payload).as_deref(), Ok(masked));
    assert_eq!(masking.json(r#"{"pin":12345678}"#), Err("pin"));
}

#[test]
fn a_range_of_addresses_is_a_text_too() {
    let range = AddressRange::new([10, 0, 0, 0].into(), 8).expect("a range");
    let mut spec = job("x");
    if let JobKind::Container(container) = &mut spec.kind {
        container.network_allow = vec![Destination { host: DestinationHost::Range(range), port: Some(5432) }];
    }
    let faults = masking(&[("net", "10.0.0.0/8:5432")]).values_in(&[spec]);
    assert_eq!(faults.0.len(), 1, "{faults}");
}

#[test]
fn a_secret_is_known_in_bytes_of_any_kind() {
    let mut secrets: BTreeMap<_, _> =
        SECRETS.iter().map(|secret| ((*secret).to_owned(), Hidden(secret.as_bytes().to_vec()))).collect();
    let binary = b"\xff\x00\xfe-binary-\x80".to_vec();
    secrets.insert("binary".to_owned(), Hidden(binary.clone()));
    let masking = Masking::new(&Inputs { secrets, ..Inputs::default() }).expect("few secrets");
    for secret in SECRETS {
        let json = serde_json::json!({ "a": [format!("x{secret}y")] }).to_string();
        for bytes in [secret.as_bytes(), json.as_bytes(), &[b"\xff", secret.as_bytes(), b"\xff"].concat()] {
            assert!(masking.is_in(bytes), "{}", String::from_utf8_lossy(bytes));
        }
    }
    assert!(masking.is_in(&[b"before", &binary[..], b"after"].concat()));
    for none in [&b""[..], b"nothing", b"{\"a\": \"sw0rdfis\"}", b"\xff\x00"] {
        assert!(!masking.is_in(none), "{none:?}");
    }
}
