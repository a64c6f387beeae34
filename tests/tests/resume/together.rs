//! Many processes at once in one home.

use super::*;

/// How many there are.
const RUNS: usize = 20;

/// How jobs ended, and what each of them said, in no order of time.
fn told(ended: &Ended) -> Vec<(String, String, String)> {
    let mut told: Vec<_> = ends(ended).into_iter().map(|(job, cause)| (ended.log(Some(&job)), job, cause)).collect();
    told.sort();
    told
}

#[test]
fn of_twenty_runs_at_once_in_one_home_one_is_killed_and_resumed_and_the_others_end_as_if_alone() {
    let (alone, together, code) = (Host::default(), Host::default(), code());
    let dir = ["--dir", code.path().to_str().expect("text")];
    let expected = alone.run("resume", &dir);
    assert_eq!(expected.code, Some(0), "{expected:#?}");
    let mut victim = together.start("resume-waiting", &[]);
    let others: Vec<Running> = (1..RUNS).map(|_| together.start("resume", &dir)).collect();
    until_on_disk(&together, &mut victim, "job/waiting", "waits");
    let (build, _) = kill(victim, |_| true);
    for other in others {
        let ended = other.end();
        assert_eq!((ended.code, told(&ended)), (Some(0), told(&expected)), "{ended:#?}");
    }
    let listed = list(&together);
    assert!(listed.lines().count() == 1 && listed.starts_with(&format!("{build}: 1 of 3 jobs are over")), "{listed}");
    let resumed = resume(&together, &build, &[]);
    let_it_go(&together, &build);
    let ended = resumed.end();
    assert_eq!((ended.code, ended.cause("waits"), ended.cause("after")), (Some(0), "succeeded", "succeeded"));
}
