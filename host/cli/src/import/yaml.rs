//! A YAML file as a tree. Each part knows where it stands, and whether anybody has used it: so what nobody has used can be told.

use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, Tag, options};

use super::ImportError;

mod over;

use over::merged;
pub use over::over;

/// The largest file that is read.
pub const MAX_BYTES: u64 = 1 << 20;
/// How many lists and maps may stand in each other.
const MAX_DEPTH: usize = 64;
/// How many values a file may have, those included that aliases repeat. A long text counts as several.
const MAX_NODES: usize = 50_000;
/// A text counts as one value more for each so many bytes.
const VALUE: usize = 64;

/// A part of the file. What an alias means is the same part once more.
pub type Tree = Rc<Node>;

/// A part of the file.
#[derive(Debug)]
pub struct Node {
    pub kind: Kind,
    /// A tag of the file's own, `reference` for `!reference`.
    tag: Option<String>,
    line: usize,
    place: OnceCell<Place>,
    used: Cell<bool>,
    /// How many values it has, with those that aliases repeat. Whoever repeats it takes as much room.
    size: usize,
}

/// Where a part of the file stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The keys that lead there: `jobs.test.steps[2].with`.
    pub path: String,
}

/// What a part of the file is.
#[derive(Debug)]
pub enum Kind {
    /// A text, a number, a truth value, or nothing: as it stands there.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Tree>),
    Map(Vec<Entry>),
}

/// A key and what it has.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    line: usize,
    pub value: Tree,
}

impl Node {
    fn new(kind: Kind, line: usize) -> Result<Self, ImportError> {
        let size = match &kind {
            Kind::Text { text, .. } => 1 + text.len() / VALUE,
            Kind::List(items) => 1 + items.iter().map(|item| item.size).sum::<usize>(),
            Kind::Map(entries) => {
                1 + entries.iter().map(|entry| entry.value.size + entry.key.len() / VALUE).sum::<usize>()
            }
        };
        match size > MAX_NODES {
            true => Err(ImportError::TooMany { line, limit: MAX_NODES }),
            false => Ok(Self { kind, tag: None, line, place: OnceCell::new(), used: Cell::new(false), size }),
        }
    }

    /// Where it stands; where it stands first, if there are aliases for it.
    pub fn place(&self) -> Place {
        self.place.get().cloned().unwrap_or_else(|| Place { line: self.line, path: String::new() })
    }

    /// Its text, which is used then; `None` for a list, a map, or nothing.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text { text, .. } if !self.is_nothing() => {
                self.used.set(true);
                Some(text)
            }
            _ => None,
        }
    }

    /// Its text, without using it.
    pub fn peek(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text { text, .. } if !self.is_nothing() => Some(text),
            _ => None,
        }
    }

    /// Whether nothing stands there, or `null`.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.kind, Kind::Text { text, plain: true } if ["", "~", "null"].contains(&text.as_str()))
    }

    /// Its tag, if it has one of the file's own.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Its items; those of what is no list are itself alone, and those of nothing are none.
    pub fn items(self: &Rc<Self>) -> Vec<Tree> {
        match &self.kind {
            Kind::List(items) => {
                self.used.set(true);
                items.clone()
            }
            _ if self.is_nothing() => {
                self.used.set(true);
                Vec::new()
            }
            _ => vec![self.clone()],
        }
    }

    /// Its keys and values, if it is a map. Of a key that stands twice, each is there.
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => {
                // An empty map says that there is nothing.
                self.used.set(entries.is_empty() || self.used.get());
                entries
            }
            _ => &[],
        }
    }

    /// What a key has; the last that stands there.
    pub fn get(&self, key: &str) -> Option<&Tree> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().rev().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    pub fn is_map(&self) -> bool {
        matches!(self.kind, Kind::Map(_))
    }

    pub fn is_list(&self) -> bool {
        matches!(self.kind, Kind::List(_))
    }

    /// Says that all of it has been dealt with: translated, or listed.
    pub fn cover(&self) {
        self.used.set(true);
        match &self.kind {
            Kind::Text { .. } => {}
            Kind::List(items) => items.iter().for_each(|item| item.cover_once()),
            Kind::Map(entries) => entries.iter().for_each(|entry| entry.value.cover_once()),
        }
    }

    /// What an alias repeats is not gone through again.
    fn cover_once(&self) {
        if !self.used.get() || !matches!(self.kind, Kind::Text { .. }) {
            self.cover();
        }
    }

    /// Whether nothing in it was used.
    fn untouched(&self) -> bool {
        !self.used.get()
            && match &self.kind {
                Kind::Text { .. } => true,
                Kind::List(items) => items.iter().all(|item| item.untouched()),
                Kind::Map(entries) => entries.iter().all(|entry| entry.value.untouched()),
            }
    }
}

/// The documents of a file, each with its places.
///
/// # Errors
/// When it is no YAML, or more than a workflow file is.
pub fn read(bytes: &[u8]) -> Result<Vec<Tree>, ImportError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ImportError::TooLarge { limit: MAX_BYTES });
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        ImportError::NotText { line: before.iter().filter(|byte| **byte == b'\n').count() + 1 }
    })?;
    let mut builder = Builder::default();
    let limits =
        options! { flow_nesting_limit: 4 * MAX_DEPTH, block_nesting_limit: 4 * MAX_DEPTH, emit_comments: false };
    for event in Parser::new_from_str_with_options(text.trim_start_matches('\u{feff}'), limits) {
        let (event, span) = event.map_err(|error| ImportError::NotYaml {
            line: error.marker().line(),
            column: error.marker().col() + 1,
            reason: error.info(),
        })?;
        builder.take(event, span.start.line())?;
    }
    for document in &builder.documents {
        give_places(document);
    }
    Ok(builder.documents)
}

/// A list or a map that is not over.
struct Open {
    kind: Kind,
    key: Option<(String, usize)>,
    line: usize,
    anchor: usize,
    tag: Option<String>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Tree>,
    documents: Vec<Tree>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), ImportError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                let mut node = Node::new(Kind::Text { text: text.into_owned(), plain }, line)?;
                node.tag = own(tag.as_deref());
                self.put(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => self.begin(Kind::List(Vec::new()), anchor, tag.as_deref(), line),
            Event::MappingStart(_, anchor, tag) => self.begin(Kind::Map(Vec::new()), anchor, tag.as_deref(), line),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { kind, line, anchor, tag, .. }) = self.open.pop() else { return Ok(()) };
                let kind = match kind {
                    Kind::Map(entries) => Kind::Map(merged(entries)?),
                    kind => kind,
                };
                let mut node = Node::new(kind, line)?;
                node.tag = tag;
                self.put(node, anchor)
            }
            Event::Alias(id) => match self.anchors.get(&id).cloned() {
                Some(node) => self.place(node, line),
                // It has begun, and is not over.
                None => Err(ImportError::InItself { line }),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, kind: Kind, anchor: usize, tag: Option<&Tag>, line: usize) -> Result<(), ImportError> {
        if self.open.len() == MAX_DEPTH {
            return Err(ImportError::TooDeep { line, limit: MAX_DEPTH });
        }
        self.open.push(Open { kind, key: None, line, anchor, tag: own(tag) });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), ImportError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(ImportError::TooMany { line: node.line, limit: MAX_NODES });
        }
        let line = node.line;
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.place(node, line)
    }

    fn place(&mut self, node: Tree, line: usize) -> Result<(), ImportError> {
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match (&mut open.kind, open.key.take()) {
            (Kind::List(items), _) => items.push(node),
            (Kind::Map(entries), Some((key, line))) => entries.push(Entry { key, line, value: node }),
            (Kind::Map(_), None) => match &node.kind {
                Kind::Text { text, .. } => open.key = Some((text.clone(), line)),
                _ => return Err(ImportError::NoKey { line }),
            },
            (Kind::Text { .. }, _) => {}
        }
        Ok(())
    }
}

/// A tag of the file's own.
fn own(tag: Option<&Tag>) -> Option<String> {
    tag.filter(|tag| tag.is_custom()).map(|tag| {
        let text = tag.to_string();
        text.trim_start_matches('!').to_owned()
    })
}

/// Says of each part where it stands first. A part that has its place, because an alias means it, is not gone through again.
fn give_places(root: &Tree) {
    let mut open = vec![(root.clone(), Place { line: root.line, path: String::new() })];
    while let Some((node, place)) = open.pop() {
        let path = place.path.clone();
        if node.place.set(place).is_err() {
            continue;
        }
        match &node.kind {
            Kind::Text { .. } => {}
            Kind::List(items) => {
                let items = items.iter().enumerate().rev();
                open.extend(
                    items.map(|(at, item)| (item.clone(), Place { line: item.line, path: format!("{path}[{at}]") })),
                );
            }
            Kind::Map(entries) => open.extend(entries.iter().rev().map(|entry| {
                let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
                (entry.value.clone(), Place { line: entry.line, path })
            })),
        }
    }
}

/// The largest parts of the file that nobody has used.
pub fn unused(documents: &[Tree]) -> Vec<Tree> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut open: Vec<Tree> = documents.iter().rev().cloned().collect();
    while let Some(node) = open.pop() {
        if !seen.insert(Rc::as_ptr(&node)) {
            continue;
        }
        if node.untouched() {
            found.push(node);
            continue;
        }
        match &node.kind {
            Kind::Text { .. } => {}
            Kind::List(items) => open.extend(items.iter().rev().cloned()),
            Kind::Map(entries) => open.extend(entries.iter().rev().map(|entry| entry.value.clone())),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Tree {
        read(text.as_bytes()).expect(text).remove(0)
    }

    #[test]
    fn every_part_knows_its_line_and_the_keys_that_lead_there() {
        let file =
            one("on: push\njobs:\n  test:\n    steps:\n      - run: |\n          a\n          b\n      - uses: x\n");
        let steps =
            file.get("jobs").and_then(|jobs| jobs.get("test")).and_then(|test| test.get("steps")).expect("steps");
        let places: Vec<Place> =
            steps.items().iter().map(|step| step.entries().last().expect("a key").value.place()).collect();
        let place = |line, path: &str| Place { line, path: path.to_owned() };
        assert_eq!(places, [place(5, "jobs.test.steps[0].run"), place(8, "jobs.test.steps[1].uses")]);
    }

    #[test]
    fn what_nobody_has_used_is_found_in_its_largest_parts() {
        let file = one("a: {b: 1, c: 2}\nd: [1, {e: 2}]\nf:\ng: {}\nh: {i: 1, i: 2}\n");
        assert_eq!(file.get("a").and_then(|a| a.get("b")).and_then(|b| b.text()), Some("1"));
        assert_eq!(file.get("h").and_then(|h| h.get("i")).and_then(|i| i.text()), Some("2"));
        let places: Vec<String> = unused(&[file]).iter().map(|node| node.place().path).collect();
        assert_eq!(places, ["a.c", "d", "f", "g", "h.i"]);
    }

    #[test]
    fn aliases_and_merges_are_the_same_parts_once_more() {
        let file = one("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz: [*x, {<<: [{a: 4}, *x]}]\n");
        let text = |map: &str, key: &str| {
            file.get(map).and_then(|map| map.get(key)).and_then(|it| it.text().map(str::to_owned))
        };
        assert_eq!((text("y", "a").as_deref(), text("y", "b").as_deref()), (Some("1"), Some("3")));
        let items = file.get("z").expect("z").items();
        assert_eq!(items[1].get("a").and_then(|a| a.peek()), Some("4"));
        let left: Vec<String> = unused(&[file]).iter().map(|node| node.place().path).collect();
        assert_eq!(left, ["x.b", "z[1]"], "what was used by one name is used by all");
    }

    #[test]
    fn what_is_no_file_of_this_kind_is_refused_with_its_line_and_a_remedy() {
        let deep = format!("{}1{}", "[".repeat(80), "]".repeat(80));
        let nested: String = (0..80).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        let bomb: String = (0..12).fold("a0: &a0 [x, x, x, x]\n".to_owned(), |text, n| {
            let aliases = vec![format!("*a{n}"); 9].join(", ");
            format!("{text}a{}: &a{} [{aliases}]\n", n + 1, n + 1)
        });
        let wide = format!("[{}]", "1,".repeat(60_000));
        let large = "#".repeat(2 << 20);
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 19), "*a,".repeat(1000));
        for (text, says) in [
            ("a: [1\nb: 2\n", "line 2, column"),
            ("a: b: c\n", "this is not YAML"),
            ("a: *b\n", "line 1, column 4: this is not YAML"),
            ("a: &a\n  - *a\n", "line 2: this alias stands inside of what it means"),
            ("a: 1\nb: {<<: 1}\n", "line 2: `<<` takes a map"),
            ("a: 1\n[1, 2]: 3\n", "line 2: a key here"),
            (&deep, "more than 64"),
            (&nested, "more than 64"),
            (&bomb, "more than 50000 values"),
            (&wide, "more than 50000 values"),
            (&long, "more than 50000 values"),
            (&large, "more than 1 MiB"),
        ] {
            let error = read(text.as_bytes()).expect_err(text).to_string();
            let short = &text[..text.len().min(40)];
            assert!(error.contains(says), "{short}: {error}");
        }
        let error = read(b"a: 1\nb: \xff\n").expect_err("no text").to_string();
        assert!(error.contains("line 2") && error.contains("UTF-8"), "{error}");
    }
}
