//! Promises of builds of which some jobs do not run: those of an earlier build whose results are reused, and those that nobody asked for.

// What it saw on the way is for other promises.
#[allow(dead_code)]
mod fake_driver;
mod random_graph;

use std::collections::{BTreeMap, BTreeSet};

use fake_driver::{
    Completion, FakeDriver, Outcome, Plan, Traits, calm_plan, fold, play, play_selected, recover, rough_plan,
};
use monkeyci_build::{
    Again, BuildStatus, Earlier, EarlierJob, Ending, EventBody, Rerun, SelectError, Selection, select_again,
    select_only,
};
use proptest::collection::vec;
use proptest::prelude::*;
use random_graph::{acyclic_needs, id};

fn rerun(what: Again) -> Rerun {
    Rerun { of: "o/r/1".to_owned(), by: "ada".to_owned(), what, with_changes: false, other_params: false }
}

fn select(earlier: &Earlier, plan: &Plan, what: Again) -> Result<Selection, SelectError> {
    select_again(earlier, &plan.jobs(), &[], &rerun(what), &BTreeMap::new())
}

/// The same jobs, and all goes well, but for what the world does.
fn better(plan: &Plan) -> Plan {
    let traits = plan.traits.iter().map(|of_job| Traits {
        bad_attempts: 0,
        approval: of_job.approval.map(|_| true),
        late: of_job.late.map(|_| Completion::Complete),
        ..of_job.clone()
    });
    Plan { traits: traits.collect(), outcomes: vec![Outcome::Succeeds; plan.outcomes.len()], ..plan.clone() }
}

/// The jobs of which anything was done.
fn touched(driver: &FakeDriver) -> BTreeSet<String> {
    let of = |body: &EventBody| match body {
        EventBody::JobStarted { job, .. } | EventBody::JobBlocked { job, .. } => Some(job.clone()),
        EventBody::JobRefined { job, .. } => Some(job.id.clone()),
        _ => None,
    };
    driver.journal.iter().filter_map(|event| of(&event.body)).collect()
}

fn reused(selection: &Selection) -> BTreeSet<String> {
    selection.reused.iter().map(|reused| reused.job.clone()).collect()
}

fn succeeded(job: &EarlierJob) -> bool {
    job.ending.as_ref().is_some_and(Ending::is_ok)
}

/// These jobs, and all that needs them.
fn with_dependents(plan: &Plan, jobs: impl Iterator<Item = usize>) -> BTreeSet<usize> {
    let mut found: BTreeSet<usize> = jobs.collect();
    let all = plan.needs.len() + plan.submitted.len();
    // A round for each job is enough: each but the last adds one.
    for _ in 0..all {
        let more = (0..all).filter(|job| plan.needs_of(*job).iter().any(|need| found.contains(need)));
        let more: Vec<usize> = more.collect();
        found.extend(more);
    }
    found
}

/// These jobs, and all that they need.
fn with_needs(needs: &[Vec<usize>], jobs: &BTreeSet<usize>) -> BTreeSet<usize> {
    let (mut found, mut open) = (jobs.clone(), jobs.iter().copied().collect::<Vec<_>>());
    while let Some(job) = open.pop() {
        open.extend(needs[job].iter().copied().filter(|need| found.insert(*need)));
    }
    found
}

/// What holds of every build that reuses something: it comes to its end, what is reused is not touched and ends as it ended, with all
/// that it said and saved, and whoever folds the journal knows that too.
fn assert_reused(driver: &FakeDriver, earlier: &Earlier, selection: &Selection) -> Result<(), TestCaseError> {
    let touched = touched(driver);
    let state = &driver.state;
    let cancelled = driver.journal.iter().any(|event| matches!(event.body, EventBody::CancelRequested { .. }));
    prop_assert!(state.jobs().all(|(_, job)| job.status.is_final()));
    for reused in &selection.reused {
        let old = earlier.job(&reused.job).expect("it is of the earlier build");
        let Some(job) = state.job(&reused.job) else {
            prop_assert!(reused.submitted.is_some(), "{} is nowhere", reused.job);
            continue;
        };
        let ending = job.ending.as_ref().expect("it is over");
        if cancelled && *ending == Ending::Cancelled {
            continue;
        }
        prop_assert!(!touched.contains(&reused.job), "{} was touched", reused.job);
        prop_assert_eq!(Some(ending.itself()), old.ending.as_ref().map(Ending::itself));
        if ending.reused_from().is_some() {
            prop_assert_eq!(&job.results, &old.results);
            for (artifact, _) in &old.artifacts {
                let saved = state.artifact(&artifact.id).expect("it is here too");
                prop_assert_eq!((&saved.digest, saved.attempt, &saved.job), (&artifact.digest, 1, &reused.job));
            }
        }
    }
    for (job, _) in &selection.left_out {
        prop_assert!(!touched.contains(job), "{job} was left out");
    }
    let folded = fold(&driver.journal, 3).0;
    for (spec, job) in state.jobs() {
        let known = folded.job(&spec.id).expect("it is in the journal");
        prop_assert_eq!((&known.ending, &known.results), (&job.ending, &job.results));
    }
    prop_assert!(folded.artifacts().eq(state.artifacts()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_did_not_succeed_runs_again_with_what_needs_it_and_all_else_is_reused(
        plan in rough_plan(), cut in any::<prop::sample::Index>(), whole in any::<bool>(),
    ) {
        let first = play(&plan);
        // A build whose host died is as good as one that is over.
        let length = if whole { first.journal.len() } else { cut.index(first.journal.len()) + 1 };
        let earlier = Earlier::of("o/r/1", &first.journal[..length]);
        let selection = match select(&earlier, &plan, Again::Failed) {
            Ok(selection) => selection,
            Err(error) => {
                prop_assert!(earlier.jobs().iter().all(succeeded), "{error}");
                return Ok(());
            }
        };
        let second = play_selected(&better(&plan), selection.clone());
        assert_reused(&second, &earlier, &selection)?;
        // Whoever goes on with it, wherever its host died, decides nothing anew.
        let known = second.journal.iter().position(|event| matches!(event.body, EventBody::ScriptDefined { .. }));
        if let Some(known) = known {
            let length = known + 1 + cut.index(second.journal.len() - known);
            assert_reused(&recover(&better(&plan), &second.journal[..length]), &earlier, &selection)?;
        }
        let (kept, runs) = (reused(&selection), touched(&second));
        prop_assert!(selection.left_out.is_empty(), "{:?}", selection.left_out);
        for old in earlier.jobs() {
            prop_assert!(succeeded(old) || !kept.contains(&old.spec.id), "{} failed and is reused", old.spec.id);
        }
        for job in &kept {
            let needs = earlier.job(job).expect("it is there").spec.needs.iter();
            prop_assert!(needs.clone().all(|need| !runs.contains(need)), "{job} is of results that are made again");
        }
        if plan.submitted.is_empty() && !earlier.jobs().is_empty() {
            let bad = (0..plan.needs.len()).filter(|job| !earlier.job(&id(*job)).is_some_and(succeeded));
            let expected: BTreeSet<String> = with_dependents(&plan, bad).into_iter().map(id).collect();
            prop_assert!(runs.is_subset(&expected), "{runs:?} in place of {expected:?}");
            let again: BTreeSet<String> = selection.again.iter().map(|(job, _)| job.clone()).collect();
            prop_assert_eq!(again, expected);
        }
    }

    #[test]
    fn whatever_is_asked_for_again_a_build_comes_to_its_end_and_a_failure_that_is_reused_is_one(
        plan in rough_plan(), picks in vec(any::<prop::sample::Index>(), 1..3), alone in any::<bool>(),
    ) {
        let first = play(&plan);
        let earlier = Earlier::of("o/r/1", &first.journal);
        prop_assume!(!earlier.jobs().is_empty());
        let jobs: BTreeSet<String> =
            picks.iter().map(|pick| earlier.jobs()[pick.index(earlier.jobs().len())].spec.id.clone()).collect();
        let what = if alone { Again::Jobs(jobs.clone()) } else { Again::From(jobs.clone()) };
        let selection = select(&earlier, &plan, what).expect("they are there");
        let second = play_selected(&better(&plan), selection.clone());
        assert_reused(&second, &earlier, &selection)?;
        let (kept, runs) = (reused(&selection), touched(&second));
        prop_assert!(kept.is_disjoint(&jobs), "what is asked for runs");
        let named: BTreeSet<usize> = jobs.iter().map(|job| plan.index(job)).collect();
        let after = with_dependents(&plan, named.iter().copied());
        if !alone {
            let after: BTreeSet<String> = after.iter().map(|job| id(*job)).collect();
            prop_assert!(kept.is_disjoint(&after), "what needs it runs too");
        } else if plan.submitted.is_empty() {
            let needed = with_needs(&plan.needs, &named);
            let mut others = after.difference(&needed).map(|job| id(*job));
            prop_assert!(others.all(|job| !runs.contains(&job)), "nothing else runs after it");
        }
        let failed = |id: &String| earlier.job(id).and_then(|old| old.ending.as_ref()).is_some_and(|end| end.status().is_failed());
        if kept.iter().any(failed) && !second.state.stopping() {
            let bad = matches!(second.state.status(), Some(BuildStatus::Failure | BuildStatus::Error));
            let hidden = selection.reused.iter().filter(|reused| failed(&reused.job)).all(|reused| second.state.job(&reused.job).is_none());
            prop_assert!(bad || hidden, "{:?}", second.state.status());
        }
    }

    #[test]
    fn of_a_changed_script_what_is_declared_otherwise_or_new_runs_with_what_needs_it(
        plan in calm_plan(), changed in any::<prop::sample::Index>(), alone in any::<bool>(),
    ) {
        prop_assume!(plan.needs.len() > 1);
        let plan = Plan { submitted: vec![], ..plan };
        let first = play(&better(&plan));
        let earlier = Earlier::of("o/r/1", &first.journal);
        let mut now = better(&plan);
        let changed = changed.index(now.needs.len());
        now.traits[changed].priority = 7;
        now.needs.push(vec![]);
        let new = now.needs.len() - 1;
        let last = BTreeSet::from([id(new)]);
        let what = if alone { Again::Jobs(last) } else { Again::Failed };
        let rerun = Rerun { with_changes: true, ..rerun(what) };
        let selection = select_again(&earlier, &now.jobs(), &[], &rerun, &BTreeMap::new()).expect("something to run");
        let second = play_selected(&now, selection.clone());
        assert_reused(&second, &earlier, &selection)?;
        // In the order of the plan the new job may have taken the traits of one that was submitted.
        let after = with_dependents(&now, [changed].into_iter());
        let (kept, runs) = (reused(&selection), touched(&second));
        prop_assert!(!kept.contains(&id(changed)), "it is declared otherwise");
        if alone {
            prop_assert!(runs.is_subset(&[id(new)].into()), "{runs:?}");
            prop_assert!(selection.left_out.iter().any(|(job, reason)| *job == id(changed) && reason.contains("otherwise")));
        } else {
            prop_assert!(kept.is_disjoint(&after.into_iter().map(id).collect()) && !kept.contains(&id(new)));
        }
    }

    #[test]
    fn a_build_that_runs_again_in_all_its_jobs_reuses_nothing(plan in rough_plan()) {
        let first = play(&plan);
        let earlier = Earlier::of("o/r/1", &first.journal);
        let selection = select(&earlier, &plan, Again::All).expect("there is nothing to refuse");
        prop_assert!(selection.reused.is_empty() && selection.left_out.is_empty());
        prop_assert_eq!(selection.again.len(), earlier.jobs().len());
    }

    #[test]
    fn a_rerun_of_a_rerun_reuses_what_that_reused_from_where_it_ran(plan in calm_plan()) {
        let earlier = Earlier::of("o/r/1", &play(&plan).journal);
        let Ok(selection) = select(&earlier, &plan, Again::Failed) else { return Ok(()) };
        let second = play_selected(&plan, selection);
        let middle = Earlier::of("o/r/2", &second.journal);
        let again = Rerun { of: "o/r/2".to_owned(), ..rerun(Again::Failed) };
        let Ok(selection) = select_again(&middle, &plan.jobs(), &[], &again, &BTreeMap::new()) else { return Ok(()) };
        let third = play_selected(&better(&plan), selection.clone());
        assert_reused(&third, &middle, &selection)?;
        for reused in &selection.reused {
            let before = middle.job(&reused.job).and_then(|old| old.ending.as_ref()).and_then(Ending::reused_from);
            let from = reused.ending.reused_from();
            prop_assert_eq!(from, if from.is_some() { before.or(Some("o/r/2")) } else { None });
        }
    }

    #[test]
    fn a_job_whose_artifact_is_gone_runs_again_and_what_needs_it_keeps_its_results(
        plan in calm_plan(), pick in any::<prop::sample::Index>(),
    ) {
        let earlier = Earlier::of("o/r/1", &play(&plan).journal);
        let with: Vec<&EarlierJob> =
            earlier.jobs().iter().filter(|job| job.submitted_by.is_none() && succeeded(job) && !job.artifacts.is_empty()).collect();
        prop_assume!(!with.is_empty());
        let lost = with[pick.index(with.len())].spec.id.clone();
        let Ok(whole) = select(&earlier, &plan, Again::Failed) else { return Ok(()) };
        let gone = [(lost.clone(), lost.clone())].into();
        let selection = select_again(&earlier, &plan.jobs(), &[], &rerun(Again::Failed), &gone).expect("as before");
        let missing: BTreeSet<String> = reused(&whole).difference(&reused(&selection)).cloned().collect();
        // Jobs that it submits are not in the build before it has; they are on offer still.
        prop_assert!(missing.is_subset(&[lost.clone()].into()), "{missing:?} in place of {lost}");
        let second = play_selected(&better(&plan), selection.clone());
        assert_reused(&second, &earlier, &selection)?;
        prop_assert!(selection.again.iter().any(|(job, _)| *job == lost));
    }

    #[test]
    fn a_job_that_is_asked_for_runs_with_what_it_needs_and_the_others_are_left_out(
        needs in acyclic_needs(12), picks in vec(any::<prop::sample::Index>(), 1..3), until in any::<bool>(),
        traits in vec(fake_driver::rough_traits(), 12),
    ) {
        prop_assume!(!needs.is_empty());
        let traits = traits.into_iter().map(|of_job| Traits { group: None, run_when: Default::default(), ..of_job });
        let plan = better(&Plan {
            needs: needs.clone(), submitted: vec![], traits: traits.collect(), outcomes: vec![Outcome::Succeeds; 12], timeout_ms: u64::MAX,
            max_running: 3, moves: vec![],
        });
        let named: BTreeSet<usize> = picks.iter().map(|pick| pick.index(needs.len())).collect();
        let ids: BTreeSet<String> = named.iter().map(|job| id(*job)).collect();
        let selection = select_only(&plan.jobs(), &[], &ids, until).expect("they are there");
        let wanted = with_needs(&needs, &named);
        let after = with_dependents(&plan, named.iter().copied());
        let runs: BTreeSet<String> = (0..needs.len())
            .filter(|job| wanted.contains(job) || (until && !after.contains(job)))
            .map(id)
            .collect();
        let built = play_selected(&plan, selection);
        prop_assert_eq!(touched(&built), runs);
        prop_assert_eq!(built.state.status(), Some(BuildStatus::Success));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_manual_job_starts_only_when_it_is_named_and_no_build_fails_or_waits_for_its_want(
        plan in calm_plan(), pick in any::<prop::sample::Index>(),
    ) {
        prop_assume!(!plan.needs.is_empty());
        let manual = pick.index(plan.needs.len());
        let mut plan = better(&Plan { submitted: vec![], ..plan });
        for (job, of_job) in plan.traits.iter_mut().enumerate() {
            (of_job.manual, of_job.run_when) = (job == manual, Default::default());
        }
        let (first, name) = (play(&plan), id(manual));
        prop_assert_eq!(first.state.status(), Some(BuildStatus::Success));
        let after: BTreeSet<String> = with_dependents(&plan, [manual].into_iter()).into_iter().map(id).collect();
        prop_assert!(touched(&first).is_disjoint(&after));
        let earlier = Earlier::of("o/r/1", &first.journal);
        // None of them failed.
        let nothing = select(&earlier, &plan, Again::Failed);
        prop_assert!(matches!(nothing, Err(SelectError::NothingFailed { .. })), "{nothing:?}");
        let all = select(&earlier, &plan, Again::All).expect("something to run");
        prop_assert!(touched(&play_selected(&plan, all)).is_disjoint(&after));
        let named = BTreeSet::from([name.clone()]);
        for (what, runs) in [(Again::From(named.clone()), after.clone()), (Again::Jobs(named.clone()), named.clone())] {
            let selection = select(&earlier, &plan, what).expect("it is there");
            let second = play_selected(&plan, selection.clone());
            assert_reused(&second, &earlier, &selection)?;
            prop_assert_eq!((touched(&second), second.state.status()), (runs, Some(BuildStatus::Success)));
        }
        let only = select_only(&plan.jobs(), &[], &named, false).expect("it is there");
        prop_assert!(touched(&play_selected(&plan, only)).contains(&name));
    }
}

#[test]
fn what_is_not_there_is_refused_with_what_was_probably_meant() {
    let plan = Plan {
        needs: vec![vec![], vec![0]],
        submitted: vec![],
        traits: vec![],
        outcomes: vec![Outcome::Succeeds; 2],
        timeout_ms: u64::MAX,
        max_running: 1,
        moves: vec![],
    };
    let removed = [("j7".to_owned(), "only on main".to_owned())];
    let ids = |id: &str| BTreeSet::from([id.to_owned()]);
    let refused =
        |id: &str| select_only(&plan.jobs(), &removed, &ids(id), false).expect_err("it is not there").to_string();
    assert_eq!(refused("j11"), "there is no job \"j11\"; did you mean \"j1\"?");
    assert_eq!(
        refused("j7"),
        "there is no job \"j7\" in this build: a condition of the script removed it: only on main"
    );
    let earlier = Earlier::of("o/r/1", &play(&plan).journal);
    let again = |what| select(&earlier, &plan, what).expect_err("nothing to run").to_string();
    assert_eq!(again(Again::From(ids("j11"))), "there is no job \"j11\"; did you mean \"j1\"?");
    assert_eq!(
        again(Again::Failed),
        "no job of the build o/r/1 failed, so there is none to run again; see --from, --job and --all"
    );
}
