//! Rows of a matrix, and the ids of their jobs.

use std::collections::BTreeSet;

use super::model::Matrix;
use super::names;

/// A value for each axis that the row has.
pub type Row = Vec<(String, String)>;

/// A matrix of these rows; ids have the values of these axes.
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

/// A matrix of these rows; ids have the values of all axes.
pub fn rows_of(id: &str, axes: Vec<String>, rows: &[Row]) -> Matrix {
    made(id, axes, rows, &[])
}
