//! Promises of the checks, on random graphs.

mod random_graph;

use monkeyci_build::{
    ArtifactOption, CacheOption, Call, FaultKind, GraphFaults, JobDraft, LateValue, ParamDraft, ParamKind,
    RestoreArtifact, SaveArtifact, ServiceDraft, check, check_refined, check_submitted, param_value,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use random_graph::{acyclic_needs, id};

/// Container jobs without fault, that need each other so.
fn drafts(needs: &[Vec<usize>]) -> Vec<JobDraft> {
    let draft = |(job, needs): (usize, &Vec<usize>)| JobDraft {
        needs: needs.iter().map(|need| id(*need)).collect(),
        image: Some("debian:12".into()),
        shell: Some(vec!["true".into()]),
        save_artifacts: vec![SaveArtifact { id: id(job), path: ".".into(), ..SaveArtifact::default() }],
        ..JobDraft::container(id(job))
    };
    needs.iter().enumerate().map(draft).collect()
}

fn restore(id: String) -> RestoreArtifact {
    RestoreArtifact { id, path: ".".into(), ..RestoreArtifact::default() }
}

/// Whether `job` needs `other`, at any distance.
fn is_upstream(needs: &[Vec<usize>], job: usize, other: usize) -> bool {
    let (mut seen, mut open) = (vec![false; needs.len()], vec![job]);
    while let Some(job) = open.pop() {
        for &need in &needs[job] {
            if !std::mem::replace(&mut seen[need], true) {
                open.push(need);
            }
        }
    }
    seen[other]
}

/// Texts that are often right, often nearly right, and sometimes anything.
fn text() -> impl Strategy<Value = String> {
    let odd = ["", ".", "..", "/", "a", "A", "b", "job", "a=b", "\0", "a/../b", "é", "x-"].map(String::from).to_vec();
    prop_oneof![4 => "[a-c]{1,2}", 3 => prop::sample::select(odd), 1 => ".{0,80}"]
}

fn any_draft() -> impl Strategy<Value = JobDraft> {
    let words = || option::of(vec(text(), 0..3));
    let pairs = || vec((text(), text()), 0..3);
    let service = (text(), text(), words(), pairs(), pairs(), option::of(0..3_u16), words(), option::of(0..3_u64))
        .prop_map(|(name, image, argv, env, secret_env, ready_port, ready_command, ready_timeout_ms)| ServiceDraft {
            name,
            image,
            argv,
            env,
            secret_env,
            ready_port,
            ready_command,
            ready_timeout_ms,
        });
    let saves = pairs().prop_map(|pairs| {
        pairs.into_iter().map(|(id, path)| SaveArtifact { id, path, ..SaveArtifact::default() }).collect::<Vec<_>>()
    });
    let restores = vec((text(), text(), any::<bool>()), 0..3).prop_map(|restores| {
        restores
            .into_iter()
            .map(|(id, path, if_there)| RestoreArtifact { id, path, if_there, ..RestoreArtifact::default() })
            .collect::<Vec<_>>()
    });
    let core =
        (text(), any::<bool>(), vec(text(), 0..4), option::of(any::<u64>()), option::of(text()), words(), words());
    let rest = (pairs(), option::of(text()), option::of(any::<u64>()), saves, restores, vec(service, 0..3));
    let old = (core, rest).prop_map(|(core, rest)| {
        let (id, container, needs, timeout_ms, image, argv, shell) = core;
        let (env, work_dir, memory_bytes, save_artifacts, restore_artifacts, services) = rest;
        JobDraft {
            id,
            container,
            needs,
            timeout_ms,
            image,
            argv,
            shell,
            env,
            work_dir,
            memory_bytes,
            save_artifacts,
            restore_artifacts,
            services,
            ..JobDraft::default()
        }
    });
    (old, more()).prop_map(|(old, more)| JobDraft {
        requires: more.requires,
        removed: more.removed,
        run_when: more.run_when,
        retry: more.retry,
        retry_on: more.retry_on,
        fail_fast: more.fail_fast,
        approval: more.approval,
        late: more.late,
        calls: more.calls,
        creates_artifacts: more.creates_artifacts,
        late_env: more.late_env,
        artifact_options: more.artifact_options,
        cache_options: more.cache_options,
        ..old
    })
}

/// What the first version of the script API did not have.
fn more() -> impl Strategy<Value = JobDraft> {
    let word = || prop::sample::select(vec!["success", "always", "exit-code=1", "exit-code=", "timeout", "", "é"]);
    let late_value = (0..4_u8, text(), text()).prop_map(|(kind, one, other)| match kind {
        0 => LateValue::Secret(one),
        1 => LateValue::SecretFile(one),
        2 => LateValue::ParamFile(one),
        _ => LateValue::Output { job: one, output: other },
    });
    let artifact_option = prop_oneof![vec(text(), 0..2).prop_map(ArtifactOption::Files), Just(ArtifactOption::Always)];
    let cache_option = prop_oneof![
        text().prop_map(CacheOption::Key),
        text().prop_map(CacheOption::Fallback),
        text().prop_map(CacheOption::Save),
        text().prop_map(CacheOption::Path),
    ];
    let rare = || proptest::bool::weighted(0.2);
    let when = (option::weighted(0.2, word()), option::weighted(0.2, 0..12_u32), vec(word(), 0..2));
    let people = (option::weighted(0.2, text()), option::weighted(0.2, text()), rare(), option::weighted(0.2, text()));
    let action = (option::weighted(0.2, (text(), text())), vec(text(), 0..2), vec(text(), 0..2));
    let container =
        (vec((text(), late_value), 0..2), vec((text(), artifact_option), 0..2), vec((text(), cache_option), 0..2));
    (when, people, action, container).prop_map(|(when, people, action, container)| JobDraft {
        run_when: when.0.map(Into::into),
        retry: when.1,
        retry_on: when.2.into_iter().map(Into::into).collect(),
        removed: people.0,
        approval: people.1,
        late: people.2,
        fail_fast: people.3,
        calls: action.0.map(|(handler, argument)| Call { handler, argument }),
        creates_artifacts: action.1,
        requires: action.2,
        late_env: container.0,
        artifact_options: container.1,
        cache_options: container.2,
        ..JobDraft::default()
    })
}

fn any_param() -> impl Strategy<Value = ParamDraft> {
    let kinds = vec!["text", "integer", "number", "boolean", "choice", "bool", ""];
    let kind = option::of(prop::sample::select(kinds).prop_map(String::from));
    let value = || option::of(prop_oneof![text(), "-?[0-9.e]{0,6}", Just("true".to_owned())]);
    let words = (any::<bool>(), option::weighted(0.1, text()));
    (text(), kind, vec(text(), 0..3), value(), value(), words).prop_map(
        |(name, kind, choices, default, given, (required, description))| ParamDraft {
            name,
            kind,
            choices,
            default,
            required,
            description,
            given,
        },
    )
}

fn assert_told_line_by_line(faults: &GraphFaults) -> Result<(), TestCaseError> {
    prop_assert!(!faults.is_empty());
    prop_assert_eq!(faults.to_string().lines().count(), faults.0.len() + 1);
    let json = serde_json::to_string(faults).expect("faults are JSON");
    prop_assert_eq!(&serde_json::from_str::<GraphFaults>(&json).expect("JSON is faults"), faults);
    Ok(())
}

proptest! {
    #[test]
    fn whatever_a_script_declares_is_either_a_graph_or_faults(
        drafts in vec(any_draft(), 0..8),
        params in vec(any_param(), 0..3),
    ) {
        match check(&drafts, &params) {
            Ok(checked) => {
                prop_assert_eq!(checked.graph.jobs().len() + checked.removed.len(), drafts.len());
                for job in checked.graph.jobs() {
                    prop_assert!(job.needs.iter().all(|need| checked.graph.get(need).is_some()));
                }
            }
            Err(faults) => {
                assert_told_line_by_line(&faults)?;
                // Two looks at the same drafts see the same.
                prop_assert_eq!(check(&drafts, &params), Err(faults));
            }
        }
    }

    #[test]
    fn whatever_an_action_submits_is_either_jobs_or_faults(
        there in acyclic_needs(6),
        drafts in vec(any_draft(), 0..6),
    ) {
        let graph = check(&self::drafts(&there), &[]).expect("the graph has no fault").graph;
        match check_submitted(&graph, &drafts) {
            Ok(jobs) => prop_assert_eq!(jobs.len(), drafts.len()),
            Err(faults) => assert_told_line_by_line(&faults)?,
        }
    }

    #[test]
    fn whatever_a_script_makes_of_a_late_job_is_either_that_job_or_faults(
        draft in any_draft(),
        added in any_draft(),
    ) {
        let late = JobDraft { late: true, ..drafts(&[vec![]]).remove(0) };
        let spec = check(std::slice::from_ref(&late), &[]).expect("the job has no fault").graph.into_jobs().remove(0);
        for draft in [draft, JobDraft { env: added.env, user: added.user, late_env: added.late_env, ..late }] {
            match check_refined(&spec, &draft) {
                Ok(refined) => prop_assert_eq!((refined.id, refined.needs), (spec.id.clone(), spec.needs.clone())),
                Err(faults) => assert_told_line_by_line(&faults)?,
            }
        }
    }

    #[test]
    fn a_parameter_has_a_value_exactly_where_it_has_no_fault(param in any_param()) {
        let checked = check(&[], std::slice::from_ref(&param));
        prop_assert_eq!(param_value(&param).is_ok(), checked.is_ok());
        if let Ok(checked) = checked {
            let values = [&param.given, &param.default];
            prop_assert!(values.into_iter().flatten().all(|value| checked.params[0].accepts(value).is_ok()));
            prop_assert!(param.choices.is_empty() || checked.params[0].kind == ParamKind::Choice(param.choices));
        }
    }

    #[test]
    fn a_job_needs_exactly_what_it_can_reach_through_removed_jobs(
        needs in acyclic_needs(20),
        removed in vec(any::<bool>(), 20),
    ) {
        let mut drafts = drafts(&needs);
        for (draft, _) in drafts.iter_mut().zip(&removed).filter(|(_, removed)| **removed) {
            draft.removed = Some("not now".into());
        }
        let checked = check(&drafts, &[]).expect("the graph has no fault");
        let stays: Vec<usize> = (0..needs.len()).filter(|job| !removed[*job]).collect();
        prop_assert_eq!(checked.graph.jobs().len(), stays.len());
        for (&job, spec) in stays.iter().zip(checked.graph.jobs()) {
            let (mut expected, mut seen, mut open) = (vec![], vec![false; needs.len()], vec![job]);
            while let Some(at) = open.pop() {
                for &need in &needs[at] {
                    if !std::mem::replace(&mut seen[need], true) {
                        if removed[need] { open.push(need) } else { expected.push(id(need)) }
                    }
                }
            }
            let mut found = spec.needs.clone();
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn needs_by_artifacts_are_needs(needs in acyclic_needs(30)) {
        let mut by_artifact = drafts(&needs);
        for (draft, needs) in by_artifact.iter_mut().zip(&needs) {
            draft.needs.clear();
            draft.restore_artifacts.extend(needs.iter().map(|need| restore(id(*need))));
        }
        let ids = |drafts: &[JobDraft]| -> Vec<Vec<String>> {
            let graph = check(drafts, &[]).expect("the graph has no fault").graph;
            graph.into_jobs().into_iter().map(|job| job.needs).collect()
        };
        prop_assert_eq!(ids(&by_artifact), ids(&drafts(&needs)));
    }

    #[test]
    fn a_graph_without_fault_passes_as_it_is(needs in acyclic_needs(30)) {
        let graph = check(&drafts(&needs), &[]).expect("the graph has no fault").graph;
        let passed: Vec<Vec<String>> = graph.into_jobs().into_iter().map(|job| job.needs).collect();
        let declared: Vec<Vec<String>> = needs.iter().map(|needs| needs.iter().map(|need| id(*need)).collect()).collect();
        prop_assert_eq!(passed, declared);
    }

    #[test]
    fn a_need_that_closes_a_circle_is_found_and_the_circle_named(needs in acyclic_needs(30), pick: (Index, Index)) {
        let pairs: Vec<(usize, usize)> = (0..needs.len())
            .flat_map(|job| (0..needs.len()).map(move |other| (job, other)))
            .filter(|&(job, other)| is_upstream(&needs, job, other))
            .collect();
        if pairs.is_empty() {
            return Ok(());
        }
        let (job, other) = pairs[pick.0.index(pairs.len())];
        let mut needs = needs;
        needs[other].push(job);

        let faults = check(&drafts(&needs), &[]).expect_err("there is a circle").0;
        prop_assert_eq!(faults.len(), 1, "{:?}", faults);
        let FaultKind::Cycle { path, .. } = &faults[0].kind else { return Err(TestCaseError::fail("another fault")) };
        prop_assert_eq!(faults[0].job(), Some(path[0].as_str()));
        let path: Vec<usize> = path.iter().map(|job| job[1..].parse().expect("ids are made by this test")).collect();
        for (at, job) in path.iter().enumerate() {
            prop_assert!(needs[*job].contains(&path[(at + 1) % path.len()]));
            prop_assert!(!path[..at].contains(job) && path[0] <= *job);
        }
    }

    #[test]
    fn breaking_the_circles_that_are_reported_breaks_all(needs in vec(vec(0..12_usize, 0..4), 12)) {
        let mut drafts = drafts(&needs);
        for fault in check(&drafts, &[]).map_or_else(|faults| faults.0, |_| Vec::new()) {
            match fault.kind {
                FaultKind::Cycle { path, .. } => {
                    for (at, job) in path.iter().enumerate() {
                        let next = &path[(at + 1) % path.len()];
                        let draft = drafts.iter_mut().find(|draft| draft.id == *job).expect("the job was declared");
                        draft.needs.retain(|need| need != next);
                    }
                }
                FaultKind::NeedsItself => {
                    let draft = drafts.iter_mut().find(|draft| Some(draft.id.as_str()) == fault.job());
                    let draft = draft.expect("the job was declared");
                    draft.needs.retain(|need| Some(need.as_str()) != fault.job());
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(check(&drafts, &[]).is_ok());
    }

    #[test]
    fn every_fault_is_reported_along_with_the_others(
        needs in acyclic_needs(30),
        chosen in prop::sample::subsequence((0..9_usize).collect::<Vec<_>>(), 1..=9),
        jobs in vec(any::<Index>(), 9),
    ) {
        if needs.is_empty() {
            return Ok(());
        }
        let mut drafts = drafts(&needs);
        let mut expected = Vec::new();
        for fault in chosen {
            let job = jobs[fault].index(drafts.len());
            let draft = &mut drafts[job];
            let field = match fault {
                0 => { draft.timeout_ms = Some(0); "timeout" }
                1 => { draft.image = None; "image" }
                2 => { draft.shell = Some(Vec::new()); "shell" }
                3 => { draft.needs.push("nobody".into()); "needs" }
                4 => { draft.needs.push(draft.id.clone()); "needs" }
                5 => { draft.env.push(("=".into(), String::new())); "env(#1)" }
                6 => { draft.work_dir = Some("/".into()); "work-dir" }
                7 => { draft.memory_bytes = Some(1); "memory" }
                _ => {
                    draft.restore_artifacts.push(restore("nothing".into()));
                    "restore-artifact(nothing)"
                }
            };
            expected.push((draft.id.clone(), field.to_owned()));
        }
        let faults = check(&drafts, &[]).expect_err("there are faults").0;
        let mut found: Vec<_> = faults.into_iter().map(|fault| (fault.job().unwrap_or_default().to_owned(), fault.field)).collect();
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}
