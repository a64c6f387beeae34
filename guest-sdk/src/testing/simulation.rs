//! What a simulated host knows.

use super::acted::Before;
use super::faults::complete;
use super::{Acted, DeclaredJob, DeclaredParam, Ended, Graph, Refined};
use crate::host::jobs;
use crate::simulated::world::{File, Given, Phase, Recorded, Told, World, replace, with};
use crate::{__act, __define, __refine, Build, Changes, IntoJobs};

/// What a simulated host knows of a build. A method adds to it; [`graph`](Self::graph), [`act`](Self::act) and
/// [`refine`](Self::refine) call the script. All of it can be used again, and cloned to have more added.
///
/// A new one is a build `org/repo/1` that was started by hand, of a directory outside git, without files, parameters and
/// secrets.
#[derive(Clone, Debug, Default)]
pub struct Simulation {
    given: Given,
}

/// Methods that set one thing.
macro_rules! given {
    ($($(#[$about:meta])* $name:ident;)*) => {
        $(
            $(#[$about])*
            pub fn $name(mut self, value: impl Into<String>) -> Self {
                self.given.$name = Some(value.into());
                self
            }
        )*
    };
}

impl Simulation {
    /// A build of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    given! {
        /// Where the code came from.
        git_url;
        /// The id of the commit.
        commit;
        /// The commit's message.
        message;
        /// The commit's author, `Name <mail>`.
        author;
        /// The repository's main branch. Without it: `main`.
        main_branch;
        /// The commit that the code is compared with.
        base_commit;
        /// What `git describe --tags` says of the commit.
        describe;
    }

    /// The build's full id, `org/repo/build`.
    ///
    /// # Panics
    /// When it is not of this form.
    pub fn id(mut self, id: &str) -> Self {
        let parts: Vec<&str> = id.split('/').collect();
        let [org, repo, build] = parts[..] else { panic!("a build's id has the form org/repo/build, not {id:?}") };
        self.given.org = org.to_owned();
        self.given.repo = repo.to_owned();
        self.given.build = build.to_owned();
        self
    }

    /// What started the build. Without it: `cli`.
    pub fn trigger(mut self, what: impl Into<String>) -> Self {
        self.given.trigger = what.into();
        self
    }

    /// The branch that is built.
    pub fn branch(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.given.git_ref = Some(format!("refs/heads/{name}"));
        self.given.branch = Some(name);
        self.given.tag = None;
        self
    }

    /// The tag that is built, instead of a branch.
    pub fn tag(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.given.git_ref = Some(format!("refs/tags/{name}"));
        self.given.tag = Some(name);
        self.given.branch = None;
        self
    }

    /// Files that were modified. The changes are known as soon as this or one of the methods below was called.
    pub fn changed<S: Into<String>>(self, paths: impl IntoIterator<Item = S>) -> Self {
        self.change(|changes| changes.modified.extend(paths.into_iter().map(Into::into)))
    }

    /// Files that were added.
    pub fn added<S: Into<String>>(self, paths: impl IntoIterator<Item = S>) -> Self {
        self.change(|changes| changes.added.extend(paths.into_iter().map(Into::into)))
    }

    /// Files that were removed.
    pub fn removed<S: Into<String>>(self, paths: impl IntoIterator<Item = S>) -> Self {
        self.change(|changes| changes.removed.extend(paths.into_iter().map(Into::into)))
    }

    /// A file that was renamed.
    pub fn renamed(self, old: impl Into<String>, new: impl Into<String>) -> Self {
        self.change(|changes| changes.renamed.push((old.into(), new.into())))
    }

    fn change(mut self, change: impl FnOnce(&mut Changes)) -> Self {
        let changes = self.given.changes.get_or_insert_default();
        change(changes);
        [&mut changes.modified, &mut changes.added, &mut changes.removed].into_iter().for_each(|list| list.sort());
        self
    }

    /// A parameter.
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.given.params.insert(name.into(), value.into());
        self
    }

    /// A secret.
    pub fn secret(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.given.secrets.insert(name.into(), value.into());
        self
    }

    /// Lets the script [reveal](crate::Secret::reveal) this secret.
    pub fn allow_reveal(mut self, name: impl Into<String>) -> Self {
        self.given.revealed.insert(name.into());
        self
    }

    /// A file of the workspace.
    pub fn file(mut self, path: impl Into<String>, contents: impl AsRef<[u8]>) -> Self {
        self.given.files.insert(path.into(), File { bytes: contents.as_ref().into(), executable: false });
        self
    }

    /// A file of the workspace that can be executed.
    pub fn executable(mut self, path: impl Into<String>, contents: impl AsRef<[u8]>) -> Self {
        self.given.files.insert(path.into(), File { bytes: contents.as_ref().into(), executable: true });
        self
    }

    /// A file in the artifact `id`, which the job `job` has saved.
    pub fn artifact(
        mut self,
        id: impl Into<String>,
        job: impl Into<String>,
        path: impl Into<String>,
        contents: impl AsRef<[u8]>,
    ) -> Self {
        let stored = self.given.artifacts.entry(id.into()).or_default();
        stored.job = job.into();
        stored.files.insert(path.into(), contents.as_ref().into());
        self
    }

    /// How a job stands: a [`Status`](crate::Status), or [`ended`](super::ended) to say more. Without it, a job that the
    /// action has submitted has succeeded, and any other job waits.
    pub fn outcome(mut self, job: impl Into<String>, ended: impl Into<Ended>) -> Self {
        self.given.outcomes.insert(job.into(), ended.into());
        self
    }

    /// An event that a job publishes. A subscription gets it, whenever it was made.
    pub fn event(self, job: impl Into<String>, name: impl Into<String>, payload: impl Into<String>) -> Self {
        self.record("script/event", Some(job.into()), Some(name.into()), payload.into())
    }

    /// An event that comes from outside.
    pub fn outside_event(self, name: impl Into<String>, payload: impl Into<String>) -> Self {
        self.record("build/event", None, Some(name.into()), payload.into())
    }

    /// An event that the host records: of this kind, and about this job.
    pub fn host_event(self, kind: &str, job: impl Into<String>, payload: impl Into<String>) -> Self {
        self.record(kind, Some(job.into()), None, payload.into())
    }

    fn record(mut self, kind: &str, job: Option<String>, name: Option<String>, payload: String) -> Self {
        self.given.events.push(Recorded { kind: kind.to_owned(), name, job, payload });
        self
    }

    /// The argument with which an action is called.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.given.argument = Some(argument.into());
        self
    }

    /// The graph that the script declares.
    ///
    /// # Panics
    /// When the script ends in an error, or its graph has faults. The message has all of them.
    #[track_caller]
    pub fn graph<J: IntoJobs>(&self, script: impl FnOnce(&'static Build) -> J) -> Graph {
        match self.try_graph(script) {
            Ok(graph) => graph,
            Err(faults) => panic!("the host refuses this graph:\n{}", faults.join("\n")),
        }
    }

    /// The graph that the script declares.
    ///
    /// # Errors
    /// The script's error, or all faults of its graph. As with a host, faults of parameters go before the script's error.
    pub fn try_graph<J: IntoJobs>(&self, script: impl FnOnce(&'static Build) -> J) -> Result<Graph, Vec<String>> {
        let (result, told) = self.within(|| __define(script));
        let (jobs, params) = declared(&told);
        match result {
            Ok(()) => Graph::new(jobs, params, &self.given.secrets),
            Err(error) => Err(Graph::new(Vec::new(), params, &self.given.secrets).err().unwrap_or_else(|| vec![error])),
        }
    }

    /// Runs the action job `job` of the script, or the handler of that name. A job that calls a handler has its argument.
    ///
    /// # Panics
    /// When the script's function ends in an error.
    #[track_caller]
    pub fn act<J: IntoJobs>(&self, script: impl FnOnce(&'static Build) -> J, job: &str) -> Acted {
        let (ended, told) = self.within(|| {
            __define(script)?;
            let before = with(|world| {
                world.phase = Phase::Act(job.to_owned());
                Before::of(&world.told)
            });
            Ok::<_, String>((__act(&called(job)), before))
        });
        match ended {
            Ok((result, before)) => Acted::new(result.and_then(|()| all_created(job, &told)), told, &before),
            Err(error) => panic!("the script's function ends in an error: {error}"),
        }
    }

    /// Completes the job `job` of the script with the closure that it has for that.
    ///
    /// # Panics
    /// When the script's function ends in an error, or there is no such job.
    #[track_caller]
    pub fn refine<J: IntoJobs>(&self, script: impl FnOnce(&'static Build) -> J, job: &str) -> Refined {
        let (ended, _) = self.within(|| {
            __define(script)?;
            let declared = with(|world| {
                world.phase = Phase::Refine(job.to_owned());
                world.told.jobs.iter().find(|declared| declared.borrow().id == job).cloned()
            });
            let declared = declared.ok_or_else(|| format!("there is no job {job:?}"))?;
            let result = __refine(&jobs::Job { declared: declared.clone() }, job);
            let job = declared.borrow().clone();
            let result = result.and_then(|()| complete(&job));
            Ok::<_, String>(Refined { result, job })
        });
        match ended {
            Ok(refined) => refined,
            Err(error) => panic!("the script's function ends in an error: {error}"),
        }
    }

    /// Does `work` in a world with what this simulation knows. Returns what was told there, too.
    fn within<T>(&self, work: impl FnOnce() -> T) -> (T, Told) {
        let world = World { given: self.given.clone(), ..World::default() };
        let before = Restore(Some(replace(world)));
        let done = work();
        let told = with(|world| std::mem::take(&mut world.told));
        drop(before);
        (done, told)
    }
}

/// Puts a world back in place, also when a script panics.
struct Restore(Option<World>);

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(world) = self.0.take() {
            replace(world);
        }
    }
}

/// What `act` is called with for the job `job`, whose argument is put in place.
fn called(job: &str) -> String {
    with(|world| {
        let call = world.told.jobs.iter().find(|declared| declared.borrow().id == job);
        match call.and_then(|declared| declared.borrow().calls.clone()) {
            Some((handler, argument)) => {
                world.given.argument = Some(argument);
                handler
            }
            None => job.to_owned(),
        }
    })
}

fn declared(told: &Told) -> (Vec<DeclaredJob>, Vec<DeclaredParam>) {
    let jobs = told.jobs.iter().map(|job| job.borrow().clone()).collect();
    (jobs, told.params.iter().map(|param| param.borrow().clone()).collect())
}

/// It is a failure of an action when it does not create what it has declared.
fn all_created(job: &str, told: &Told) -> Result<(), String> {
    let declared = told.jobs.iter().find(|declared| declared.borrow().id == job);
    let missing = declared.and_then(|declared| {
        let declared = declared.borrow();
        declared.creates_artifacts.iter().find(|id| !told.artifacts.contains_key(*id)).cloned()
    });
    match missing {
        Some(id) if told.skipped.is_none() => {
            Err(format!("the action has not created the artifact {id:?}, which it declares"))
        }
        _ => Ok(()),
    }
}
