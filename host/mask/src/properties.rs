//! Random secrets in random output in random chunks, beside an oracle that searches for one pattern after the other.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ops::Bound;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::shown::seen;
use crate::values::patterns;
use crate::{MASK, Masks};

#[derive(Clone, Debug)]
struct Case {
    secrets: Vec<Vec<u8>>,
    text: Vec<u8>,
    /// The lengths of the chunks; the last one takes what is left.
    chunks: Vec<usize>,
}

/// Few letters, so that secrets contain, overlap and begin like each other; or those that encodings escape.
fn secret() -> impl Strategy<Value = Vec<u8>> {
    let of = |letters: &'static [u8], most| vec(prop::sample::select(letters), 0..most);
    prop_oneof![
        4 => of(b"ab", 12),
        2 => of(b"a", 40),
        2 => of(b"ab*", 10),
        2 => of(b"ab\n", 40),
        2 => of(b"abcdefgh\r\n", 60),
        2 => of(b"a&+'\"\\/<%~#$ \t=", 16),
        2 => vec(any::<u8>(), 0..24),
        1 => vec(any::<u8>(), 50..120),
        1 => "\\PC{0,12}".prop_map(String::into_bytes),
    ]
}

/// One piece of output: where it begins and how long it is are fractions of what it is taken from.
fn piece() -> impl Strategy<Value = (u8, prop::sample::Index, f64, f64, Vec<u8>)> {
    (0..10_u8, any::<prop::sample::Index>(), 0.0..1.0, 0.0..1.5, prop_oneof![vec(any::<u8>(), 0..20), secret()])
}

fn case() -> impl Strategy<Value = Case> {
    let chunks = prop_oneof![
        3 => vec(0..6_usize, 0..400),
        1 => vec(0..200_usize, 0..40),
        1 => Just(vec![1; 300]),
    ];
    (vec(secret(), 0..6), vec(piece(), 0..12), chunks).prop_map(|(secrets, pieces, chunks)| {
        let patterns: Vec<_> = all_patterns(&secrets).into_iter().collect();
        let mut text = Vec::new();
        for (kind, index, from, length, random) in pieces {
            match kind {
                8 if !patterns.is_empty() => {
                    // A pattern in pieces, with what is not seen between them.
                    let unseen: [&[u8]; 5] = [b"\x1b[31m", b"\0", b"\x1b]0;t\x07", "\u{200b}".as_bytes(), b"\x08"];
                    let pattern = index.get(&patterns);
                    let piece = 1 + (from * pattern.len() as f64) as usize;
                    for (number, piece) in pattern.chunks(piece).enumerate() {
                        text.extend(unseen[number % unseen.len()]);
                        text.extend(piece);
                    }
                }
                0..8 if !patterns.is_empty() => {
                    let pattern = index.get(&patterns);
                    // Half of them whole, the others some part.
                    let from = if kind < 5 { 0 } else { (from * pattern.len() as f64) as usize };
                    let length = if kind < 4 { pattern.len() } else { (length * pattern.len() as f64) as usize };
                    text.extend(pattern.iter().skip(from).take(length));
                }
                _ => text.extend(random),
            }
        }
        Case { secrets, text, chunks }
    })
}

fn all_patterns(secrets: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    secrets.iter().flat_map(|secret| patterns(secret)).collect()
}

fn masks(secrets: &[Vec<u8>]) -> Masks {
    Masks::new(secrets.iter().map(|secret| ("secret", secret.clone()))).unwrap()
}

/// Which bytes of a text any pattern covers.
fn covered(patterns: &BTreeSet<Vec<u8>>, text: &[u8]) -> Vec<bool> {
    let mut covered = vec![false; text.len()];
    for pattern in patterns {
        for (at, _) in text.windows(pattern.len()).enumerate().filter(|(_, window)| window == pattern) {
            covered[at..at + pattern.len()].fill(true);
        }
    }
    covered
}

/// Every occurrence of every pattern is covered, in the text and in what is seen of it; every run of covered bytes is one mask.
fn oracle(patterns: &BTreeSet<Vec<u8>>, text: &[u8]) -> Vec<u8> {
    let mut covered = covered(patterns, text);
    let (seen, places, _) = seen(text);
    for pattern in patterns {
        for (at, _) in seen.windows(pattern.len()).enumerate().filter(|(_, window)| window == pattern) {
            covered[places[at]..=places[at + pattern.len() - 1]].fill(true);
        }
    }
    let mut masked = Vec::new();
    for (at, &byte) in text.iter().enumerate() {
        match (at.checked_sub(1).is_some_and(|before| covered[before]), covered[at]) {
            (_, false) => masked.push(byte),
            (false, true) => masked.extend_from_slice(MASK.as_bytes()),
            (true, true) => {}
        }
    }
    masked
}

/// The longest end of the text that a pattern may go on from, in it or in what is seen of it.
fn begun(patterns: &BTreeSet<Vec<u8>>, text: &[u8]) -> usize {
    if patterns.is_empty() {
        return 0;
    }
    let (shown, places, looked_at) = seen(text);
    let in_shown = shown.len() - begun_in(patterns, &shown);
    let decided = places.get(in_shown).copied().unwrap_or(looked_at);
    begun_in(patterns, text).max(text.len() - decided)
}

fn begun_in(patterns: &BTreeSet<Vec<u8>>, text: &[u8]) -> usize {
    let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
    let goes_on = |n: &usize| {
        let end = &text[text.len() - n..];
        // Whatever starts so follows in the order of the set.
        let next = patterns.range::<[u8], _>((Bound::Excluded(end), Bound::Unbounded)).next();
        next.is_some_and(|pattern| pattern.starts_with(end))
    };
    (1..=longest.min(text.len())).rev().find(goes_on).unwrap_or(0)
}

/// What is seen of a text, of which everything is seen then.
fn all_seen(text: &[u8]) -> Vec<u8> {
    let (shown, ..) = seen(text);
    if shown.len() == text.len() { shown } else { all_seen(&shown) }
}

fn contains(text: &[u8], pattern: &[u8]) -> bool {
    text.windows(pattern.len()).any(|window| window == pattern)
}

fn in_chunks<'a>(text: &'a [u8], chunks: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (text, Vec::new());
    for &length in chunks {
        let (chunk, after) = rest.split_at(length.min(rest.len()));
        pieces.push(chunk);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn streamed(masks: &Masks, chunks: &[&[u8]]) -> Vec<u8> {
    let (mut stream, mut out) = (masks.stream(), Vec::new());
    chunks.iter().for_each(|chunk| stream.push(chunk, &mut out));
    stream.finish(&mut out);
    out
}

/// A masked text without what is unseen between two masks: whether that is out depends on the chunks. An escape sequence ends where
/// a mask begins: it has nothing of the mask in it, which may stand for its rest.
fn joined(masked: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = masked;
    while let Some(at) = rest.windows(MASK.len()).position(|window| window == MASK.as_bytes()) {
        text.extend(seen(&rest[..at]).0);
        text.extend_from_slice(MASK.as_bytes());
        rest = &rest[at + MASK.len()..];
    }
    text.extend(seen(rest).0);
    let mut joined = Vec::new();
    for byte in text {
        joined.push(byte);
        if joined.ends_with(b"******") {
            joined.truncate(joined.len() - MASK.len());
        }
    }
    joined
}

fn check_masked(case: &Case) -> Result<(), TestCaseError> {
    let (masks, patterns) = (masks(&case.secrets), all_patterns(&case.secrets));
    let expected = oracle(&patterns, &case.text);
    let masked = masks.mask_bytes(&case.text);
    prop_assert_eq!(joined(&masked), joined(&expected), "in one piece");
    let in_chunks = streamed(&masks, &in_chunks(&case.text, &case.chunks));
    prop_assert_eq!(joined(&in_chunks), joined(&expected), "in chunks");
    if seen(&case.text).0 == case.text {
        prop_assert_eq!(&*masked, &*expected, "in one piece");
        prop_assert_eq!(in_chunks, &*expected, "in chunks");
    }
    for pattern in patterns.iter().filter(|pattern| !pattern.contains(&b'*')) {
        prop_assert!(!contains(&expected, pattern), "{pattern:?} is left");
    }
    Ok(())
}

fn check_held_back(case: &Case) -> Result<(), TestCaseError> {
    let (masks, patterns) = (masks(&case.secrets), all_patterns(&case.secrets));
    let (mut stream, mut out, mut pushed) = (masks.stream(), Vec::new(), 0);
    for chunk in in_chunks(&case.text, &case.chunks) {
        stream.push(chunk, &mut out);
        pushed += chunk.len();
        prop_assert_eq!(stream.held_back(), begun(&patterns, &case.text[..pushed]), "after {} bytes", pushed);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_stream_in_any_chunks_is_masked_as_the_oracle_masks_it_whole(case in case()) {
        check_masked(&case)?;
    }

    #[test]
    fn exactly_what_may_be_the_beginning_of_a_secret_is_held_back(case in case()) {
        check_held_back(&case)?;
    }

    #[test]
    fn a_secret_added_between_two_chunks_is_masked_in_all_that_is_not_out(case in case(), added in secret()) {
        let with = masks(&case.secrets).with("added", added.clone()).unwrap();
        // What was out before the secret was known is not looked at once more, also where it is only seen.
        let case = Case { text: all_seen(&case.text), ..case };
        let (mut stream, mut out) = (masks(&case.secrets).stream(), Vec::new());
        let (before, after) = case.text.split_at(case.text.len() / 2);
        in_chunks(before, &case.chunks).iter().for_each(|chunk| stream.push(chunk, &mut out));
        let begins_in_held = before.len() - stream.held_back();
        stream.set_masks(&with);
        in_chunks(after, &case.chunks).iter().for_each(|chunk| stream.push(chunk, &mut out));
        stream.finish(&mut out);

        // As if the text that is out had been masked with the first secrets, and the others from there on.
        let (old, new) = (all_patterns(&case.secrets), all_patterns(&[&*case.secrets, &[added]].concat()));
        let mut covered = vec![false; case.text.len()];
        for (patterns, from) in [(&old, 0), (&new, begins_in_held)] {
            for pattern in patterns {
                for at in from..case.text.len() {
                    if case.text[at..].starts_with(pattern) {
                        covered[at..at + pattern.len()].fill(true);
                    }
                }
            }
        }
        let mut expected = Vec::new();
        for (at, &byte) in case.text.iter().enumerate() {
            if !covered[at] {
                expected.push(byte);
            } else if at == 0 || !covered[at - 1] {
                expected.extend_from_slice(MASK.as_bytes());
            }
        }
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn without_secrets_everything_passes_at_once(text in vec(any::<u8>(), 0..200)) {
        let (mut stream, mut out) = (Masks::none().stream(), Vec::new());
        stream.push(&text, &mut out);
        prop_assert_eq!(out, text);
    }
}

#[test]
fn an_escape_sequence_that_a_mask_cuts_off_hides_nothing_of_it() {
    let secrets = ["0123456789", "3456789", "abcdefghij"].map(|secret| secret.as_bytes().to_vec()).to_vec();
    // The first letter is part of the sequence for whoever shows it; what is seen of the first two secrets touches the third.
    let text = b"\x1b0123456789\x1b[31mabcdefghij and".to_vec();
    assert_eq!(*masks(&secrets).mask_bytes(&text), *b"\x1b*** and");
    check_masked(&Case { secrets, text, chunks: vec![12; 4] }).unwrap();
}

/// For longer: `MONKEYCI_MASK_FUZZ_CASES=1000000 cargo test --release -p monkeyci-mask fuzz -- --nocapture`
#[test]
fn fuzz_streams_are_masked_as_the_oracle_masks_them() {
    let cases = std::env::var("MONKEYCI_MASK_FUZZ_CASES").map_or(3000_u64, |text| text.parse().expect("a number"));
    let mut bytes = 0;
    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    let strategy = case();
    for _ in 0..cases {
        let case = strategy.new_tree(&mut runner).unwrap().current();
        if let Err(error) = check_masked(&case).and_then(|()| check_held_back(&case)) {
            panic!("{error}\n{case:?}");
        }
        bytes += case.text.len();
    }
    println!("{cases} cases, {bytes} bytes of output");
}
