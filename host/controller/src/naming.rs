//! Which build a name means.

/// What a name means of some builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// No build.
    None,
    /// This one.
    One(String),
    /// Any of these, in the order in which they were given.
    Several(Vec<String>),
}

/// The build that is called so, of those with these ids. A name is a whole id `org/repo/build`; or the last part of one; or the beginning
/// or the end of an id or of its last part, if no other build has that. What is more exact counts before what is less.
pub(crate) fn named<'a>(name: &str, ids: impl Iterator<Item = &'a str> + Clone) -> Named {
    let last_part = |id: &'a str| id.rsplit_once('/').map_or(id, |(_, last)| last);
    let whole: [&dyn Fn(&'a str) -> bool; 3] = [&|id| id == name, &|id| last_part(id) == name, &|id| {
        last_part(id).starts_with(name) || id.starts_with(name) || id.ends_with(name)
    }];
    if name.is_empty() {
        return Named::None;
    }
    for is_called in whole {
        let mut found: Vec<String> = ids.clone().filter(|id| is_called(id)).map(str::to_owned).collect();
        match found.len() {
            0 => {}
            1 => return Named::One(found.swap_remove(0)),
            _ => return Named::Several(found),
        }
    }
    Named::None
}

/// The ids of builds that a name may mean, in words: not hundreds of them.
pub(crate) fn in_words(found: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = found.iter().rev().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if found.len() > SHOWN { format!("{shown} and {} more", found.len() - SHOWN) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_named_by_its_id_its_last_part_or_a_beginning_or_end_that_no_other_has() {
        let ids = ["a/r/19c0-1f", "a/r/19c1-2f", "a/s/19c1-2f", "a/r/19", "b/r/2a-19c0"];
        let means = |name: &str| named(name, ids.into_iter());
        for (name, id) in [
            ("a/r/19c1-2f", "a/r/19c1-2f"),
            ("19", "a/r/19"),
            ("1f", "a/r/19c0-1f"),
            ("19c0-", "a/r/19c0-1f"),
            ("r/19c1-2f", "a/r/19c1-2f"),
            ("b/", "b/r/2a-19c0"),
            ("2a", "b/r/2a-19c0"),
        ] {
            assert_eq!(means(name), Named::One(id.to_owned()), "{name}");
        }
        let several = |ids: &[&str]| Named::Several(ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(means("19c1-2f"), several(&["a/r/19c1-2f", "a/s/19c1-2f"]));
        assert_eq!(means("19c0"), several(&["a/r/19c0-1f", "b/r/2a-19c0"]));
        for name in ["", "r/", "9c", "x"] {
            assert_eq!(means(name), Named::None, "{name}");
        }
    }

    #[test]
    fn of_many_builds_that_a_name_may_mean_the_newest_are_said() {
        let ids: Vec<String> = (0..20).map(|number| format!("o/r/{number}")).collect();
        assert_eq!(in_words(&ids[..2]), "o/r/1, o/r/0");
        assert!(in_words(&ids).starts_with("o/r/19, ") && in_words(&ids).ends_with("o/r/12 and 12 more"));
    }
}
