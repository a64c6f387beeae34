//! What `.gitattributes` says of a file: how its lines end where it is checked out, and whether its content lies elsewhere.

use std::borrow::Cow;
use std::path::Path;

use git2::{AttrCheckFlags, AttrValue, Error, Oid, Repository};

use super::tree::Placed;

/// How a file of Git LFS begins that stands for another.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
/// The most bytes of such a file.
pub(super) const LONGEST_POINTER: usize = 1024;

/// The attributes of a repository's files, from its index: no file of a working tree is read for them.
pub(super) struct Attributes<'r> {
    repository: &'r Repository,
    /// Whether there are any.
    any: bool,
}

impl<'r> Attributes<'r> {
    pub(super) fn new(repository: &'r Repository, any: bool) -> Self {
        Self { repository, any }
    }

    /// The content of a file as it is checked out. What is not so as it should be is noted.
    pub(super) fn convert<'c>(
        &self,
        path: &Path,
        id: Oid,
        content: &'c [u8],
        placed: &mut Placed,
    ) -> Result<Cow<'c, [u8]>, Error> {
        if !self.any {
            return Ok(Cow::Borrowed(content));
        }
        if is_pointer(content) && self.is(path, "filter", "lfs")? {
            placed.lfs.push(path.to_owned());
            return Ok(Cow::Borrowed(content));
        }
        let mut content = Cow::Borrowed(content);
        if self.value(path, "ident")? == AttrValue::True {
            content = with_ident(content, id);
        }
        if matches!(self.value(path, "working-tree-encoding")?, AttrValue::String(_) | AttrValue::Bytes(_)) {
            placed.encoded.push(path.to_owned());
        }
        if self.is(path, "eol", "crlf")? {
            match self.value(path, "text")? {
                AttrValue::False => {}
                value => {
                    let only_text = matches!(value, AttrValue::String("auto"));
                    content = with_crlf(content, only_text);
                }
            }
        }
        Ok(content)
    }

    fn value(&self, path: &Path, name: &str) -> Result<AttrValue<'_>, Error> {
        let flags = AttrCheckFlags::INDEX_ONLY | AttrCheckFlags::NO_SYSTEM;
        Ok(AttrValue::from_bytes(self.repository.get_attr_bytes(path, name, flags)?))
    }

    fn is(&self, path: &Path, name: &str, value: &str) -> Result<bool, Error> {
        Ok(self.value(path, name)? == AttrValue::String(value))
    }
}

/// Whether a file's content stands for another in Git LFS.
pub(super) fn is_pointer(content: &[u8]) -> bool {
    content.len() <= LONGEST_POINTER && content.starts_with(POINTER)
}

/// Lines end in CRLF. With `only_text`, a file stays as it is that looks like no text, or has a CR already.
fn with_crlf(content: Cow<'_, [u8]>, only_text: bool) -> Cow<'_, [u8]> {
    let lone = |at: usize| content[at] == b'\n' && (at == 0 || content[at - 1] != b'\r');
    let count = (0..content.len()).filter(|&at| lone(at)).count();
    if count == 0 || only_text && content.iter().any(|byte| matches!(byte, b'\r' | 0)) {
        return content;
    }
    let mut converted = Vec::with_capacity(content.len() + count);
    for (at, &byte) in content.iter().enumerate() {
        if lone(at) {
            converted.push(b'\r');
        }
        converted.push(byte);
    }
    Cow::Owned(converted)
}

/// `$Id$`, and what stands there already, becomes `$Id: (the content's id) $`.
fn with_ident(content: Cow<'_, [u8]>, id: Oid) -> Cow<'_, [u8]> {
    const KEY: &[u8] = b"$Id";
    let mut converted: Option<Vec<u8>> = None;
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = content[at..].windows(KEY.len()).position(|window| window == KEY) {
        let start = at + found;
        let after = start + KEY.len();
        let line = content[after..].split(|&byte| byte == b'\n').next().unwrap_or_default();
        at = after;
        let end = match line.first() {
            Some(b'$') => after + 1,
            Some(b':') => match line.iter().position(|&byte| byte == b'$') {
                Some(end) => after + end + 1,
                None => continue,
            },
            _ => continue,
        };
        let to = converted.get_or_insert_default();
        to.extend_from_slice(&content[copied..start]);
        to.extend_from_slice(format!("$Id: {id} $").as_bytes());
        (copied, at) = (end, end);
    }
    match converted {
        None => content,
        Some(mut to) => {
            to.extend_from_slice(&content[copied..]);
            Cow::Owned(to)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_git_would_end_them() {
        for (content, only_text, expected) in [
            (&b"a\nb\n"[..], false, &b"a\r\nb\r\n"[..]),
            (b"a\r\nb\n", false, b"a\r\nb\r\n"),
            (b"a\r\nb\n", true, b"a\r\nb\n"),
            (b"a\0\n", true, b"a\0\n"),
            (b"\n", true, b"\r\n"),
            (b"a", false, b"a"),
        ] {
            assert_eq!(&*with_crlf(Cow::Borrowed(content), only_text), expected);
        }
    }

    #[test]
    fn an_ident_is_filled_in_and_nothing_else_is() {
        let id = Oid::from_str("0123456789012345678901234567890123456789").expect("an id");
        for (content, expected) in [
            (
                "a $Id$ b $Id: old $\n$Id: no end\n$Identity$",
                format!("a $Id: {id} $ b $Id: {id} $\n$Id: no end\n$Identity$"),
            ),
            ("none", "none".to_owned()),
            ("$Id$", format!("$Id: {id} $")),
        ] {
            assert_eq!(String::from_utf8_lossy(&with_ident(Cow::Borrowed(content.as_bytes()), id)), expected);
        }
    }
}
