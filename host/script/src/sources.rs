//! What an interpreter reads: the sources of a script, which stand behind the interpreter in one file of bytes.
//!
//! A script in a language that an interpreter evaluates is the interpreter's component with one more section at its end, which has the
//! files of the script's folder. So it is one component like any other: its digest is that of interpreter and sources together, the
//! journal pins both by it, and a store, a bundle, a resume or a replay has both or none. What is compiled is the interpreter alone,
//! so that an edit of the sources compiles nothing.
//!
//! The guest reads them through the interface `workspace`, where the repository has them: below [`FOLDER`]. Of a script with sources that
//! folder is answered by these, and by nothing else, whatever the code that is built has there. No transcript records it, since
//! it is the script itself: a replay of other sources reads other sources.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::error::LoadError;

/// The folder of a repository that has its script, and the one where a script with sources reads them.
pub const FOLDER: &str = ".monkeyci";

/// The name of the section.
const SECTION: &str = "monkeyci:sources";
/// Magic number, version and layer of a component.
const HEADER: usize = 8;
/// The id of sections that the standard leaves to others.
const CUSTOM: u8 = 0;

/// The sources of a script, by their paths in its folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources(BTreeMap<String, Bytes>);

/// What there is at a path of the script's folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    File(Bytes),
    /// The names in it, those of folders with `/` at their ends.
    Folder(Vec<String>),
    Nothing,
}

/// The bytes of a script: an interpreter, which is a component, and the files that it is to evaluate, by their paths in the folder
/// `.monkeyci`.
///
/// ```
/// let interpreter = *b"\0asm\x0d\0\x01\0";
/// let script = monkeyci_script::with_sources(&interpreter, [("build.yaml", b"id: test".as_slice())]);
/// assert!(script.starts_with(&interpreter));
/// ```
pub fn with_sources<'a>(interpreter: &[u8], files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut section = Vec::new();
    put(&mut section, SECTION.as_bytes());
    // In the order of their paths: the same files are the same bytes.
    for (path, content) in files.into_iter().collect::<BTreeMap<_, _>>() {
        put(&mut section, path.as_bytes());
        put(&mut section, content);
    }
    let mut script = interpreter.to_vec();
    script.push(CUSTOM);
    put(&mut script, &section);
    script
}

/// Adds a length, and the bytes.
fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    while length >= 0x80 {
        to.push(length as u8 | 0x80);
        length >>= 7;
    }
    to.push(length as u8);
    to.extend_from_slice(bytes);
}

/// Takes a length and so many bytes; none where they are not there.
fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let (taken, rest) = from.split_at_checked(usize::try_from(length).ok()?)?;
            *from = rest;
            return Some(taken);
        }
    }
    None
}

/// A script as it comes: the component that is compiled, and the sources that stand behind it, if there are any.
///
/// # Errors
/// When the section with the sources is broken. What else is broken, the compiler says.
pub(crate) fn split(script: &[u8]) -> Result<(&[u8], Option<Sources>), LoadError> {
    let Some(mut rest) = script.get(HEADER..) else { return Ok((script, None)) };
    loop {
        let at = script.len() - rest.len();
        let Some((id, behind)) = rest.split_first() else { return Ok((script, None)) };
        rest = behind;
        let Some(mut section) = take(&mut rest) else { return Ok((script, None)) };
        if !rest.is_empty() || *id != CUSTOM || take(&mut section) != Some(SECTION.as_bytes()) {
            continue;
        }
        let broken = || LoadError::Invalid("the section with the sources of the script is cut off".to_owned());
        let mut files = BTreeMap::new();
        while !section.is_empty() {
            let (path, content) = (take(&mut section), take(&mut section));
            let (path, content) = path.zip(content).ok_or_else(broken)?;
            let path = String::from_utf8(path.to_vec()).map_err(|_| broken())?;
            files.insert(path, Bytes::copy_from_slice(content));
        }
        return Ok((&script[..at], Some(Sources(files))));
    }
}

impl Sources {
    /// The paths of the files, and how large they are.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|(path, content)| (path.as_str(), content.len()))
    }

    /// What there is at a path of the workspace; `None` where that is not in the script's folder.
    pub(crate) fn at(&self, path: &str) -> Option<Source> {
        let mut parts = Vec::new();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()?),
                part => parts.push(part),
            }
        }
        if path.starts_with('/') || parts.first() != Some(&FOLDER) {
            return None;
        }
        let inside = parts[1..].join("/");
        if let Some(content) = self.0.get(&inside) {
            return Some(Source::File(content.clone()));
        }
        let folder = if inside.is_empty() { inside } else { inside + "/" };
        let below = self.0.keys().filter_map(|path| path.strip_prefix(&folder));
        let name = |path: &str| path.split_inclusive('/').next().unwrap_or_default().to_owned();
        let names: BTreeSet<String> = below.map(name).collect();
        Some(if names.is_empty() { Source::Nothing } else { Source::Folder(names.into_iter().collect()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

    fn sources(files: &[(&str, &str)]) -> Sources {
        let script = with_sources(&COMPONENT, files.iter().map(|(path, text)| (*path, text.as_bytes())));
        let (component, sources) = split(&script).expect("it is whole");
        assert_eq!(component, COMPONENT);
        sources.expect("there are some")
    }

    #[test]
    fn sources_come_out_as_they_were_put_in_and_the_component_too() {
        let large = "x".repeat(70_000);
        let found = sources(&[("build.yaml", "a: 1"), ("empty", ""), ("large", &large)]);
        assert_eq!(found.files().collect::<Vec<_>>(), [("build.yaml", 4), ("empty", 0), ("large", 70_000)]);
        assert_eq!(found.at(".monkeyci/large"), Some(Source::File(large.into())));
    }

    #[test]
    fn the_same_files_are_the_same_bytes_in_whatever_order_they_come() {
        let files: [(&str, &[u8]); 2] = [("a", b"1"), ("b", b"2")];
        let [one, other] = [files, [files[1], files[0]]].map(|files| with_sources(&COMPONENT, files));
        assert_eq!(one, other);
        assert_ne!(one, with_sources(&COMPONENT, [("a", b"1".as_slice()), ("b", b"3")]));
    }

    #[test]
    fn a_path_of_the_scripts_folder_is_answered_however_it_is_written_and_no_other_is() {
        let found = sources(&[("build.ts", "b"), ("lib/make.ts", "m"), ("lib/deep/x", "x")]);
        let file = |text: &'static str| Some(Source::File(Bytes::from_static(text.as_bytes())));
        let folder = |names: &[&str]| Some(Source::Folder(names.iter().map(|name| (*name).to_owned()).collect()));
        for (path, expected) in [
            (".monkeyci/build.ts", file("b")),
            ("./.monkeyci//lib/../build.ts", file("b")),
            ("app/../.monkeyci/lib/make.ts", file("m")),
            (".monkeyci", folder(&["build.ts", "lib/"])),
            (".monkeyci/lib/", folder(&["deep/", "make.ts"])),
            (".monkeyci/li", Some(Source::Nothing)),
            (".monkeyci/build.yaml", Some(Source::Nothing)),
            ("build.ts", None),
            (".monkeyci/../build.ts", None),
            ("../.monkeyci/build.ts", None),
            ("/.monkeyci/build.ts", None),
            (".monkeyci2/build.ts", None),
        ] {
            assert_eq!(found.at(path), expected, "{path}");
        }
    }

    #[test]
    fn broken_sources_are_an_error_and_a_broken_component_has_none() {
        let script = with_sources(&COMPONENT, [("build.yaml", b"a: 1".as_slice())]);
        for cut in 1..script.len() {
            // What is cut off is no last section.
            assert!(matches!(split(&script[..cut]), Ok((whole, None)) if whole.len() == cut), "{cut}");
        }
        let mut wrong = COMPONENT.to_vec();
        let mut section = Vec::new();
        put(&mut section, SECTION.as_bytes());
        section.extend([9, b'x']);
        wrong.push(CUSTOM);
        put(&mut wrong, &section);
        assert!(matches!(split(&wrong), Err(LoadError::Invalid(_))));
        assert!(matches!(split(&[&COMPONENT[..], &[1, 0xff, 0xff, 0xff, 0xff, 0xff]].concat()), Ok((_, None))));
    }
}
