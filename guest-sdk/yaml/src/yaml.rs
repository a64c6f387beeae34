//! YAML.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, Tag, options};

use crate::tree::{At, Entry, Fault, Kind, Node, Tree, each_once, may_begin};

/// Reads the one document of a file.
pub fn read(text: &str) -> Result<Tree, Fault> {
    let mut builder = Builder::default();
    // Deeper ones are faults of ours, with a place.
    let limits = options! { flow_nesting_limit: 256, block_nesting_limit: 256, emit_comments: false };
    for event in Parser::new_from_str_with_options(text, limits) {
        let (event, span) =
            event.map_err(|error| Fault::new(at(*error.marker()), format!("this is not YAML: {}", error.info())))?;
        builder.take(event, at(span.start))?;
    }
    let mut documents = builder.documents.into_iter();
    let first = documents.next();
    if let Some(second) = documents.next() {
        return Err(Fault::new(second.at, "a second document begins here, and a script is one document"));
    }
    first.map_or_else(|| Node::new(0, Kind::Nothing), Ok)
}

fn at(marker: Marker) -> At {
    // A text in memory has them.
    marker.byte_offset().unwrap_or_default()
}

/// A list or a map that is not over.
struct Open {
    kind: Kind,
    key: Option<(String, At)>,
    at: At,
    anchor: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Tree>,
    documents: Vec<Tree>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: At) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                no_tag(tag.as_deref(), at)?;
                let plain = style == ScalarStyle::Plain;
                let kind = match &*text {
                    "" | "~" | "null" if plain => Kind::Nothing,
                    text => Kind::Text(text.to_owned()),
                };
                // A key is a text whatever it is as a value.
                let text = (plain && matches!(kind, Kind::Nothing)).then(|| text.into_owned());
                self.put(Node::new(at, kind)?, anchor, text)
            }
            Event::SequenceStart(_, anchor, tag) => self.begin(Kind::List(Vec::new()), anchor, tag.as_deref(), at),
            Event::MappingStart(_, anchor, tag) => self.begin(Kind::Map(Vec::new()), anchor, tag.as_deref(), at),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { kind, at, anchor, .. }) = self.open.pop() else { return Ok(()) };
                let kind = match kind {
                    Kind::Map(entries) => Kind::Map(merged(entries)?),
                    kind => kind,
                };
                self.put(Node::new(at, kind)?, anchor, None)
            }
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(node) => self.place(node, at, None),
                // It has begun, and is not over.
                None => Err(Fault::new(at, "this alias stands inside of what it means")),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, kind: Kind, anchor: usize, tag: Option<&Tag>, at: At) -> Result<(), Fault> {
        no_tag(tag, at)?;
        may_begin(self.open.len(), at)?;
        self.open.push(Open { kind, key: None, at, anchor });
        Ok(())
    }

    fn put(&mut self, node: Tree, anchor: usize, text: Option<String>) -> Result<(), Fault> {
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let at = node.at;
        self.place(node, at, text)
    }

    fn place(&mut self, node: Tree, at: At, text: Option<String>) -> Result<(), Fault> {
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match (&mut open.kind, open.key.take()) {
            (Kind::List(items), _) => items.push(node),
            (Kind::Map(entries), Some((key, at))) => entries.push(Entry { key, at, value: node }),
            (Kind::Map(_), None) => match (&node.kind, text) {
                (_, Some(text)) => open.key = Some((text, at)),
                (Kind::Text(text), None) => open.key = Some((text.clone(), at)),
                _ => return Err(Fault::new(at, "a key here is no text")),
            },
            (Kind::Nothing | Kind::Text(_), _) => {}
        }
        Ok(())
    }
}

/// What a tag of a file's own is to mean, nobody knows.
fn no_tag(tag: Option<&Tag>, at: At) -> Result<(), Fault> {
    match tag.filter(|tag| tag.is_custom()) {
        Some(tag) => Err(Fault::new(at, format!("the tag {tag} means nothing here"))),
        None => Ok(()),
    }
}

/// A map with what `<<` takes in: its own keys count first, and of several maps the earlier.
fn merged(entries: Vec<Entry>) -> Result<Vec<Entry>, Fault> {
    each_once(&entries)?;
    let (merges, mut all): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.key == "<<");
    let mut known: BTreeSet<String> = all.iter().map(|entry| entry.key.clone()).collect();
    for merge in merges {
        let maps = match &merge.value.kind {
            Kind::List(items) => items.clone(),
            _ => vec![merge.value.clone()],
        };
        for map in maps {
            let Kind::Map(entries) = &map.kind else {
                return Err(Fault::new(
                    merge.at,
                    format!("`<<` takes a map, or a list of maps, and not {}", map.what()),
                ));
            };
            all.extend(entries.iter().filter(|entry| known.insert(entry.key.clone())).cloned());
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::shown;
    use crate::tree::line_and_column;

    #[test]
    fn aliases_and_merges_are_the_same_parts_once_more() {
        let file = read("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz: [*x, null, '']\n").expect("YAML");
        assert_eq!(shown(&file), "{x:{a:1 b:2} y:{b:3 a:1} z:[{a:1 b:2} - ]}");
    }

    #[test]
    fn a_value_is_the_text_that_stands_there() {
        let file = read("a: 1.10\nb: 010\nc: yes\nd: |\n  one\n  two\ne: 2026-11-27\nnull: 1\n").expect("YAML");
        assert_eq!(shown(&file), "{a:1.10 b:010 c:yes d:one\ntwo\n e:2026-11-27 null:1}");
    }

    #[test]
    fn what_is_no_script_is_refused_with_its_place() {
        let deep = format!("{}1{}", "[".repeat(80), "]".repeat(80));
        let bomb: String = (0..12).fold("a0: &a0 [x, x, x, x]\n".to_owned(), |text, n| {
            let aliases = vec![format!("*a{n}"); 9].join(", ");
            format!("{text}a{}: &a{} [{aliases}]\n", n + 1, n + 1)
        });
        for (text, line, says) in [
            ("a: [1\nb: 2\n", 2, "this is not YAML"),
            ("a: b: c\n", 1, "this is not YAML"),
            ("a: 1\nb: 2\na: 3\n", 3, "the key \"a\" stands in one map twice"),
            ("a: &a\n  - *a\n", 2, "stands inside of what it means"),
            ("a: 1\nb: {<<: 1}\n", 2, "`<<` takes a map"),
            ("a: 1\n[1, 2]: 3\n", 2, "a key here is no text"),
            ("a: 1\n---\nb: 2\n", 3, "a second document"),
            ("a: !include x\n", 1, "means nothing here"),
            (&deep, 1, "more than 64"),
            (&bomb, 6, "more than 50000 values"),
        ] {
            let fault = read(text).expect_err(says);
            assert!(fault.message.contains(says), "{says}: {fault:?}");
            assert_eq!(line_and_column(text, fault.at).0, line, "{says}: {fault:?}");
        }
    }
}
