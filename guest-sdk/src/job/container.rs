//! Container jobs.

use std::rc::Rc;
use std::time::Duration;

use super::common::{Common, Ending, RefineFn, ending_setters, graph_setters};
use crate::setters::by_value;
use crate::{
    Cache, Context, JobRef, Lines, PullPolicy, Refine, Result, RetryOn, RunWhen, SavedArtifact, Secret, Service,
};

/// A container job: commands that run in a container.
#[derive(Clone, Debug)]
pub struct ContainerJob {
    pub(crate) common: Common,
    pub(crate) container: Container,
}

/// What a container job runs, and with what round it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Container {
    pub image: Option<String>,
    pub argv: Option<Vec<String>>,
    pub shell: Option<Vec<String>>,
    pub shell_program: Option<Vec<String>>,
    pub shell_each: bool,
    pub user: Option<String>,
    pub architecture: Option<String>,
    pub network_none: bool,
    pub allow: Vec<String>,
    pub variables: Vec<Variable>,
    pub test_reports: Vec<String>,
    pub work_dir: Option<String>,
    pub memory: Option<u64>,
    pub cpu: Option<u32>,
    pub shm: Option<u64>,
    pub pull: Option<PullPolicy>,
    pub entrypoint_of_image: bool,
    pub with_git: bool,
    pub save: Vec<SavedArtifact>,
    pub restore: Vec<Restore>,
    pub caches: Vec<Cache>,
    pub services: Vec<Service>,
}

/// An artifact to restore.
#[derive(Clone, Debug)]
pub(crate) struct Restore {
    pub id: String,
    pub path: String,
    pub at_path: bool,
    pub if_there: bool,
}

impl Restore {
    pub(crate) fn new(id: impl Into<String>, path: impl Into<String>) -> Self {
        Self { id: id.into(), path: path.into(), at_path: false, if_there: false }
    }
}

/// An environment variable.
#[derive(Clone, Debug)]
pub(crate) enum Variable {
    Value { name: String, value: String },
    Secret { name: String, secret: Secret },
    SecretFile { name: String, secret: Secret },
    ParamFile { name: String, param: String },
    Output { name: String, job: String, output: String },
}

/// A container job in an image; say what it runs with [`ContainerJob::shell`] or [`ContainerJob::argv`].
///
/// It starts in a copy of the workspace. Its environment has `CI=true`, `MONKEYCI_BUILD` (the build's full id), `MONKEYCI_REPO` (its first
/// two parts), `MONKEYCI_JOB`, `MONKEYCI_ATTEMPT` and, as far as they are known, `MONKEYCI_COMMIT`, `MONKEYCI_BRANCH`, `MONKEYCI_TAG` and
/// `MONKEYCI_REF`. What can't be the name of an image is a fault of the graph; a registry that can't be reached is the host's failure.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// let test = container("test", "rust:1").shell(["cd app", "cargo test"]).user("1000").test_report("reports/*.xml");
/// let static_program = container("hello", "scratch-image:1").argv(["/hello", "world"]);
/// ```
pub fn container(id: impl Into<String>, image: impl Into<String>) -> ContainerJob {
    let container = Container { image: Some(image.into()), ..Container::default() };
    ContainerJob { common: Common::new(id), container }
}

/// A container job whose image is not known before its turn comes: the closure sets it. See [`Refine`].
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// let scan = late_container("scan", |job, context| {
///     let image = context.look_up("package")?.output("image").unwrap_or_default();
///     job.image(image).argv(["/scan", "--all"]);
///     Ok(())
/// })
/// .needs("package");
/// ```
pub fn late_container(
    id: impl Into<String>,
    complete: impl Fn(&mut Refine, &Context) -> Result<()> + 'static,
) -> ContainerJob {
    ContainerJob { common: Common::new(id), container: Container::default() }.refine(complete)
}

impl ContainerJob {
    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    fn ending_mut(&mut self) -> &mut Ending {
        &mut self.common.ending
    }

    fn container_mut(&mut self) -> &mut Container {
        &mut self.container
    }

    /// Before the commands run, restores the artifact `id` below the directory `path`, at the path it was saved from. This
    /// job then needs the one that saves it.
    ///
    /// Both paths are relative to the working directory of their job. So with `"."`, what one job saved from `target/app` is at
    /// `target/app` of this job's own working directory; where the two work in different directories, or the file is wanted
    /// elsewhere, use [`restore_artifact_as`](Self::restore_artifact_as).
    pub fn restore_artifact(mut self, id: impl Into<String>, path: impl Into<String>) -> Self {
        self.container.restore.push(Restore::new(id, path));
        self
    }

    /// Before the commands run, restores the artifact `id` at `path`, wherever it was saved from: the content of a directory that
    /// was saved is in `path` then, and a file that was saved has this path. This job then needs the one that saves it.
    ///
    /// ```
    /// # use monkeyci_sdk::prelude::*;
    /// let build = container("build", "maven:3").shell(["mvn package"]).save_artifact("jar", "cli/target/cli.jar");
    /// let test = container("test", "debian:12")
    ///     .work_dir("cli")
    ///     .restore_artifact_as("jar", "target/cli.jar")
    ///     .shell(["./smoke-test target/cli.jar"]);
    /// ```
    pub fn restore_artifact_as(mut self, id: impl Into<String>, path: impl Into<String>) -> Self {
        self.container.restore.push(Restore { at_path: true, ..Restore::new(id, path) });
        self
    }

    /// Sets an environment variable to the output `output` of `job`, which this one then needs.
    ///
    /// A container job exposes outputs with lines `name=value` in the file that `$MONKEYCI_OUTPUTS` names, an action with
    /// [`Context::output`]. A value of several lines stands between `name<<END` and a line `END`, and keeps the line ends inside of it.
    /// The names `monkeyci.message`, `monkeyci.warning`, `monkeyci.coverage` and `monkeyci.link.TITLE` say something of the job itself.
    /// Where a line is of another form, no output of the job counts, and it ends as a warning.
    pub fn output_env(mut self, name: impl Into<String>, job: impl JobRef, output: impl Into<String>) -> Self {
        let job = job.id().to_owned();
        self.container.variables.push(Variable::Output { name: name.into(), job, output: output.into() });
        self
    }
}

/// The setters of what a container job runs that work in `refine`, too.
macro_rules! container_setters {
    ($by:ident, $type:ty) => {
        $by! {
            $type, container_mut;

            /// The program to run and its arguments, with no shell between: the image needs none.
            fn argv<Kind>(job, argv: impl Lines<Kind>) {
                job.argv = Some(argv.into_lines());
            }

            /// Lines for the shell, one shell for all; the first line that fails ends the job. A line fails with the first
            /// command in it that fails, also one of several lines: each begins under `set -e`. One that says `set +e` has,
            /// itself alone, the status of its last command. Adds to the lines that were given before.
            fn shell<Kind>(job, lines: impl Lines<Kind>) {
                job.shell.get_or_insert_default().extend(lines.into_lines());
            }

            /// Lines for the shell, before those that were given until now. Good for [hooks](crate::hooks); does nothing to a
            /// job with `argv`.
            fn shell_first<Kind>(job, lines: impl Lines<Kind>) {
                if job.argv.is_none() {
                    job.shell.get_or_insert_default().splice(0..0, lines.into_lines());
                }
            }

            /// The shell for the lines and its arguments, `["/bin/bash", "-u"]` say: a POSIX shell. Without it: the image's
            /// `/bin/sh`. Where it names `bash`, a pipe fails when any of its commands does.
            fn shell_program<Kind>(job, argv: impl Lines<Kind>) {
                job.shell_program = Some(argv.into_lines());
            }

            /// Each line runs in a shell of its own, so that none sees variables or the directory of the one before.
            fn shell_each(job) {
                job.shell_each = true;
            }

            /// The user that the commands run as, `name`, `uid` or `uid:gid`. Without it: what the image says.
            fn user(job, user: impl Into<String>) {
                job.user = Some(user.into());
            }

            /// The processor architecture of the image, `amd64` or `arm64` say. Without it: the engine's own.
            fn architecture(job, name: impl Into<String>) {
                job.architecture = Some(name.into());
            }

            /// Job and services reach each other and nothing else: no internet. Without it: the internet, but neither private
            /// networks, nor the machine that they run on, nor other jobs.
            fn network_none(job) {
                job.network_none = true;
            }

            /// Lets job and services reach this beside: an address, a range of addresses or a host name (looked up once,
            /// when the job starts), each with or without a port: `10.1.2.3:5432`, `10.0.0.0/8`, `db.example.org:5432`. What
            /// is in a private network has to be permitted by whoever runs the host, or the job fails. May be called more
            /// than once.
            fn allow(job, destination: impl Into<String>) {
                job.allow.push(destination.into());
            }

            /// Sets an environment variable.
            fn env(job, name: impl Into<String>, value: impl Into<String>) {
                job.variables.push(Variable::Value { name: name.into(), value: value.into() });
            }

            /// Sets an environment variable to a secret, which the script does not get to see.
            fn secret_env(job, name: impl Into<String>, secret: &Secret) {
                job.variables.push(Variable::Secret { name: name.into(), secret: secret.clone() });
            }

            /// Puts a secret into a file that only the job's user can read, and sets the environment variable `name` to the
            /// file's path.
            fn secret_file(job, name: impl Into<String>, secret: &Secret) {
                job.variables.push(Variable::SecretFile { name: name.into(), secret: secret.clone() });
            }

            /// Puts the value of the parameter `param` into a file, and sets the environment variable `name` to its path.
            fn param_file(job, name: impl Into<String>, param: impl Into<String>) {
                job.variables.push(Variable::ParamFile { name: name.into(), param: param.into() });
            }

            /// The JUnit XML files that match this [glob](crate::Changes#globs) (relative to the working directory) are the
            /// job's test report. They are read when the commands have ended, also when they failed. A job that succeeds ends as a
            /// warning when no file matches, or one can't be read.
            fn test_report(job, glob: impl Into<String>) {
                job.test_reports.push(glob.into());
            }

            /// The working directory, relative to the workspace. Without it: the workspace.
            fn work_dir(job, path: impl Into<String>) {
                job.work_dir = Some(path.into());
            }

            /// The most memory that the job's container may use, in bytes.
            fn memory(job, bytes: u64) {
                job.memory = Some(bytes);
            }

            /// The most processor time that the job's container may use, in thousandths of a core.
            fn cpu(job, millicores: u32) {
                job.cpu = Some(millicores);
            }

            /// The size of `/dev/shm` in bytes: browsers and databases want more than the engine's own, mostly 64 MiB. What is
            /// in it counts as the job's memory.
            fn shm_size(job, bytes: u64) {
                job.shm = Some(bytes);
            }

            /// When the images of the job and its services are pulled. Without it: [`PullPolicy::Missing`].
            fn pull(job, policy: PullPolicy) {
                job.pull = Some(policy);
            }

            /// Runs the image's entrypoint, with the job's command as its arguments. Without it, the entrypoint is not run.
            fn entrypoint_of_image(job) {
                job.entrypoint_of_image = true;
            }

            /// Gives the job `.git`: the history, branches and tags of the code as far as they are known, for `git describe` and the
            /// like. There is no login in its configuration. The job fails where the code is in no git repository.
            fn with_git(job) {
                job.with_git = true;
            }

            /// When the commands have succeeded, saves the file or directory `path` (relative to the working directory) as
            /// the build's artifact `id`.
            fn save_artifact(job, id: impl Into<String>, path: impl Into<String>) {
                job.save.push(crate::artifact(id, path));
            }

            /// Saves an artifact of which there is [more to say](crate::artifact).
            fn save(job, artifact: impl Into<SavedArtifact>) {
                job.save.push(artifact.into());
            }

            /// Like `restore_artifact`, but only if the artifact is there when the job starts; this job does not need the
            /// one that saves it.
            fn restore_artifact_if_there(job, id: impl Into<String>, path: impl Into<String>) {
                job.restore.push(Restore { if_there: true, ..Restore::new(id, path) });
            }

            /// Like `restore_artifact_as`, but only if the artifact is there when the job starts; this job does not need the
            /// one that saves it.
            fn restore_artifact_as_if_there(job, id: impl Into<String>, path: impl Into<String>) {
                job.restore.push(Restore { at_path: true, if_there: true, ..Restore::new(id, path) });
            }

            /// Keeps `path` (relative to the working directory) from one build of the repository to the next.
            fn cache(job, id: impl Into<String>, path: impl Into<String>) {
                job.caches.push(crate::cache(id, path));
            }

            /// Keeps a cache of which there is [more to say](crate::cache).
            fn keep(job, cache: impl Into<Cache>) {
                job.caches.push(cache.into());
            }

            /// A service that lives beside the job.
            fn service(job, service: Service) {
                job.services.push(service);
            }
        }
    };
}

pub(crate) use container_setters;

graph_setters!(by_value, ContainerJob);
ending_setters!(by_value, ContainerJob);
container_setters!(by_value, ContainerJob);
