//! Rows of a matrix, and the ids of their jobs.

use std::collections::BTreeSet;

use super::model::{Matrix, Missing, MissingList};
use super::names;
use super::yaml::{Entry, Tree};

/// A value for each axis that the row has.
pub type Row = Vec<(String, String)>;

/// A matrix of these rows; ids have the values of these axes, or of all if there are none.
pub fn made(id: &str, axes: Vec<String>, rows: &[Row], in_ids: &[String]) -> Matrix {
    let mut taken = BTreeSet::new();
    let value = |row: &Row, axis: &String| {
        row.iter().find_map(|(known, value)| (known == axis).then(|| value.clone())).unwrap_or_default()
    };
    let rows = rows.iter().map(|row| {
        let values: Vec<String> = axes.iter().map(|axis| value(row, axis)).collect();
        let shown = axes.iter().filter(|axis| in_ids.is_empty() || in_ids.contains(axis)).map(|axis| value(row, axis));
        let name =
            std::iter::once(id.to_owned()).chain(shown).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
        (names::distinct(names::id(&name), &mut taken), values)
    });
    Matrix { rows: rows.collect(), axes }
}

/// Each of these rows with each of these values of one more axis. Where that were more than `most` rows, they stay as they are, and the
/// axis is listed.
pub fn with_axis(rows: &mut Vec<Row>, axis: &Entry, values: &[String], most: usize, missing: &mut MissingList) -> bool {
    if rows.len().saturating_mul(values.len()) > most {
        let why = format!("with these values there are more than {most} jobs: they are left out");
        missing.push(Missing::of(&axis.value, why));
        return false;
    }
    let with = |row: &Row, value: &String| row.iter().cloned().chain([(axis.key.clone(), value.clone())]).collect();
    *rows = rows.iter().flat_map(|row| values.iter().map(|value| with(row, value)).collect::<Vec<Row>>()).collect();
    true
}

/// Leaves the rows out that are too many, and lists them.
pub fn at_most(rows: &mut Vec<Row>, most: usize, matrix: &Tree, missing: &mut MissingList) {
    if rows.len() > most {
        let why = format!("of {} rows, the first {most} are here: the others are left out", rows.len());
        missing.push(Missing { place: matrix.place(), why });
        rows.truncate(most);
    }
}
