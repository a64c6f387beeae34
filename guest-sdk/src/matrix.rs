//! Jobs for every combination of some values.

use std::fmt;
use std::ops::Index;

use crate::job::Labelled;

/// Named axes of values, and jobs for every combination of them. Made by [`matrix`].
#[derive(Default)]
pub struct Matrix {
    axes: Vec<(String, Vec<String>)>,
    filters: Vec<Filter>,
}

type Filter = Box<dyn Fn(&Combination) -> bool>;

/// Jobs for every combination of some values.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// let tests = matrix()
///     .axis("os", ["debian:12", "alpine:3"])
///     .axis("python", ["3.12", "3.13"])
///     .exclude(|c| &c["os"] == "alpine:3" && &c["python"] == "3.12")
///     .jobs(|c| container(c.id("test"), &c["os"]).shell([format!("make test PYTHON={}", &c["python"])]));
///
/// let ids: Vec<&str> = tests.iter().map(|job| job.id()).collect();
/// assert_eq!(ids, ["test-debian-12-3.12", "test-debian-12-3.13", "test-alpine-3-3.13"]);
///
/// let report = action("report", |context| context.report("all tests passed")).needs_all(&tests);
/// ```
pub fn matrix() -> Matrix {
    Matrix::default()
}

impl Matrix {
    /// An axis with its values. The last axis changes fastest.
    pub fn axis<S: Into<String>>(mut self, name: impl Into<String>, values: impl IntoIterator<Item = S>) -> Self {
        self.axes.push((name.into(), values.into_iter().map(Into::into).collect()));
        self
    }

    /// Leaves out the combinations that `unwanted` selects.
    pub fn exclude(self, unwanted: impl Fn(&Combination) -> bool + 'static) -> Self {
        self.filter(move |combination| !unwanted(combination))
    }

    /// Keeps only the combinations that `wanted` selects.
    pub fn filter(mut self, wanted: impl Fn(&Combination) -> bool + 'static) -> Self {
        self.filters.push(Box::new(wanted));
        self
    }

    /// The combinations, in order.
    pub fn combinations(&self) -> Vec<Combination> {
        let mut all = vec![Combination { values: Vec::new() }];
        for (name, values) in &self.axes {
            let with = |combination: &Combination, value: &String| {
                let mut values = combination.values.clone();
                values.push((name.clone(), value.clone()));
                Combination { values }
            };
            all = all.iter().flat_map(|combination| values.iter().map(move |value| with(combination, value))).collect();
        }
        all.retain(|combination| self.filters.iter().all(|wanted| wanted(combination)));
        all
    }

    /// A job for each combination, with a label for each axis.
    pub fn jobs<J: Labelled>(&self, mut job: impl FnMut(&Combination) -> J) -> Vec<J> {
        let labelled = |combination: &Combination| {
            let labels = combination.values.iter();
            labels.fold(job(combination), |job, (name, value)| job.labelled(name, value))
        };
        self.combinations().iter().map(labelled).collect()
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.combinations()).finish()
    }
}

/// A value for each axis of a [`Matrix`]. `combination["axis"]` is the value; it panics when there is no such axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combination {
    values: Vec<(String, String)>,
}

impl Combination {
    /// The value on an axis.
    pub fn get(&self, axis: &str) -> Option<&str> {
        self.values.iter().find_map(|(name, value)| (name == axis).then_some(value.as_str()))
    }

    /// The axes and their values, in order.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// An id for a job: `prefix` and the values, joined by `-`. What can't be in an id becomes `-`, too.
    pub fn id(&self, prefix: &str) -> String {
        let mut id = prefix.to_owned();
        for (_, value) in &self.values {
            let fits = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
            id.push('-');
            id.extend(value.chars().map(|char| if fits(char) { char } else { '-' }));
        }
        id
    }
}

impl Index<&str> for Combination {
    type Output = str;

    fn index(&self, axis: &str) -> &str {
        match self.get(axis) {
            Some(value) => value,
            None => panic!("the matrix has no axis {axis:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn a_matrix_has_every_combination_that_is_not_left_out() {
        let matrix =
            matrix().axis("a", ["1", "2"]).axis("b", ["x", "y/z"]).exclude(|c| &c["a"] == "2" && &c["b"] == "x");
        let ids: Vec<String> = matrix.combinations().iter().map(|c| c.id("j")).collect();
        assert_eq!(ids, ["j-1-x", "j-1-y-z", "j-2-y-z"]);
    }

    #[test]
    fn jobs_of_a_matrix_are_labelled_with_their_values() {
        let jobs = matrix()
            .axis("os", ["debian"])
            .filter(|c| c.get("os").is_some())
            .jobs(|c| -> Job { container(c.id("test"), &c["os"]).into() });
        assert_eq!(jobs[0].label_value("os"), Some("debian"));
        assert_eq!(jobs[0].label_value("arch"), None);
    }

    #[test]
    fn a_matrix_with_an_empty_axis_has_no_jobs() {
        assert!(matrix().axis("os", [""; 0]).combinations().is_empty());
    }
}
