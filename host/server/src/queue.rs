//! Which of the builds that wait begins next.
//!
//! So many builds run at once; the others wait in the database, in the order in which they were asked for. Repositories take turns, so that
//! one that asks for thousands keeps no other one waiting.

use std::collections::HashMap;

/// The first build of a repository that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct First {
    pub(crate) repository: i64,
    pub(crate) number: i64,
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: u64,
    /// The last turn of each repository.
    last: HashMap<i64, u64>,
}

impl Turns {
    /// The build that begins next: of the repository of which the fewest run; among such, of the one whose turn is longest ago, and then of
    /// the one that has asked first.
    pub(crate) fn next(&mut self, firsts: &[First], running: &HashMap<i64, u64>) -> Option<First> {
        let place = |first: &&First| {
            let runs = running.get(&first.repository).copied().unwrap_or_default();
            (runs, self.last.get(&first.repository).copied().unwrap_or_default(), first.number)
        };
        let next = *firsts.iter().min_by_key(place)?;
        self.taken += 1;
        self.last.insert(next.repository, self.taken);
        Some(next)
    }

    /// Forgets the turns of repositories of which nothing waits and nothing runs: there may be any number of them in time.
    pub(crate) fn forget(&mut self, firsts: &[First], running: &HashMap<i64, u64>) {
        if self.last.len() > 2 * (firsts.len() + running.len()) {
            self.last.retain(|repository, _| {
                running.contains_key(repository) || firsts.iter().any(|first| first.repository == *repository)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has `asked` begin, of which each is a repository and how many builds it asks for, with so many places; each build takes one step.
    /// Returns the repositories in the order of their builds.
    fn order(asked: &[(i64, i64)], places: usize) -> Vec<i64> {
        let (mut turns, mut begun) = (Turns::default(), Vec::new());
        let mut left: Vec<_> = asked.to_vec();
        loop {
            let mut running = HashMap::new();
            for _ in 0..places {
                let firsts: Vec<_> = left.iter().filter(|(_, count)| *count > 0).collect();
                let firsts: Vec<_> = firsts
                    .iter()
                    .map(|(repository, count)| First {
                        repository: *repository,
                        number: *repository * 1_000_000 - count,
                    })
                    .collect();
                let Some(next) = turns.next(&firsts, &running) else { return begun };
                *running.entry(next.repository).or_default() += 1;
                begun.push(next.repository);
                let of = left.iter_mut().find(|(repository, _)| *repository == next.repository);
                of.expect("it asked").1 -= 1;
                turns.forget(&firsts, &running);
            }
        }
    }

    #[test]
    fn ten_repositories_that_ask_for_one_build_each_wait_for_one_of_a_flood_and_not_for_all() {
        let mut asked = vec![(1, 10_000)];
        asked.extend((2..=11).map(|repository| (repository, 1)));
        for places in [1, 2, 7] {
            let order = order(&asked, places);
            let last = order.iter().rposition(|repository| *repository != 1).expect("they begin");
            // Each place takes at most one of the flood before all of them have begun.
            assert!(last < 10 + 2 * places, "{places} places: {:?}", &order[..=last]);
            assert_eq!(order.len(), 10_010, "and all begin");
        }
    }

    #[test]
    fn repositories_that_all_have_more_take_turns() {
        let order = order(&[(1, 50), (2, 50), (3, 50)], 1);
        for turn in order.chunks(3) {
            let mut turn = turn.to_vec();
            turn.sort_unstable();
            assert_eq!(turn, [1, 2, 3]);
        }
    }

    #[test]
    fn builds_of_one_repository_begin_in_the_order_in_which_they_were_asked_for() {
        let mut turns = Turns::default();
        let firsts = [First { repository: 1, number: 7 }, First { repository: 2, number: 3 }];
        let running = HashMap::from([(1, 1), (2, 1)]);
        assert_eq!(turns.next(&firsts, &running).map(|first| first.number), Some(3));
        assert_eq!(turns.next(&[], &running), None);
    }
}
