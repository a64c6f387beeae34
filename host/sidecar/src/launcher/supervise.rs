//! Watches a running job to its end: output, signals, the sidecar, the processes.

use std::io::{ErrorKind, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use monkeyci_api::{LogStream, MAX_LOG_FRAME};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitStatus, kill_process_group};

use super::holding::{At, Holding, let_shell_go_on};
use super::link::Link;
use super::memory::Score;
use super::script::Marks;
use super::signals::{self, Signals};
use super::spawn::{Job, Lines};
use super::{LauncherError, processes};
use crate::protocol::{Failure, FromLauncher, HeldAt, ProcessEnd, ProtocolError, ToLauncher};

/// How long killed processes may take to be gone. Longer takes only one that hangs inside the kernel, on a dead network
/// disk say; the job does not wait for it.
pub(super) const REST_LIMIT: Duration = Duration::from_secs(5);

/// How the main process ended and the shell line that ran last; or why the next line's shell could not be started.
pub(super) type Ended = Result<(ProcessEnd, Option<u32>), Failure>;

/// Runs the loop until the job's main process has ended (the last of them, where each line has its own), everything else is
/// dead, and all output is on its way. A job that was told to stop has all of its processes told, and is waited for until the
/// last of them has ended: a tool may have to clean up, and its shell dies at once. Who stops it kills the container in the end,
/// else it is `stop_limit` that ends it.
pub(super) fn run(
    job: Job,
    holding: Holding<'_>,
    link: &mut Link,
    signals: &Signals,
    score: &mut Score,
    stop_limit: Duration,
) -> Result<Ended, LauncherError> {
    let mut watch = Watch {
        pid: job.pid,
        ended: None,
        rest_dead: false,
        outputs: [Output::new(LogStream::Stdout, job.stdout), Output::new(LogStream::Stderr, job.stderr)],
        marks_pipe: job.marks,
        marks: Marks::default(),
        holds: job.holds,
        holding,
        lines: job.lines,
        stopped: None,
        stop_limit,
        killed: None,
        failure: None,
        buffer: vec![0; MAX_LOG_FRAME],
    };
    while !watch.is_over() {
        watch.sleep(link, signals)?;
        watch.attend(link, signals, score)?;
    }
    watch.read_marks();
    Ok(watch.end())
}

fn process_end(status: WaitStatus) -> ProcessEnd {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ProcessEnd::Code(code),
        (None, signal) => ProcessEnd::Signal(signal.unwrap_or(0)),
    }
}

fn succeeded(status: WaitStatus) -> bool {
    status.exit_status() == Some(0)
}

/// One of the job's two output pipes.
struct Output {
    stream: LogStream,
    /// None once it is read to the end.
    pipe: Option<PipeReader>,
}

impl Output {
    fn new(stream: LogStream, pipe: PipeReader) -> Self {
        Self { stream, pipe: Some(pipe) }
    }
}

struct Watch<'a> {
    pid: Pid,
    ended: Option<(WaitStatus, Instant)>,
    /// No process of the job is left.
    rest_dead: bool,
    outputs: [Output; 2],
    marks_pipe: Option<PipeReader>,
    marks: Marks,
    /// What a shell reads that is held.
    holds: Option<PipeWriter>,
    holding: Holding<'a>,
    lines: Lines,
    /// A signal to stop that was passed on: no more lines are started.
    stopped: Option<i32>,
    /// How long the rest of a stopped job may take.
    stop_limit: Duration,
    /// Since when what is left is killed.
    killed: Option<Instant>,
    failure: Option<Failure>,
    buffer: Vec<u8>,
}

impl Watch<'_> {
    fn end(self) -> Ended {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let end = match (self.ended, self.stopped) {
            // A line that took the signal well does not make a job that has done all its lines.
            (Some((status, _)), Some(signal)) if self.lines.are_left() && succeeded(status) => {
                ProcessEnd::Signal(signal)
            }
            (Some((status, _)), _) => process_end(status),
            (None, _) => ProcessEnd::Code(0), // not reached: `is_over` wants an end
        };
        Ok((end, self.lines.number().or(self.marks.line())))
    }

    fn is_over(&self) -> bool {
        self.nobody_writes() && self.outputs.iter().all(|output| output.pipe.is_none())
    }

    /// Whether the job has ended and nothing is left that could write: then a pipe that is empty is read to the end, even if
    /// somebody holds it open.
    fn nobody_writes(&self) -> bool {
        self.killed.is_some_and(|at| self.rest_dead || at.elapsed() >= REST_LIMIT)
    }

    /// Waits until there is something to do.
    fn sleep(&self, link: &Link, signals: &Signals) -> Result<(), LauncherError> {
        let mut fds = vec![PollFd::new(signals, PollFlags::IN), PollFd::new(link, link.interest())];
        let room = link.has_room();
        // The marks' pipe outlives the shell in whatever it left behind; after its end there is nothing new in it.
        let marks = self.marks_pipe.as_ref().filter(|_| self.ended.is_none());
        let outputs = self.outputs.iter().filter_map(|output| output.pipe.as_ref()).filter(|_| room);
        fds.extend(outputs.chain(marks).map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
        let timeout = match (self.ended, self.killed) {
            (_, Some(_)) if self.nobody_writes() && room => Some(Duration::ZERO),
            (_, Some(_)) if self.nobody_writes() => None,
            (_, Some(at)) => Some(REST_LIMIT.saturating_sub(at.elapsed())),
            (Some((_, at)), None) => Some(self.stop_limit.saturating_sub(at.elapsed())),
            (None, None) => None,
        };
        let timeout = timeout.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: t.subsec_nanos().into() });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(LauncherError::system("wait")(error)),
        }
    }

    /// Does all that can be done without waiting.
    fn attend(&mut self, link: &mut Link, signals: &Signals, score: &mut Score) -> Result<(), LauncherError> {
        while let Some(signal) = signals.next() {
            if signal != signals::CHILD
                && self.ended.is_none()
                && let Some(signal) = Signal::from_named_raw(signal)
            {
                if signals::ends(signal.as_raw()) {
                    self.stopped = Some(signal.as_raw());
                }
                // An error says that the group is already gone.
                let _ = kill_process_group(self.pid, signal);
            }
        }
        // The order matters: whoever is dead by now has written all it ever will, and that is read below.
        self.bury(link, score)?;
        match link.receive()? {
            Some(ToLauncher::Continue) => {
                self.go_on(score);
                self.bury(link, score)?;
            }
            Some(message) => return Err(ProtocolError::OutOfOrder(format!("{message:?}")).into()),
            None => {}
        }
        self.read_marks();
        self.hold_inside(link)?;
        self.read_outputs(link)?;
        link.flush()
    }

    /// Reaps the dead, starts the next line, and once the job has ended kills the rest; of a job that was told to stop, when
    /// the rest has had its time.
    fn bury(&mut self, link: &mut Link, score: &mut Score) -> Result<(), LauncherError> {
        if self.stopped.is_some() {
            // Nobody looks into it any more.
            self.go_on(score);
        }
        // Of one whose main process has ended, another may have the number.
        let mut reaped = processes::reap(Some(self.pid).filter(|_| !self.holding.has_ended()));
        if let (None, Some(status)) = (self.ended, reaped.wanted)
            && !self.is_held(status, link)?
            && !self.goes_on(status, score)
        {
            self.ends(status);
        }
        let Some((_, at)) = self.ended else { return Ok(()) };
        let may_clean_up = self.stopped.is_some() && !reaped.none_left && at.elapsed() < self.stop_limit;
        if self.killed.is_none() && !may_clean_up {
            self.killed = Some(Instant::now());
            // At least once: what an engine has started in the container is not our child, and is not seen below.
            processes::kill_all();
            reaped = processes::reap(None);
        }
        if self.killed.is_some() {
            self.rest_dead = reaped.none_left;
            if !self.rest_dead {
                processes::kill_all();
            }
        }
        Ok(())
    }

    /// The main process has ended, and with it the job.
    fn ends(&mut self, status: WaitStatus) {
        self.ended = Some((status, Instant::now()));
        if self.stopped.is_some() {
            // The others of the main process's group have had the signal with it. To hear it twice means more to many.
            processes::terminate_all_but(self.pid);
        }
    }

    /// Whether the job is held after its main process, or a line, has ended so.
    fn is_held(&mut self, status: WaitStatus, link: &mut Link) -> Result<bool, LauncherError> {
        self.holding.let_go();
        if self.stopped.is_some() {
            return Ok(false);
        }
        let (held, at) = if succeeded(status) {
            // A shell that runs all lines waits by itself.
            let Some(line) = self.lines.next().filter(|line| self.holding.before(*line)) else { return Ok(false) };
            (HeldAt::Before { line }, At::Between(status))
        } else {
            if !self.holding.on_failure() {
                return Ok(false);
            }
            self.read_marks();
            let (end, oom_kills) = (process_end(status), self.holding.oom_kills());
            (HeldAt::Failure { end, line: self.lines.number().or(self.marks.line()), oom_kills }, At::Failure(status))
        };
        self.holding.hold(at);
        link.send(&FromLauncher::Held(held))?;
        Ok(true)
    }

    /// Holds a job whose shell waits from now on; one that was told to stop goes on at once. What is held already is held once: the job
    /// can write to the marks' pipe as well, and says no more of it than whoever lets it go on.
    fn hold_inside(&mut self, link: &mut Link) -> Result<(), LauncherError> {
        let Some(line) = self.marks.begun_wait().filter(|line| self.holding.before(*line)) else { return Ok(()) };
        if self.stopped.is_some() {
            let_shell_go_on(&mut self.holds);
        } else if self.ended.is_none() && !self.holding.is_held() {
            self.holding.hold(At::Inside);
            link.send(&FromLauncher::Held(HeldAt::Before { line }))?;
        }
        Ok(())
    }

    /// A job that is held goes on.
    fn go_on(&mut self, score: &mut Score) {
        match self.holding.let_go() {
            Some(At::Failure(status)) => self.ends(status),
            Some(At::Between(status)) if !self.goes_on(status, score) => self.ends(status),
            Some(At::Between(_)) | None => {}
            Some(At::Inside) => let_shell_go_on(&mut self.holds),
        }
    }

    /// Whether a line has succeeded and the next one runs now. What the line has left in the background stays for it.
    fn goes_on(&mut self, status: WaitStatus, score: &mut Score) -> bool {
        if !succeeded(status) || self.stopped.is_some() {
            return false;
        }
        match self.lines.start_next(score) {
            Ok(Some(pid)) => {
                self.pid = pid;
                true
            }
            Ok(None) => false,
            Err(failure) => {
                self.failure = Some(failure);
                false
            }
        }
    }

    fn read_outputs(&mut self, link: &mut Link) -> Result<(), LauncherError> {
        let nobody_writes = self.nobody_writes();
        for output in &mut self.outputs {
            let Some(pipe) = &mut output.pipe else { continue };
            if !link.has_room() {
                continue;
            }
            match pipe.read(&mut self.buffer) {
                Ok(0) => output.pipe = None,
                Ok(n) => link.send_output(output.stream, &self.buffer[..n])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock && nobody_writes => output.pipe = None,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => output.pipe = None,
            }
        }
        Ok(())
    }

    fn read_marks(&mut self) {
        let Some(pipe) = &mut self.marks_pipe else { return };
        // As much as a pipe holds, and no more: a job that floods its descriptors must not keep us here.
        let mut chunk = [0; 1024];
        for _ in 0..64 {
            match pipe.read(&mut chunk) {
                Ok(0) => {
                    self.marks_pipe = None;
                    return;
                }
                Ok(n) => self.marks.push(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}
