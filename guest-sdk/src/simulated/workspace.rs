//! `workspace`.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use super::files::Reader;
use super::types::Error;
use super::world::with;
use crate::glob::matches;

/// The largest file that is read whole.
const LARGEST: usize = 4 << 20;

#[derive(Debug)]
pub struct Metadata {
    kind: &'static str,
    size: u64,
    executable: bool,
}

impl Metadata {
    pub fn kind(&self) -> String {
        self.kind.to_owned()
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn executable(&self) -> bool {
        self.executable
    }
}

pub fn read_file(path: &str) -> Result<Vec<u8>, Error> {
    let bytes = contents(path)?;
    match bytes.len() > LARGEST {
        true => Err(Error::Quota(format!("{path:?} has {} bytes, and at most {LARGEST} are read whole", bytes.len()))),
        false => Ok(bytes.to_vec()),
    }
}

pub fn open(path: &str) -> Result<Reader, Error> {
    super::in_action("open a file")?;
    Ok(Reader::new(contents(path)?))
}

fn contents(path: &str) -> Result<Rc<[u8]>, Error> {
    super::inside(path)?;
    let missing =
        || Error::NotFound(format!("the workspace has no file {path:?}; `Simulation::file` gives one in a test"));
    with(|world| world.given.files.get(path).map(|file| Rc::clone(&file.bytes)).ok_or_else(missing))
}

pub fn read_dir(path: &str) -> Result<Vec<String>, Error> {
    super::inside(path)?;
    let prefix = below(path);
    let names: BTreeSet<String> = with(|world| {
        let files = world.given.files.keys().filter_map(|file| file.strip_prefix(&prefix));
        files.map(|rest| rest.split_inclusive('/').next().unwrap_or(rest).to_owned()).collect()
    });
    match names.is_empty() && path != "." {
        true => Err(Error::NotFound(format!("the workspace has no directory {path:?}"))),
        false => Ok(names.into_iter().collect()),
    }
}

fn below(path: &str) -> String {
    if path == "." { String::new() } else { format!("{}/", path.trim_end_matches('/')) }
}

pub fn glob(patterns: &[String]) -> Result<Vec<String>, Error> {
    Ok(with(|world| {
        let wanted = |path: &&String| patterns.iter().any(|pattern| matches(pattern, path));
        world.given.files.keys().filter(wanted).cloned().collect()
    }))
}

pub fn stat(path: &str) -> Result<Option<Metadata>, Error> {
    super::inside(path)?;
    Ok(with(|world| {
        let directory = || Metadata { kind: "directory", size: 0, executable: true };
        match world.given.files.get(path) {
            Some(file) => Some(Metadata { kind: "file", size: file.bytes.len() as u64, executable: file.executable }),
            None => {
                let prefix = below(path);
                let any = path == "." || world.given.files.keys().any(|file| file.starts_with(&prefix));
                any.then(directory)
            }
        }
    }))
}

/// Not the digest that a real host makes, but one that changes with the same things.
pub fn hash_files(patterns: &[String]) -> Result<String, Error> {
    let paths = glob(patterns)?;
    if paths.is_empty() {
        return Err(Error::NotFound(format!("no file matches {}", patterns.join(", "))));
    }
    let digest = |part: u8| {
        let mut hasher = DefaultHasher::new();
        part.hash(&mut hasher);
        with(|world| {
            paths.iter().for_each(|path| (path, world.given.files.get(path).map(|file| &file.bytes)).hash(&mut hasher));
        });
        format!("{:016x}", hasher.finish())
    };
    Ok((0..4).map(digest).collect())
}

pub fn write_file(path: &str, contents: &[u8]) -> Result<(), Error> {
    super::in_action("write a file")?;
    super::inside(path)?;
    with(|world| world.told.output_area.insert(path.to_owned(), contents.to_vec()));
    Ok(())
}

pub fn append_file(path: &str, contents: &[u8]) -> Result<(), Error> {
    super::in_action("write a file")?;
    super::inside(path)?;
    with(|world| world.told.output_area.entry(path.to_owned()).or_default().extend_from_slice(contents));
    Ok(())
}
