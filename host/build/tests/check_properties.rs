//! Promises of the checks, on random graphs.

mod random_graph;

use monkeyci_build::{
    ArtifactOption, CacheOption, Call, FaultKind, Graph, GraphFaults, JobDraft, LateValue, ParamDraft, ParamKind,
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
        save_artifacts: vec![ArtifactPath { id: id(job), path: ".".into() }],
        ..JobDraft::container(id(job))
    };
    needs.iter().enumerate().map(draft).collect()
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
    let service = (text(), text(), words(), pairs(), option::of(0..3_u16), words(), option::of(0..3_u64)).prop_map(
        |(name, image, argv, env, ready_port, ready_command, ready_timeout_ms)| ServiceDraft {
            name,
            image,
            argv,
            env,
            ready_port,
            ready_command,
            ready_timeout_ms,
        },
    );
    let artifacts =
        || pairs().prop_map(|pairs| pairs.into_iter().map(|(id, path)| ArtifactPath { id, path }).collect());
    let core =
        (text(), any::<bool>(), vec(text(), 0..4), option::of(any::<u64>()), option::of(text()), words(), words());
    let rest = (pairs(), option::of(text()), option::of(any::<u64>()), artifacts(), artifacts(), vec(service, 0..3));
    (core, rest).prop_map(|(core, rest)| {
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
    })
}

proptest! {
    #[test]
    fn whatever_a_script_declares_is_either_a_graph_or_faults(drafts in vec(any_draft(), 0..8)) {
        match check(&drafts, &[]) {
            Ok(graph) => prop_assert_eq!(graph.jobs().len(), drafts.len()),
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                prop_assert_eq!(faults.to_string().lines().count(), faults.0.len() + 1);
                // Two looks at the same drafts see the same.
                prop_assert_eq!(check(&drafts, &[]), Err(faults));
            }
        }
    }

    #[test]
    fn a_graph_without_fault_passes_as_it_is(needs in acyclic_needs(30)) {
        let graph = check(&drafts(&needs), &[]);
        prop_assert!(graph.is_ok(), "{:?}", graph);
        let passed: Vec<Vec<String>> = graph.unwrap_or_default().into_jobs().into_iter().map(|job| job.needs).collect();
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
        let FaultKind::Cycle { path } = &faults[0].kind else { return Err(TestCaseError::fail("another fault")) };
        prop_assert_eq!(&faults[0].job, &path[0]);
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
                FaultKind::Cycle { path } => {
                    for (at, job) in path.iter().enumerate() {
                        let next = &path[(at + 1) % path.len()];
                        let draft = drafts.iter_mut().find(|draft| draft.id == *job).expect("the job was declared");
                        draft.needs.retain(|need| need != next);
                    }
                }
                FaultKind::NeedsItself => {
                    let draft = drafts.iter_mut().find(|draft| draft.id == fault.job).expect("the job was declared");
                    draft.needs.retain(|need| *need != fault.job);
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(check(&drafts, &[]).is_ok());
    }

    #[test]
    fn an_artifact_can_be_restored_exactly_by_jobs_downstream_of_its_saver(
        needs in prop_oneof![acyclic_needs(30), vec(vec(0..20_usize, 0..3), 20)],
        restores in vec(any::<(Index, Index)>(), 0..40),
    ) {
        if needs.is_empty() {
            return Ok(());
        }
        let mut drafts = drafts(&needs);
        let mut expected = 0;
        for (job, other) in restores {
            let (job, other) = (job.index(needs.len()), other.index(needs.len()));
            drafts[job].restore_artifacts.push(ArtifactPath { id: id(other), path: ".".into() });
            expected += usize::from(job == other || !is_upstream(&needs, job, other));
        }
        let faults = check(&drafts, &[]).map_or_else(|faults| faults.0, |_| Vec::new());
        let of_artifacts = faults.iter().filter(|fault| {
            matches!(fault.kind, FaultKind::ArtifactNotUpstream { .. } | FaultKind::OwnArtifact { .. })
        });
        prop_assert_eq!(of_artifacts.count(), expected);
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
                    draft.restore_artifacts.push(ArtifactPath { id: "nothing".into(), path: ".".into() });
                    "restore-artifact(nothing)"
                }
            };
            expected.push((draft.id.clone(), field.to_owned()));
        }
        let faults = check(&drafts, &[]).expect_err("there are faults").0;
        let mut found: Vec<_> = faults.into_iter().map(|fault| (fault.job, fault.field)).collect();
        found.sort();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}
