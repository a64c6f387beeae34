//! `strategy.matrix`: its rows.

use crate::import::model::{Matrix, Missing, MissingList};
use crate::import::rows::{Row, at_most, made, with_axis};
use crate::import::yaml::Tree;

/// The most rows: so many GitHub has.
const MAX_ROWS: usize = 256;

/// Reads a matrix of the job with this id. Each key that is no list of texts is listed.
pub fn read(id: &str, matrix: &Tree, missing: &mut MissingList) -> Option<Matrix> {
    if !matrix.is_map() {
        missing.push(Missing::of(
            matrix,
            "the rows are not known before the build; write them down, or submit the jobs from an action",
        ));
        return None;
    }
    let mut axes: Vec<String> = Vec::new();
    let mut rows: Vec<Row> = vec![Vec::new()];
    for entry in matrix.entries().iter().filter(|entry| !["include", "exclude"].contains(&entry.key.as_str())) {
        let items = entry.value.items();
        let values: Option<Vec<String>> = items.iter().map(text).collect();
        let Some(values) = values.filter(|_| entry.value.is_list()) else {
            missing.push(Missing::of(&entry.value, "this axis is no list of texts; write its values down"));
            continue;
        };
        if with_axis(&mut rows, entry, &values, MAX_ROWS, missing) {
            axes.push(entry.key.clone());
        }
    }
    for one in matrix.get("exclude").map(|node| node.items()).unwrap_or_default() {
        match of_map(&one) {
            Some(unwanted) => {
                let before = rows.len();
                rows.retain(|row| !unwanted.iter().all(|pair| row.contains(pair)));
                if rows.len() == before {
                    missing.push(Missing::of(&one, "no row is so: this leaves none out"));
                }
            }
            None => missing.push(Missing::of(&one, "what is left out is not known before the build; write it down")),
        }
    }
    let base = axes.clone();
    if base.is_empty() {
        rows.clear();
    }
    let mut added: Vec<Row> = Vec::new();
    for one in matrix.get("include").map(|node| node.items()).unwrap_or_default() {
        let Some(pairs) = of_map(&one) else {
            missing.push(Missing::of(&one, "what is added is not known before the build; write it down"));
            continue;
        };
        for (axis, _) in &pairs {
            if !axes.contains(axis) {
                axes.push(axis.clone());
            }
        }
        // It goes into each row that it contradicts in no axis of the matrix, and is a row of its own if there is none.
        let agrees = |row: &Row| pairs.iter().filter(|(axis, _)| base.contains(axis)).all(|pair| row.contains(pair));
        let mut fits = false;
        for row in rows.iter_mut().filter(|row| agrees(row)) {
            fits = true;
            for (axis, value) in pairs.iter().filter(|(axis, _)| !base.contains(axis)) {
                row.retain(|(known, _)| known != axis);
                row.push((axis.clone(), value.clone()));
            }
        }
        if !fits {
            added.push(pairs);
        }
    }
    rows.extend(added);
    at_most(&mut rows, MAX_ROWS, matrix, missing);
    matrix.cover();
    Some(made(id, axes, &rows, &base)).filter(|matrix| !matrix.rows.is_empty())
}

fn text(item: &Tree) -> Option<String> {
    item.peek().filter(|text| !text.contains("${{")).map(str::to_owned)
}

fn of_map(item: &Tree) -> Option<Row> {
    let pairs = item.entries().iter().map(|entry| Some((entry.key.clone(), text(&entry.value)?)));
    pairs.collect::<Option<Row>>().filter(|row| !row.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml;

    fn rows(text: &str) -> (Vec<String>, usize) {
        let file = yaml::read(text.as_bytes()).expect(text).remove(0);
        let mut missing = MissingList::default();
        let matrix = read("test", &file, &mut missing).unwrap_or_default();
        (matrix.rows.iter().map(|(id, values)| format!("{id}: {}", values.join(" "))).collect(), missing.len())
    }

    #[test]
    fn rows_are_those_that_github_makes() {
        let (all, missing) = rows(
            "os: [a, b]\nnode: [1, 2]\nexclude: [{os: b, node: 1}]\ninclude: [{os: a, extra: x}, {os: c, node: 3}, {node: 2, late: y}]\n",
        );
        assert_eq!(missing, 0);
        assert_eq!(all, ["test-a-1: a 1 x ", "test-a-2: a 2 x y", "test-b-2: b 2  y", "test-c-3: c 3  "]);
        let (all, _) = rows("include: [{target: x86, os: a}, {target: arm, os: b}]\n");
        assert_eq!(all, ["test-x86-a: x86 a", "test-arm-b: arm b"]);
    }

    #[test]
    fn what_is_no_list_of_texts_is_listed() {
        let (all, missing) = rows("os: ${{ fromJSON(needs.a.outputs.os) }}\nnode: [1]\ncfg: [{a: 1}]\n");
        assert_eq!((all, missing), (vec!["test-1: 1".to_owned()], 2));
        let many: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        let many = many.join(", ");
        assert_eq!(rows(&format!("a: [{many}]\nb: [{many}]\n")).1, 1);
    }
}
