//! Cycles among the needs of jobs.

/// Cycles in a graph given as the needs of each job: each cycle is a path in which a job needs the next one and the
/// last one needs the first, beginning with the job of the lowest index.
///
/// A tangle of jobs can hold more cycles than anybody could list, so this finds cycles that have no need in common,
/// as many as it takes to break all others when each of their needs is taken away. Walks every need once.
pub(super) fn cycles(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    // How many needs of each job have been walked; a job whose needs all have been is on no further cycle.
    let mut walked = vec![0; needs.len()];
    let mut on_path = vec![false; needs.len()];
    let mut path = Vec::new();
    for root in 0..needs.len() {
        on_path[root] = true;
        path.push(root);
        while let Some(&job) = path.last() {
            let Some(&need) = needs[job].get(walked[job]) else {
                path.pop();
                on_path[job] = false;
                continue;
            };
            walked[job] += 1;
            if on_path[need] {
                // Everything on the path after `need` may lie on another cycle yet, by the needs not walked so far.
                let mut cycle = vec![need];
                while let Some(job) = path.pop_if(|job| *job != need) {
                    on_path[job] = false;
                    cycle.push(job);
                }
                cycle[1..].reverse();
                found.push(begin_with_lowest(cycle));
            } else {
                on_path[need] = true;
                path.push(need);
            }
        }
    }
    found
}

fn begin_with_lowest(mut cycle: Vec<usize>) -> Vec<usize> {
    let lowest = (0..cycle.len()).min_by_key(|&at| cycle[at]).unwrap_or_default();
    cycle.rotate_left(lowest);
    cycle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_that_share_a_job_are_all_found() {
        // 1 and 2 need each other, 2 and 3 too; 0 and 4 only hang on to them.
        assert_eq!(cycles(&[vec![1], vec![2], vec![1, 3], vec![2], vec![]]), [[1, 2], [2, 3]]);
    }

    #[test]
    fn a_graph_without_cycle_has_none() {
        assert_eq!(cycles(&[vec![], vec![0], vec![0, 1], vec![1, 2, 0]]), Vec::<Vec<usize>>::new());
    }
}
