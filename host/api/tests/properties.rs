//! Rules of the wire: whatever is sent arrives, in pieces of any size, and names are never taken for paths.

use monkeyci_api::{Action, Claims, FileQuery, LogDecoder, LogFrame, LogStream, Operation, Role, Scope, authorise};
use proptest::prelude::*;

fn streams() -> impl Strategy<Value = LogStream> {
    prop_oneof![Just(LogStream::Stdout), Just(LogStream::Stderr), Just(LogStream::Host)]
}

fn actions() -> impl Strategy<Value = Action> {
    let id = "[ab]".prop_map(String::from);
    prop_oneof![
        Just(Action::ReadBuild),
        id.clone().prop_map(Action::ReadParam),
        Just(Action::PublishEvent),
        Just(Action::AddReport),
        id.clone().prop_map(Action::ReadJob),
        proptest::option::of(id.clone()).prop_map(Action::WriteLog),
        id.clone().prop_map(Action::ReadPlan),
        id.clone().prop_map(Action::ReportRunning),
        id.clone().prop_map(Action::ReportHeld),
        id.clone().prop_map(Action::ReportResult),
        Just(Action::ReadWorkspace),
        id.clone().prop_map(Action::ReadArtifact),
        id.clone().prop_map(Action::SaveArtifact),
        id.clone().prop_map(Action::ReadCache),
        id.clone().prop_map(Action::SaveCache),
        Just(Action::ListParams),
        Just(Action::ListSecrets),
        id.clone().prop_map(Action::ReadSecret),
        id.clone().prop_map(Action::RevealSecret),
        Just(Action::ReadEvents),
        Just(Action::SubmitJobs),
        Just(Action::WaitForJobs),
        id.clone().prop_map(Action::ReportOutputs),
        id.clone().prop_map(Action::ReportTests),
        id.clone().prop_map(|path| Action::ReadFiles(FileQuery::Content(path))),
        Just(Action::ReadFiles(FileQuery::Hash)),
        id.clone().prop_map(Action::WriteOutput),
        id.clone().prop_map(Action::ExtendOutput),
        Just(Action::ListArtifacts),
        id.clone().prop_map(|id| Action::ReadArtifactFile(id, "file".to_owned())),
        id.clone().prop_map(|id| Action::CreateArtifact(id, "file".to_owned())),
        id.prop_map(|id| Action::SaveOutput(id, "file".to_owned())),
    ]
}

fn scopes() -> impl Strategy<Value = Scope> {
    let id = "[ab]";
    prop_oneof![
        Just(Scope::BuildRead),
        Just(Scope::ParamsRead),
        Just(Scope::EventsWrite),
        Just(Scope::JobsRead),
        Just(Scope::LogWrite),
        Just(Scope::WorkspaceRead),
        id.prop_map(Scope::JobReport),
        id.prop_map(Scope::ArtifactRead),
        id.prop_map(Scope::ArtifactWrite),
        id.prop_map(Scope::Cache),
        Just(Scope::SecretsRead),
        id.prop_map(Scope::SecretReveal),
        Just(Scope::EventsRead),
        Just(Scope::JobsSubmit),
        Just(Scope::FilesRead),
        Just(Scope::OutputsWrite),
        Just(Scope::ArtifactsRead),
    ]
}

fn claims(role: Role, scopes: Vec<Scope>) -> Claims {
    let text = String::new;
    Claims { iss: text(), aud: text(), sub: "o/r/b".to_owned(), iat: 0, exp: 0, jti: text(), role, attempt: 1, scopes }
}

/// The scope that an action needs, said a second time and in another way than the code does.
fn needed(action: &Action) -> String {
    match action {
        Action::ReadBuild => "build:read".to_owned(),
        Action::ReadParam(_) | Action::ListParams => "params:read".to_owned(),
        Action::ListSecrets | Action::ReadSecret(_) => "secrets:read".to_owned(),
        Action::RevealSecret(name) => format!("secret:reveal={name}"),
        Action::ReadEvents => "events:read".to_owned(),
        Action::SubmitJobs => "jobs:submit".to_owned(),
        Action::ReadFiles(_) => "files:read".to_owned(),
        Action::WriteOutput(_) | Action::ExtendOutput(_) => "outputs:write".to_owned(),
        Action::ListArtifacts | Action::ListArtifactFiles(_) | Action::ReadArtifactFile(..) => {
            "artifacts:read".to_owned()
        }
        Action::PublishEvent | Action::AddReport => "events:write".to_owned(),
        Action::ReadJob(_) | Action::WaitForJobs => "jobs:read".to_owned(),
        Action::WriteLog(_) => "log:write".to_owned(),
        Action::ReadPlan(id)
        | Action::ReportRunning(id)
        | Action::ReportHeld(id)
        | Action::ReportResult(id)
        | Action::ReportOutputs(id)
        | Action::ReportTests(id) => format!("job:report={id}"),
        Action::ReadWorkspace => "workspace:read".to_owned(),
        Action::ReadArtifact(id) => format!("artifact:read={id}"),
        Action::SaveArtifact(id) | Action::CreateArtifact(id, _) | Action::SaveOutput(id, _) => {
            format!("artifact:write={id}")
        }
        Action::ReadCache(id) | Action::SaveCache(id) => format!("cache={id}"),
    }
}

proptest! {
    #[test]
    fn a_log_arrives_whole_whatever_pieces_it_is_cut_into(
        frames in proptest::collection::vec((streams(), any::<u64>(), proptest::collection::vec(any::<u8>(), 1..300)), 0..20),
        cuts in proptest::collection::vec(1..50usize, 1..20),
    ) {
        let frames: Vec<_> = frames
            .into_iter()
            .map(|(stream, time_ms, bytes)| LogFrame { stream, time_ms, bytes: bytes.into() })
            .collect();
        let mut sent = Default::default();
        frames.iter().for_each(|frame| frame.encode(&mut sent));
        let (mut decoder, mut found, mut rest, mut cut) = (LogDecoder::default(), Vec::new(), &sent[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rest.len().min(*cut.next().expect("a cycle never ends")));
            decoder.push(piece);
            while let Some(frame) = decoder.next_frame().expect("valid frames") {
                found.push(frame);
            }
            rest = later;
        }
        prop_assert!(decoder.finish().is_ok());
        prop_assert_eq!(found, frames);
    }

    #[test]
    fn noise_is_no_log_and_no_reason_to_panic(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = LogDecoder::default();
        decoder.push(&noise);
        while let Ok(Some(_)) = decoder.next_frame() {}
    }

    #[test]
    fn a_name_is_one_segment_of_a_path_whatever_it_holds(name in prop_oneof!["[.]{1,3}", "(?s).{1,20}"]) {
        let path = Operation { build: "o/r/b".to_owned(), action: Action::ReadParam(name.clone()) }.path();
        let url = reqwest::Url::parse("http://host").expect("a URL").join(&path).expect("a path");
        let segments: Vec<_> = url.path_segments().expect("segments").collect();
        prop_assert_eq!(segments.len(), 7, "{}", url);
        prop_assert_eq!(&segments[..6], &["v1", "builds", "o", "r", "b", "params"]);
        prop_assert!(url.query().is_none() && url.fragment().is_none());
    }

    #[test]
    fn a_scope_reads_back_from_its_text(scope in scopes()) {
        prop_assert_eq!(scope.to_string().parse::<Scope>(), Ok(scope));
    }

    #[test]
    fn exactly_what_a_scope_grants_is_allowed_in_the_bearers_own_build(
        action in actions(),
        held in proptest::collection::vec(scopes(), 0..6),
        job in proptest::option::of("[ab]"),
        is_sidecar in any::<bool>(),
        own_build in any::<bool>(),
    ) {
        let role = match &job {
            Some(job) if is_sidecar => Role::Sidecar { job: job.clone() },
            _ => Role::Script { job: job.clone() },
        };
        let sidecar_of = |wanted: &String| matches!(&role, Role::Sidecar { job } if job == wanted);
        let bearer = match &action {
            Action::WriteLog(wanted) => *wanted == job,
            Action::ReadPlan(wanted)
            | Action::ReportRunning(wanted)
            | Action::ReportHeld(wanted)
            | Action::ReportResult(wanted)
            | Action::ReportOutputs(wanted) => sidecar_of(wanted),
            Action::ReportTests(wanted) => job.as_ref() == Some(wanted),
            Action::SaveArtifact(_) => matches!(&role, Role::Sidecar { .. }),
            Action::RevealSecret(_)
            | Action::ReadEvents
            | Action::SubmitJobs
            | Action::WaitForJobs
            | Action::WriteOutput(_)
            | Action::ExtendOutput(_)
            | Action::CreateArtifact(..)
            | Action::SaveOutput(..) => matches!(&role, Role::Script { job: Some(_) }),
            _ => true,
        };
        let granted = own_build && bearer && held.iter().any(|scope| scope.to_string() == needed(&action));
        let build = if own_build { "o/r/b" } else { "o/r/other" };
        let claims = claims(role, held);
        let allowed = authorise(&claims, &Operation { build: build.to_owned(), action }).is_ok();
        prop_assert_eq!(allowed, granted);
    }
}
