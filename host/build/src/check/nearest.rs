//! "Did you mean …?": the name nearest to one that does not exist.

/// Finds near names, within a budget: a script may ask for thousands of names that do not exist among thousands that
/// do, and the answer is only a courtesy.
pub(super) struct Nearest {
    budget: usize,
}

/// The name nearest to one that does not exist, if one is near: for "did you mean …?".
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    Nearest::new().of(wanted, names)
}

impl Nearest {
    /// Enough for every typing error of a person, and less than a tenth of a second for a machine.
    pub(super) fn new() -> Self {
        Self { budget: 3_000_000 }
    }

    /// The first of the names that are nearest to `wanted`, if one is near.
    pub(super) fn of<'a>(&mut self, wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
        if wanted.len() > 64 {
            return None;
        }
        // Of a name of one letter, nothing would be left.
        let mut limit = (wanted.len().max(3) / 3).min(wanted.len().saturating_sub(1));
        let mut best = None;
        for name in names {
            self.budget = self.budget.checked_sub(1)?;
            // As many bytes as the lengths differ by have to be put in or taken out at least.
            if name.is_empty() || name.len().abs_diff(wanted.len()) > limit {
                continue;
            }
            self.budget = self.budget.checked_sub(wanted.len() * name.len())?;
            let far = distance(wanted.as_bytes(), name.as_bytes());
            if far <= limit && best.is_none_or(|(nearest, _)| far < nearest) {
                best = Some((far, name));
                limit = far;
            }
        }
        best.map(|(_, name)| name.to_owned())
    }
}

/// How many bytes have to be put in, taken out, changed, or swapped with their neighbour, to make `b` of `a`; capitals
/// don't matter.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let same = |i: usize, j: usize| a[i].eq_ignore_ascii_case(&b[j]);
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(!same(i - 1, j - 1));
            let mut least = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && same(i - 1, j - 2) && same(i - 2, j - 1) {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_understood() {
        for typed in ["biuld", "buld", "builds", "BUILD", "bu1ld"] {
            assert_eq!(Nearest::new().of(typed, ["test", "build", "lint"]).as_deref(), Some("build"), "{typed}");
        }
        assert_eq!(Nearest::new().of("deploy", ["test", "build", "lint"]), None);
        assert_eq!(Nearest::new().of("a", ["b", "c"]), None);
    }

    #[test]
    fn the_budget_ends_the_search() {
        let mut nearest = Nearest { budget: 30 };
        assert_eq!(nearest.of("build", ["built"]).as_deref(), Some("built"));
        assert_eq!(nearest.of("build", ["built"]), None);
    }
}
