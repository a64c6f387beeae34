//! Which jobs have surely succeeded before another one starts.

/// Whether a job needs another one, directly or through others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// The job that needs, or doesn't.
    pub(super) job: usize,
    /// The job that is needed, or isn't.
    pub(super) needed: usize,
}

/// The questions whose answer is no. `needs` has the needs of each job, each list sorted.
///
/// Most artifacts are restored by a job that needs their saver directly, which takes a look. The others are answered
/// 128 savers at a time in one walk over the graph, so that no graph, however made, takes time that grows with the
/// square of its size in earnest.
pub(super) fn not_upstream(needs: &[Vec<usize>], questions: &[Question]) -> Vec<Question> {
    let open = |question: &&Question| needs[question.job].binary_search(&question.needed).is_err();
    let mut open: Vec<Question> = questions.iter().filter(open).copied().collect();
    if open.is_empty() {
        return open;
    }
    open.sort_by_key(|question| question.needed);
    let Order { jobs, knot } = order(needs);
    let mut answers = Vec::new();
    let mut rest = open.as_slice();
    while let Some(first) = rest.first() {
        // Bit n of a knot's mask says that its jobs need the n-th saver of this batch, or are it.
        let mut masks = vec![0_u128; needs.len()];
        let (mut bit, mut last, mut taken) = (1_u128, first.needed, 0);
        let mut asked = Vec::new();
        for question in rest {
            if question.needed != last {
                let Some(next) = bit.checked_mul(2) else { break };
                (bit, last) = (next, question.needed);
            }
            masks[knot[question.needed]] |= bit;
            asked.push((question, bit));
            taken += 1;
        }
        for &job in &jobs {
            let mask = needs[job].iter().fold(0, |mask, &need| mask | masks[knot[need]]);
            masks[knot[job]] |= mask;
        }
        answers.extend(asked.into_iter().filter(|(q, bit)| masks[knot[q.job]] & bit == 0).map(|(q, _)| *q));
        rest = &rest[taken..];
    }
    answers
}

/// An order in which each job comes after those that it needs, where jobs that need each other in a circle (a knot)
/// stand together.
struct Order {
    jobs: Vec<usize>,
    /// The number of each job's knot; most knots are one job.
    knot: Vec<usize>,
}

/// Tarjan's algorithm, without recursion: a hostile graph is as deep as it is large.
fn order(needs: &[Vec<usize>]) -> Order {
    const NEW: usize = usize::MAX;
    let mut jobs = Vec::with_capacity(needs.len());
    let mut knot = vec![NEW; needs.len()];
    let mut knots = 0;
    let mut number = vec![NEW; needs.len()];
    let mut low = vec![0; needs.len()];
    let mut walked = vec![0; needs.len()];
    let mut count = 0;
    let mut open = Vec::new();
    let mut path = Vec::new();
    for root in 0..needs.len() {
        if number[root] == NEW {
            path.push(root);
        }
        while let Some(&job) = path.last() {
            if number[job] == NEW {
                (number[job], low[job]) = (count, count);
                count += 1;
                open.push(job);
            }
            if let Some(&need) = needs[job].get(walked[job]) {
                if number[need] == NEW {
                    // Comes back to the same need when that one is done.
                    path.push(need);
                } else {
                    walked[job] += 1;
                    if knot[need] == NEW {
                        low[job] = low[job].min(low[need]);
                    }
                }
                continue;
            }
            path.pop();
            if low[job] == number[job] {
                while let Some(member) = open.pop() {
                    knot[member] = knots;
                    jobs.push(member);
                    if member == job {
                        break;
                    }
                }
                knots += 1;
            }
        }
    }
    Order { jobs, knot }
}
