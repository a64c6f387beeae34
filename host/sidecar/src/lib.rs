//! Launcher and sidecar: the two processes that run a container job.
//!
//! One static binary, three roles. The **launcher** is PID 1 of the job's container: it runs the command and streams its
//! output. The **sidecar** runs in a container beside it and talks to the build API: it restores the workspace, caches and
//! artifacts, hands files and variables over, passes the output on, reports outputs and tests, saves artifacts and caches,
//! and reports how the job ended. The job's container sees neither the build API nor a token. The **guard** is what the job's
//! container and the services' begin as: it fences their network in, and becomes the launcher or the service; see [`guard`].
//!
//! # The protocol
//!
//! Both talk over a Unix stream socket in the volume that their containers share ([`monkeyci_api::paths::LAUNCHER_SOCKET`]). The sidecar
//! listens under another name and renames the socket to the final one, so whoever sees that name can connect; the
//! launcher learns of it by inotify. The sidecar takes the first connection and closes the listener.
//!
//! Two kinds of frames go over the connection, see [`protocol`]: control messages (JSON) and, from the launcher only,
//! output (exactly a [`monkeyci_api::LogFrame`]).
//!
//! ```text
//! launcher                                   sidecar
//!    │ Hello{version, uid, gid} ───────────────▶ │   compares versions; restores for this owner
//!    │                                           │   files → workspace → caches → artifacts; probes services
//!    │ ◀────────── Go{command, work_dir, env}    │   says "running" to the build API first
//!    │ stdout, stderr frames ──────────────────▶ │   streams them on, live
//!    │ Exited{..} or Failed{..} ───────────────▶ │   last frame of the launcher
//!    │                                           │   reports outputs → tests; saves artifacts → caches;
//!    │                                           │   reports the ending
//!    │ ◀──────────────────────────────── Bye     │
//!    ╵ exits as the job did                      ╵ exits 0
//! ```
//!
//! Archives of one kind, the artifacts for one, are on their way at once, up to three; those whose places lie in one another come one by
//! one.
//!
//! Where the job is to be **held** for a person to look into it (`Go` says where: at its failure, or before lines of its shell), the
//! launcher says `Held{..}` in the midst of the output and starts, kills and ends nothing more until the sidecar says `Continue`, or a signal
//! ends the job. The sidecar asks the build API meanwhile whether the job may go on.
//!
//! `Refuse{reason}` in place of `Go` ends it before it began: another version, a service that is never ready, a failure while
//! restoring.
//!
//! **Who may die when.** Either side sees the other's death as the end of the connection, at once:
//!
//! | who dies | when | what the other does |
//! | --- | --- | --- |
//! | sidecar | before the socket is there | the launcher waits; the engine, which sees the sidecar's exit, removes the pod |
//! | sidecar | after `Hello`, before `Bye` | the launcher kills every process of the job with SIGKILL, says why on stderr, exits 125 |
//! | launcher | before `Hello` | nothing to see for the sidecar; the engine sees the job container's exit |
//! | launcher | after `Hello`, before `Go` | the sidecar reports [`monkeyci_api::SidecarReport::LauncherGone`], and what it was preparing; the engine knows how it died |
//! | launcher | after `Go`, before `Exited` or `Failed` | the same, after it has saved and reported what it does of a job that failed |
//! | launcher | after `Exited` or `Failed` | nothing: all that the sidecar needs is in the volume |
//! | build API | any time | the job runs on, and the sidecar waits for another host; in vain it exits with [`monkeyci_api::WAITED_IN_VAIN`], and the launcher ends as above |
//!
//! **While the host is away** the log is held, up to 16 MiB, and every call is made again until somebody answers. So each call may come
//! twice, and does the same as if it had come once. Whoever answers hears first that the command runs, if it does: the host that was told so
//! may have died before it was on disk.
//!
//! **The end of a job** is the end of its main process. What it leaves behind is killed, its output is read to the end, then
//! `Exited` follows. So a daemon that holds standard output open can't keep a job from ending, and files don't change any more
//! when they are saved.
//!
//! **Stopping**: a signal that ends (TERM, INT, HUP, QUIT) goes to the main process and its group; when the main process has ended,
//! TERM goes to all others, and they have the time to clean up: until the last has ended, whoever stops the job kills the container,
//! or a minute is over.
//!
//! **Who may speak**: the job is the launcher's user, and must not be able to speak in its place. It can't look into the launcher,
//! nor open what that has open, its connection and the container's own output for example (the launcher is not "dumpable"; see the
//! module `launcher::privacy`). Of the launcher the sidecar takes output of the job, and nothing in the host's name. And the
//! controller compares the ending that is reported with the exit code of the job's container: where they differ, the job ends as
//! an error.
//!
//! **Shell lines** run in one shell, which writes to a pipe which line it is at; or each in a shell of its own, which the launcher
//! starts one after the other. Each begins under `set -e`. What a line leaves in the background then runs until the job ends. A job that got a signal to
//! stop starts no further line.
//!
//! **Exit codes of the launcher**: the command's own; 128 + n after signal n; 127 command not found; 126 not executable;
//! 125 for what is the launcher's or sidecar's doing.
//!
//! # What the job gets
//!
//! Variables on top of the container's come with `Go`, and are given to the job's processes alone: neither the engine nor whoever
//! may look at its containers sees a secret. Files are read-only in [`monkeyci_api::paths::JOB_FILES`], a directory that only the
//! job's user can enter; a variable holds each one's path. The variable [`monkeyci_api::paths::OUTPUTS_ENV`] holds the path of an
//! empty file that everybody in the job's container can write.
//!
//! # What is left of it
//!
//! When the command has ended, and nothing in the job's container runs any more, the sidecar goes through the following, whether
//! it ended well, badly, or by a signal since the job is being stopped. Whoever stops a job has to leave it the time.
//!
//! 1. **Outputs**: what is in their file, if it is at most 1 MiB. A file that is none any more (a link, a pipe, a directory),
//!    that is larger, or that the build API refuses, is a line in the log.
//! 2. **Tests**: each regular file that matches a glob, at most 1000 files and 16 MiB each. What is more, too large, or no test
//!    report, is a line in the log.
//! 3. **Artifacts**: all that a job that succeeded has promised; one that is not there is the job's failure. Of a job that failed,
//!    one way or another, those that are always saved; one that is not there is a line in the log.
//! 4. **Caches**, as their policy says. One that was found under its own key and looks as it did then is not saved again.
//!    Whatever goes wrong is a line in the log.
//!
//! All of it is hostile. The working directory is reached through a [`cap_std::fs::Dir`] that was opened before the job ran, so no
//! link leads out of it; what is not a regular file is never opened, or not waited for.
#![deny(missing_docs)]

pub mod guard;
pub mod launcher;
pub mod protocol;
pub mod sidecar;
