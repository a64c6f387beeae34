//! Large values of events, which stand in the database once and are referred to.
//!
//! A value that is larger than [`LARGE`] once its own large values are taken out becomes a piece. So a value that is in two
//! events, as a job's results are, makes the same pieces in both. In the event there is a reference in its place:
//! `{"$piece": digest}`, or `{"$pieces": [digest, …]}` for a long list. A key of the event's own that begins with `$` gets another one.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::Digest;

/// Larger values are pieces.
pub(super) const LARGE: usize = 16 << 10;
/// The pieces of a list have about this size.
const PART: usize = 1 << 20;
/// The most that a piece may have, and that one event may add to the database.
pub(crate) const LIMIT: u64 = 256 << 20;
/// The most that an event may have with all that it refers to.
pub(crate) const WHOLE_LIMIT: u64 = 2 << 30;

/// How deep an event may be nested with its pieces in it: `serde_json` reads at most 128, and each may be a piece.
pub(crate) const DEPTH: usize = 256;

const PIECE: &str = "$piece";
const PIECES: &str = "$pieces";

/// A large value, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The SHA-256 of the text.
    pub digest: Digest,
    /// Its JSON text.
    pub text: String,
}

/// Takes large values out of an event. Returns what is left of it.
pub(super) fn split(event: Value, pieces: &mut Vec<Piece>) -> String {
    // The event itself stays: it may be nothing but references.
    let event = match event {
        Value::Object(fields) => split_fields(fields, pieces).0,
        other => other,
    };
    event.to_string()
}

fn split_fields(fields: Map<String, Value>, pieces: &mut Vec<Piece>) -> (Value, usize) {
    let mut size = 2;
    let fields = fields.into_iter().map(|(key, value)| {
        let key = if key.starts_with('$') { format!("${key}") } else { key };
        let (value, length) = split_value(value, pieces);
        size += key.len() + length + 4;
        (key, value)
    });
    (Value::Object(fields.collect()), size)
}

/// The value with its large ones taken out, or a reference to it; and about how long its text is.
fn split_value(value: Value, pieces: &mut Vec<Piece>) -> (Value, usize) {
    let (value, size) = match value {
        Value::String(text) => {
            let size = text.len() + 2;
            (Value::String(text), size)
        }
        Value::Array(items) => return split_list(items, pieces),
        Value::Object(fields) => split_fields(fields, pieces),
        small => return (small, 20),
    };
    if size <= LARGE {
        return (value, size);
    }
    let digest = Value::String(keep(&value, pieces));
    reference(PIECE, digest, 1)
}

fn split_list(items: Vec<Value>, pieces: &mut Vec<Piece>) -> (Value, usize) {
    let (mut parts, mut part, mut part_size, mut size) = (Vec::new(), Vec::new(), 0, 2);
    for item in items {
        let (item, length) = split_value(item, pieces);
        size += length + 1;
        part_size += length + 1;
        part.push(item);
        if part_size > PART {
            parts.push(Value::String(keep(&Value::Array(std::mem::take(&mut part)), pieces)));
            part_size = 0;
        }
    }
    if size <= LARGE {
        return (Value::Array(part), size);
    }
    if !part.is_empty() {
        parts.push(Value::String(keep(&Value::Array(part), pieces)));
    }
    let count = parts.len();
    reference(PIECES, Value::Array(parts), count)
}

fn keep(value: &Value, pieces: &mut Vec<Piece>) -> String {
    let text = value.to_string();
    let digest = Digest::of(text.as_bytes());
    pieces.push(Piece { digest, text });
    digest.to_string()
}

fn reference(key: &str, to: Value, count: usize) -> (Value, usize) {
    (Value::Object(Map::from_iter([(key.to_owned(), to)])), 16 + 68 * count)
}

/// Pieces by their digest, as they are put together again.
pub(super) type Pieces = HashMap<Digest, Value>;

/// What a value refers to.
pub(super) fn references(value: &Value, found: &mut BTreeSet<Digest>) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| references(item, found)),
        Value::Object(fields) => {
            if let Some(digests) = referred(fields)? {
                found.extend(digests);
                return Ok(());
            }
            fields.values().try_for_each(|field| references(field, found))
        }
        _ => Ok(()),
    }
}

/// The digests, if this is a reference.
fn referred(fields: &Map<String, Value>) -> Result<Option<Vec<Digest>>, String> {
    let digests: Vec<&Value> = match (fields.get(PIECE), fields.get(PIECES)) {
        (Some(digest), None) => vec![digest],
        (None, Some(Value::Array(digests))) => digests.iter().collect(),
        (None, None) => return Ok(None),
        _ => return Err("it has a reference that is none".to_owned()),
    };
    let digest = |digest: &Value| digest.as_str().and_then(|text| text.parse().ok());
    let digests: Option<Vec<Digest>> = digests.into_iter().map(digest).collect();
    digests.filter(|_| fields.len() == 1).map(Some).ok_or_else(|| "it has a reference that is none".to_owned())
}

/// Puts a value together again. `left` is how many bytes of pieces it may still have: a few pieces that refer to each other could
/// make more than fits into memory.
pub(super) fn join(value: Value, pieces: &Pieces, left: &mut u64) -> Result<Value, String> {
    join_at(value, pieces, left, DEPTH)
}

fn join_at(value: Value, pieces: &Pieces, left: &mut u64, depth: usize) -> Result<Value, String> {
    let depth = depth.checked_sub(1).ok_or("it is nested too deep")?;
    match value {
        Value::Array(items) => {
            let items: Result<_, _> = items.into_iter().map(|item| join_at(item, pieces, left, depth)).collect();
            Ok(Value::Array(items?))
        }
        Value::Object(fields) => {
            let Some(digests) = referred(&fields)? else {
                let mut whole = Map::new();
                for (key, field) in fields {
                    let key = match key.strip_prefix('$') {
                        Some(own) if own.starts_with('$') => own.to_owned(),
                        Some(_) => return Err(format!("it has the unknown reference {key:?}")),
                        None => key,
                    };
                    whole.insert(key, join_at(field, pieces, left, depth)?);
                }
                return Ok(Value::Object(whole));
            };
            let list = fields.contains_key(PIECES);
            let mut items = Vec::new();
            for digest in digests {
                let piece = pieces.get(&digest).ok_or_else(|| format!("the value {digest} is missing"))?;
                // What is put in is counted, however often it is.
                *left = left.checked_sub(weight(piece)).ok_or("it is larger than an event may be")?;
                match join_at(piece.clone(), pieces, left, depth)? {
                    Value::Array(part) if list => items.extend(part),
                    _ if list => return Err(format!("the value {digest} is no list")),
                    whole => return Ok(whole),
                }
            }
            Ok(Value::Array(items))
        }
        other => Ok(other),
    }
}

/// About how much memory a value takes, and never nothing.
fn weight(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64 + 24,
        Value::Array(items) => 24 + items.iter().map(weight).sum::<u64>(),
        Value::Object(fields) => 24 + fields.iter().map(|(key, field)| key.len() as u64 + weight(field)).sum::<u64>(),
        _ => 24,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn there_and_back(event: &Value) -> (Value, String, Vec<Piece>) {
        let mut pieces = Vec::new();
        let body = split(event.clone(), &mut pieces);
        let known =
            pieces.iter().map(|piece| (piece.digest, serde_json::from_str(&piece.text).expect("JSON"))).collect();
        let left = serde_json::from_str(&body).expect("JSON");
        (join(left, &known, &mut WHOLE_LIMIT.clone()).expect("whole"), body, pieces)
    }

    #[test]
    fn large_values_are_taken_out_and_come_back_whatever_they_are() {
        let events = [
            json!({"type": "t", "text": "x".repeat(100_000), "small": 1}),
            json!({"type": "t", "list": vec!["y".repeat(1000); 5000]}),
            json!({"type": "t", "list": vec![json!({"deep": ["z".repeat(20_000)]}); 300]}),
            json!({"type": "t", "map": {"$piece": "of its own", "$$": 1, "$pieces": ["x".repeat(20_000)]}, "$piece": []}),
            json!({"type": "t", "map": (0..3000).map(|n| (format!("key {n}"), n.into())).collect::<Map<_, _>>()}),
        ];
        for event in events {
            let (back, body, pieces) = there_and_back(&event);
            assert!(back == event, "{body}");
            assert!(body.len() < LARGE && !pieces.is_empty(), "{body}");
            assert!(pieces.iter().all(|piece| piece.text.len() < 2 * PART), "a piece is too large");
        }
    }

    #[test]
    fn what_two_events_say_makes_the_same_pieces() {
        let results = json!({"outputs": (0..1000).map(|n| json!([n, "r".repeat(30_000)])).collect::<Vec<_>>()});
        let (_, _, first) = there_and_back(&json!({"type": "job/results", "job": "a", "results": results}));
        let jobs = json!([{"job": "b"}, {"job": "a", "results": results}]);
        let (_, _, second) = there_and_back(&json!({"type": "build/ended", "jobs": jobs}));
        let known: BTreeSet<_> = first.iter().map(|piece| piece.digest).collect();
        assert!(second.iter().all(|piece| known.contains(&piece.digest)), "the end keeps them a second time");
    }

    #[test]
    fn a_few_pieces_can_not_make_more_than_an_event_may_have() {
        let mut pieces = Pieces::new();
        let mut inner = Digest::of(b"x");
        pieces.insert(inner, json!("x"));
        for _ in 0..100 {
            let next = json!([{PIECE: inner.to_string()}, {PIECE: inner.to_string()}]);
            inner = Digest::of(next.to_string().as_bytes());
            pieces.insert(inner, next);
        }
        let bomb = json!({PIECE: inner.to_string()});
        assert!(join(bomb, &pieces, &mut 1_000_000).expect_err("too large").contains("larger"));
    }
}
