//! A source that is being changed, byte by byte, so that nothing moves.

use oxc_span::Span;

/// The text, with what comes in between.
pub struct Buffer<'s> {
    source: &'s str,
    bytes: Vec<u8>,
    /// Where it comes, and what.
    added: Vec<(usize, String)>,
}

impl<'s> Buffer<'s> {
    pub fn new(source: &'s str) -> Self {
        Self { source, bytes: source.as_bytes().to_vec(), added: Vec::new() }
    }

    /// A part of what the author wrote.
    pub fn written(&self, start: u32, end: u32) -> &'s str {
        self.source.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Where this stands for the first time between two places.
    pub fn find(&self, what: &str, start: u32, end: u32) -> Option<u32> {
        let at = self.written(start, end).find(what)?;
        u32::try_from(at).ok().map(|at| start + at)
    }

    /// Blanks: ends of lines stay.
    pub fn blank(&mut self, start: u32, end: u32) {
        for byte in self.bytes.get_mut(start as usize..end as usize).unwrap_or_default() {
            if !byte.is_ascii_whitespace() {
                *byte = b' ';
            }
        }
    }

    /// A statement or a member of a class that is no JavaScript: a semicolon, so that those around it stay apart.
    pub fn remove(&mut self, span: Span) {
        self.blank(span.start, span.end);
        self.put(span.start, b';');
    }

    /// Puts a character in the place of another one.
    pub fn put(&mut self, at: u32, byte: u8) {
        if let Some(there) = self.bytes.get_mut(at as usize) {
            *there = byte;
        }
    }

    /// Puts text in between, which moves what follows in the line.
    pub fn add(&mut self, at: u32, text: String) {
        self.added.push((at as usize, text));
    }

    /// A statement without a semicolon whose end has become blank goes on in the next line, as far as JavaScript can tell; a
    /// semicolon in the blanks ends it.
    pub fn end(&mut self, span: Span) {
        let Some(last) = span.end.checked_sub(1) else { return };
        let written = self.source.as_bytes().get(last as usize).is_some_and(|byte| !byte.is_ascii_whitespace());
        if written && self.bytes.get(last as usize) == Some(&b' ') {
            self.put(last, b';');
        }
    }

    /// The text as it is now.
    pub fn text(mut self) -> String {
        self.added.sort_by_key(|(at, _)| *at);
        let mut text = Vec::with_capacity(self.bytes.len());
        let mut done = 0;
        for (at, added) in &self.added {
            text.extend_from_slice(self.bytes.get(done..*at).unwrap_or_default());
            text.extend_from_slice(added.as_bytes());
            done = *at;
        }
        text.extend_from_slice(self.bytes.get(done..).unwrap_or_default());
        // Whole tokens have become blank, so it is UTF-8 as before.
        String::from_utf8_lossy(&text).into_owned()
    }
}
