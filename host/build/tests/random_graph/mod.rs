//! Random graphs, as the needs of each job by index.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

/// The id of the job of this index.
pub fn id(job: usize) -> String {
    format!("j{job}")
}

/// The needs of up to so many jobs, without cycle; the jobs that are needed are not always declared first.
pub fn acyclic_needs(most: usize) -> impl Strategy<Value = Vec<Vec<usize>>> {
    let ranks = (0..=most).prop_flat_map(|count| Just((0..count).collect::<Vec<_>>()).prop_shuffle());
    ranks.prop_flat_map(|ranks| {
        let count = ranks.len();
        vec(vec(any::<prop::sample::Index>(), 0..4), count).prop_map(move |picks| {
            let mut needs = vec![Vec::new(); count];
            for (rank, picks) in picks.iter().enumerate().filter(|(rank, _)| *rank > 0) {
                let mut of_job: Vec<usize> = picks.iter().map(|pick| ranks[pick.index(rank)]).collect();
                let mut seen = BTreeSet::new();
                of_job.retain(|need| seen.insert(*need));
                needs[ranks[rank]] = of_job;
            }
            needs
        })
    })
}
