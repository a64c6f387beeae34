//! What the simulated host knows, and what it has been told.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::Changes;
use crate::host::events::Level;
use crate::testing::{DeclaredJob, DeclaredParam, Ended};

thread_local! {
    /// One for each thread, as tests run in threads.
    static WORLD: RefCell<World> = RefCell::new(World::default());
}

/// What the simulated host works with.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub given: Given,
    pub phase: Phase,
    pub told: Told,
}

/// What is called at the moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Phase {
    /// The script's function.
    #[default]
    Define,
    /// This action.
    Act(String),
    /// The closure that completes this job.
    Refine(String),
}

/// What a simulation gives.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub org: String,
    pub repo: String,
    pub build: String,
    pub trigger: String,
    pub git_url: Option<String>,
    pub git_ref: Option<String>,
    pub branch: Option<String>,
    pub tag: Option<String>,
    pub commit: Option<String>,
    pub message: Option<String>,
    pub author: Option<String>,
    pub main_branch: Option<String>,
    pub base_commit: Option<String>,
    pub describe: Option<String>,
    pub changes: Option<Changes>,
    pub params: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, Vec<u8>>,
    pub revealed: BTreeSet<String>,
    pub files: BTreeMap<String, File>,
    pub artifacts: BTreeMap<String, Stored>,
    pub outcomes: BTreeMap<String, Ended>,
    pub events: Vec<Recorded>,
    pub argument: Option<String>,
}

/// A file of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub bytes: Rc<[u8]>,
    pub executable: bool,
}

/// An artifact: the job that saved it, and its files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub job: String,
    pub files: BTreeMap<String, Rc<[u8]>>,
}

/// An event in the journal.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub kind: String,
    pub name: Option<String>,
    pub job: Option<String>,
    pub payload: String,
}

/// What the simulated host has been told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub jobs: Vec<Rc<RefCell<DeclaredJob>>>,
    pub params: Vec<Rc<RefCell<DeclaredParam>>>,
    pub published: Vec<(String, String)>,
    pub reports: Vec<String>,
    pub log: Vec<(Level, String)>,
    pub message: Option<String>,
    pub warning: Option<String>,
    pub skipped: Option<String>,
    pub outputs: BTreeMap<String, String>,
    pub links: Vec<(String, String)>,
    pub test_reports: Vec<String>,
    pub coverage: Option<f64>,
    pub output_area: BTreeMap<String, Vec<u8>>,
    pub artifacts: BTreeMap<String, Stored>,
    pub submitted: Vec<DeclaredJob>,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            org: "org".to_owned(),
            repo: "repo".to_owned(),
            build: "1".to_owned(),
            trigger: "cli".to_owned(),
            git_url: None,
            git_ref: None,
            branch: None,
            tag: None,
            commit: None,
            message: None,
            author: None,
            main_branch: Some("main".to_owned()),
            base_commit: None,
            describe: None,
            changes: None,
            params: BTreeMap::new(),
            secrets: BTreeMap::new(),
            revealed: BTreeSet::new(),
            files: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            events: Vec::new(),
            argument: None,
        }
    }
}

/// Works with this thread's world.
pub(crate) fn with<T>(work: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(work)
}

/// Puts another world in place, and returns what was there.
pub(crate) fn replace(world: World) -> World {
    WORLD.replace(world)
}
