//! `artifacts`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::files::Reader;
use super::types::Error;
use super::world::{Phase, Stored, World, with};

#[derive(Debug)]
pub struct Artifact {
    id: String,
    job: String,
    size: u64,
}

impl Artifact {
    fn new(id: &str, stored: &Stored) -> Self {
        let size = stored.files.values().map(|bytes| bytes.len() as u64).sum();
        Self { id: id.to_owned(), job: stored.job.clone(), size }
    }

    pub fn id(&self) -> String {
        self.id.clone()
    }

    pub fn job(&self) -> String {
        self.job.clone()
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn digest(&self) -> String {
        "0".repeat(64)
    }
}

pub fn list() -> Result<Vec<Artifact>, Error> {
    super::in_action("list artifacts")?;
    Ok(with(|world| {
        let all: BTreeMap<_, _> = world.given.artifacts.iter().chain(&world.told.artifacts).collect();
        all.into_iter().map(|(id, stored)| Artifact::new(id, stored)).collect()
    }))
}

pub fn file_names(id: &str) -> Result<Vec<String>, Error> {
    super::in_action("look into artifacts")?;
    with(|world| Ok(stored(world, id)?.files.keys().cloned().collect()))
}

pub fn open(id: &str, path: &str) -> Result<Reader, Error> {
    super::in_action("open artifacts")?;
    super::inside(path)?;
    with(|world| {
        let file = stored(world, id)?.files.get(path);
        let missing = || Error::NotFound(format!("the artifact {id:?} has no file {path:?}"));
        file.map(|bytes| Reader::new(Rc::clone(bytes))).ok_or_else(missing)
    })
}

fn stored<'a>(world: &'a World, id: &str) -> Result<&'a Stored, Error> {
    let missing =
        || Error::NotFound(format!("there is no artifact {id:?}; `Simulation::artifact` gives one in a test"));
    world.told.artifacts.get(id).or_else(|| world.given.artifacts.get(id)).ok_or_else(missing)
}

pub fn create(id: &str, path: &str) -> Result<Writer, Error> {
    super::inside(path)?;
    with(|world| may_create(world, id))?;
    Ok(Writer { id: id.to_owned(), path: path.to_owned(), bytes: RefCell::new(Some(Vec::new())) })
}

pub fn save(id: &str, path: &str) -> Result<Artifact, Error> {
    super::inside(path)?;
    with(|world| {
        let job = may_create(world, id)?;
        let below = format!("{}/", path.trim_end_matches('/'));
        let files = world.told.output_area.iter();
        let files: BTreeMap<String, Rc<[u8]>> = files
            .filter(|(file, _)| *file == path || path == "." || file.starts_with(&below))
            .map(|(file, bytes)| (file.clone(), bytes.as_slice().into()))
            .collect();
        if files.is_empty() {
            return Err(Error::NotFound(format!("there is no {path:?} in the output area")));
        }
        Ok(put(world, id, Stored { job, files }))
    })
}

/// Refuses artifacts that the job has not declared, or that are there. Returns the job.
fn may_create(world: &World, id: &str) -> Result<String, Error> {
    let Phase::Act(job) = &world.phase else {
        return Err(Error::Conflict("only an action may create artifacts".to_owned()));
    };
    let declared = world.told.jobs.iter().find(|declared| declared.borrow().id == *job);
    if declared.is_some_and(|job| !job.borrow().creates_artifacts.iter().any(|declared| declared == id)) {
        return Err(Error::Denied(format!(
            "the job {job:?} has not declared with `creates_artifact` that it creates {id:?}"
        )));
    }
    if world.told.artifacts.contains_key(id) || world.given.artifacts.contains_key(id) {
        return Err(Error::Conflict(format!("there is an artifact {id:?} already")));
    }
    Ok(job.clone())
}

fn put(world: &mut World, id: &str, stored: Stored) -> Artifact {
    let artifact = Artifact::new(id, &stored);
    world.told.artifacts.insert(id.to_owned(), stored);
    artifact
}

#[derive(Debug)]
pub struct Writer {
    id: String,
    path: String,
    bytes: RefCell<Option<Vec<u8>>>,
}

impl Writer {
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        match self.bytes.borrow_mut().as_mut() {
            Some(all) => all.extend_from_slice(bytes),
            None => return Err(finished()),
        }
        Ok(())
    }

    pub fn finish(&self) -> Result<Artifact, Error> {
        let bytes = self.bytes.borrow_mut().take().ok_or_else(finished)?;
        with(|world| {
            let job = may_create(world, &self.id)?;
            let files = BTreeMap::from([(self.path.clone(), bytes.into())]);
            Ok(put(world, &self.id, Stored { job, files }))
        })
    }
}

fn finished() -> Error {
    Error::Conflict("the artifact is finished".to_owned())
}
