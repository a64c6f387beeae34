//! How many archives are on their way at a time.

use std::path::{Component, Path};

/// While one archive waits for the store, others keep the machine busy. Each takes up to 10 MiB of memory.
pub(super) const MOST: usize = 3;

/// How many uploads run at a time: they only read.
pub(super) fn uploads() -> usize {
    MOST
}

/// How many archives may be unpacked at a time into these places. Where one lies in another, the order decides what is there in the
/// end, so they come one by one.
pub(super) fn downloads<'a>(places: impl IntoIterator<Item = &'a str>) -> usize {
    let mut places: Vec<Vec<&str>> = places.into_iter().map(names).collect();
    // Sorted by their names, a place comes right before all that lies in it.
    places.sort();
    let overlap = places.windows(2).any(|pair| pair[1].starts_with(&pair[0]));
    if overlap { 1 } else { MOST }
}

/// The names that lead to a place. One that leads up may lie anywhere.
fn names(place: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for component in Path::new(place).components() {
        match component {
            Component::Normal(name) => names.push(name.to_str().unwrap_or_default()),
            Component::CurDir => {}
            _ => return Vec::new(),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_apart_are_filled_at_once_and_places_in_one_another_one_by_one() {
        for apart in [&[][..], &["a"], &["a", "b", "ab"], &["a/b", "a/c", "./d"], &["a-b", "a/b"]] {
            assert_eq!(downloads(apart.iter().copied()), MOST, "{apart:?}");
        }
        let within = [
            &["a", "a"][..],
            &["b", "a/b", "a"],
            &[".", "a"],
            &["a", "a-b", "a/b"],
            &["a/./b", "a/b/c"],
            &["a", "../b"],
        ];
        for within in within {
            assert_eq!(downloads(within.iter().copied()), 1, "{within:?}");
        }
    }
}
