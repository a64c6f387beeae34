//! Random plans: builds that could be.

use super::*;

/// Plans in which everything may go wrong.
pub fn rough_plan() -> impl Strategy<Value = Plan> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Succeeds),
        1 => Just(Outcome::Warns),
        1 => Just(Outcome::HasNothingToDo),
        1 => Just(Outcome::Fails),
        1 => Just(Outcome::Breaks),
        1 => Just(Outcome::Hangs),
    ];
    let a_move = prop_oneof![
        40 => any::<usize>().prop_map(Move::Advance),
        3 => (0..30_u64).prop_map(Move::Wait),
        1 => Just(Move::Cancel),
        2 => Just(Move::Crash),
    ];
    plans(outcome, 40, a_move, rough_traits())
}

/// All that can be special about a job.
pub fn rough_traits() -> impl Strategy<Value = Traits> {
    let group = prop_oneof![5 => Just(None), 1 => (0..2_u8).prop_map(Some)];
    traits(group, 0..50, any::<bool>().boxed())
}

/// Plans in which nobody interferes: jobs end by themselves, in any order, and no job stops another or lets others by.
pub fn calm_plan() -> impl Strategy<Value = Plan> {
    let outcome = prop_oneof![
        5 => Just(Outcome::Succeeds),
        1 => Just(Outcome::Warns),
        1 => Just(Outcome::HasNothingToDo),
        1 => Just(Outcome::Fails),
        1 => Just(Outcome::Breaks),
    ];
    plans(outcome, u64::MAX, any::<usize>().prop_map(Move::Advance), traits(Just(None), 0..1, Just(false).boxed()))
}

fn traits(
    group: impl Strategy<Value = Option<u8>>,
    delay_ms: std::ops::Range<u64>,
    waits: BoxedStrategy<bool>,
) -> impl Strategy<Value = Traits> {
    let run_when = prop_oneof![4 => Just(RunWhen::Success), 1 => Just(RunWhen::Always), 1 => Just(RunWhen::Failure)];
    let completion =
        prop_oneof![4 => Just(Completion::Complete), 1 => Just(Completion::Skipped), 1 => Just(Completion::Broken)];
    let retry = proptest::option::weighted(0.3, (1..4_u32, delay_ms));
    let approval = proptest::option::weighted(0.15, proptest::bool::weighted(0.8));
    let late = proptest::option::weighted(0.15, completion);
    let rare = || proptest::bool::weighted(0.15);
    let people = (approval, late, (rare(), waits).prop_map(|(rare, waits)| rare && waits), any::<bool>());
    (run_when, rare(), retry, 0..4_u32, -1..2_i32, group, people).prop_map(
        |(run_when, allow_failure, retry, bad_attempts, priority, group, (approval, late, waits, says))| Traits {
            run_when,
            allow_failure,
            retry,
            // A job that can't run again does not fail first.
            bad_attempts: if retry.is_some() { bad_attempts } else { 0 },
            priority,
            group,
            approval,
            manual: false,
            late,
            waits,
            says,
        },
    )
}

fn plans(
    outcome: impl Strategy<Value = Outcome>,
    timeout_ms: u64,
    a_move: impl Strategy<Value = Move>,
    traits: impl Strategy<Value = Traits>,
) -> impl Strategy<Value = Plan> {
    let index = any::<prop::sample::Index>;
    let submitted = vec((index(), vec(index(), 0..3)), 0..4);
    let jobs = (acyclic_needs(12), submitted, vec(traits, 16), vec(outcome, 16));
    (jobs, 1..6_usize, vec(a_move, 0..120)).prop_map(
        move |((needs, submitted, traits, outcomes), max_running, moves)| {
            let declared = needs.len();
            // A submitted job may need declared ones, and those that its action submits before it.
            let mut all: Vec<(usize, Vec<usize>)> = Vec::new();
            for (by, picks) in submitted.iter().filter(|_| declared > 0) {
                let by = by.index(declared);
                let before = all.iter().enumerate().filter(|(_, (other, _))| *other == by).map(|(at, _)| declared + at);
                let possible: Vec<usize> = (0..declared).chain(before).collect();
                let mut of_job: Vec<usize> = picks.iter().map(|pick| possible[pick.index(possible.len())]).collect();
                of_job.sort_unstable();
                of_job.dedup();
                all.push((by, of_job));
            }
            Plan { needs, submitted: all, traits, outcomes, timeout_ms, max_running, moves }
        },
    )
}

impl Plan {
    pub fn jobs(&self) -> Vec<JobSpec> {
        (0..self.needs.len()).map(|job| self.spec(job)).collect()
    }

    pub fn index(&self, job: &str) -> usize {
        job[1..].parse().expect("ids are made by this test")
    }

    pub fn of(&self, job: &str) -> Traits {
        self.traits.get(self.index(job)).cloned().unwrap_or_default()
    }

    /// What the job of this index needs, whether it is declared or submitted.
    pub fn needs_of(&self, job: usize) -> &[usize] {
        self.needs.get(job).unwrap_or_else(|| &self.submitted[job - self.needs.len()].1)
    }

    pub fn submitted_by(&self, job: &str) -> Vec<JobSpec> {
        let by = self.index(job);
        let jobs = self.submitted.iter().enumerate().filter(|(_, (submitter, _))| *submitter == by);
        jobs.map(|(at, _)| self.spec(self.needs.len() + at)).collect()
    }

    pub fn spec(&self, job: usize) -> JobSpec {
        let json = serde_json::json!({ "id": id(job), "needs": [], "timeout_ms": self.timeout_ms, "kind": "action" });
        let plain: JobSpec = serde_json::from_value(json).expect("a job of an old journal can be read");
        let traits = self.of(&id(job));
        JobSpec {
            needs: self.needs_of(job).iter().map(|need| id(*need)).collect(),
            run_when: traits.run_when,
            allow_failure: traits.allow_failure,
            retry: traits.retry.map(|(count, delay_ms)| Retry { count, on: vec![], delay_ms }),
            priority: traits.priority,
            fail_fast: traits.group.map(|group| group.to_string()),
            approval: traits.approval.map(|_| "Go on?".into()),
            manual: traits.manual,
            late: traits.late.is_some(),
            ..plain
        }
    }

    pub fn outcome(&self, job: &str) -> Outcome {
        self.outcomes[self.index(job)]
    }
}
