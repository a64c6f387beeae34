//! Launcher and sidecar: the two processes that run a container job.
//!
//! One static binary, two roles. The **launcher** is PID 1 of the job's container: it runs the command and streams its
//! output. The **sidecar** runs in a container beside it and talks to the build API: it restores the workspace, caches and
//! artifacts, passes the output on, saves artifacts and caches, and reports how the job ended. The job's container sees
//! neither the build API nor a token.
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
//!    │                                           │   workspace → caches → artifacts; probes services
//!    │ ◀─────────────── Go{command, work_dir}    │   says "running" to the build API first
//!    │ stdout, stderr frames ──────────────────▶ │   streams them on, live
//!    │ Exited{..} or Failed{..} ───────────────▶ │   last frame of the launcher
//!    │                                           │   saves artifacts → caches; reports the ending
//!    │ ◀──────────────────────────────── Bye     │
//!    ╵ exits as the job did                      ╵ exits 0
//! ```
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
//! | launcher | after `Hello`, before `Exited` or `Failed` | the sidecar reports [`monkeyci_api::SidecarReport::LauncherGone`]; the engine knows how it died |
//! | launcher | after `Exited` or `Failed` | nothing: all that the sidecar needs is in the volume |
//! | build API | any time | the sidecar can't report, exits 1, the launcher ends as above |
//!
//! **The end of a job** is the end of its main process. What it leaves behind is killed, its output is read to the end, then
//! `Exited` follows. So a daemon that holds standard output open can't keep a job from ending, and files don't change any more
//! when they are saved.
//!
//! **Exit codes of the launcher**: the command's own; 128 + n after signal n; 127 command not found; 126 not executable;
//! 125 for what is the launcher's or sidecar's doing.
#![deny(missing_docs)]

pub mod launcher;
pub mod protocol;
pub mod sidecar;
