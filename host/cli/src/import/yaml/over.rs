//! Maps that are merged: one over another one, and what `<<` takes in.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::{Entry, ImportError, Kind, Node, Tree};

/// What comes of `base` where `own` counts before it: maps are merged key by key, and of all else there is the own one. Parts are those
/// of the file, so what is used of them is used there. What is replaced comes to `replaced`.
pub fn over(own: &Tree, base: &Tree, replaced: &mut Vec<Tree>) -> Tree {
    let (Kind::Map(above), Kind::Map(below)) = (&own.kind, &base.kind) else {
        replaced.push(base.clone());
        return own.clone();
    };
    // Of a key that stands twice, the last counts.
    let values: HashMap<&str, &Tree> = above.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect();
    let known: HashSet<&str> = below.iter().map(|entry| entry.key.as_str()).collect();
    let merged = below.iter().map(|entry| match values.get(entry.key.as_str()) {
        Some(value) => Entry { value: over(value, &entry.value, replaced), ..entry.clone() },
        None => entry.clone(),
    });
    let mut entries: Vec<Entry> = merged.collect();
    entries.extend(above.iter().filter(|entry| !known.contains(entry.key.as_str())).cloned());
    Rc::new(Node {
        kind: Kind::Map(entries),
        tag: own.tag.clone(),
        line: own.line,
        place: own.place.clone(),
        used: Cell::new(true),
        size: own.size.saturating_add(base.size),
    })
}

/// A map with what `<<` takes in: its own keys count first, and of several maps the earlier.
pub(super) fn merged(entries: Vec<Entry>) -> Result<Vec<Entry>, ImportError> {
    if !entries.iter().any(|entry| entry.key == "<<") {
        return Ok(entries);
    }
    let (merges, mut all): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.key == "<<");
    let mut known: HashSet<String> = all.iter().map(|entry| entry.key.clone()).collect();
    for merge in merges {
        let maps = match &merge.value.kind {
            Kind::List(items) => items.clone(),
            _ => vec![merge.value.clone()],
        };
        for map in maps {
            let Kind::Map(entries) = &map.kind else { return Err(ImportError::NoMerge { line: merge.line }) };
            all.extend(entries.iter().filter(|entry| known.insert(entry.key.clone())).cloned());
        }
    }
    Ok(all)
}

impl Node {
    /// Covers it if nothing in it was used: where it is replaced, its own system does not see it either. Of a part that somebody else
    /// used, the rest is not covered.
    pub fn cover_untouched(&self) {
        if self.untouched() {
            self.cover();
        }
    }

    /// How much room it takes where it is repeated, as a number of values.
    pub fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use crate::import::yaml::{self, Kind, Tree};

    fn shown(node: &Tree) -> String {
        match &node.kind {
            Kind::Text { text, .. } => text.clone(),
            Kind::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Kind::Map(entries) => {
                let entries = entries.iter().map(|entry| format!("{}:{}", entry.key, shown(&entry.value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn maps_are_merged_key_by_key_and_all_else_is_replaced() {
        let file = yaml::read(
            b"own: {a: {x: 1, y: [1]}, b: {z: 1}, c: null}\nbase: {a: {y: [2, 3], w: 2}, b: text, c: {v: 1}, d: 4}\n",
        )
        .expect("YAML")
        .remove(0);
        let of = |key: &str| file.get(key).expect("it is there").clone();
        let mut replaced = Vec::new();
        let made = super::over(&of("own"), &of("base"), &mut replaced);
        assert_eq!(shown(&made), "{a:{y:[1] w:2 x:1} b:{z:1} c:null d:4}");
        assert_eq!(made.place(), of("own").place());
        made.get("a").and_then(|a| a.get("w")).expect("it is there").cover();
        // Somebody else takes a part of what is replaced here: the rest of it is not dealt with.
        let other = of("base").get("a").and_then(|a| a.get("y")).expect("it is there").items();
        assert_eq!(other[0].text(), Some("2"));
        replaced.iter().for_each(|node| node.cover_untouched());
        let unused: Vec<String> = yaml::unused(&[file]).iter().map(|node| node.place().path).collect();
        assert!(!unused.contains(&"base.a.w".to_owned()) && unused.contains(&"base.d".to_owned()), "{unused:?}");
        assert!(!unused.iter().any(|path| path.starts_with("base.b")), "{unused:?}");
        assert!(unused.contains(&"base.a.y[1]".to_owned()), "{unused:?}");
    }
}
