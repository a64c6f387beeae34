//! Printing in a thread of its own: whoever reads may be slow or stand still, and the build has better things to do than wait.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monkeyci_api::LogFrame;
use monkeyci_build::Event;
use monkeyci_controller::{BuildReport, Observer};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::Display;

/// The most bytes of logs that wait to be printed: 4 MiB.
pub(super) const WAITING: usize = 4 << 20;
/// A reader that took nothing for so long stands still: logs go past it until it reads on.
pub(super) const STILL: Duration = Duration::from_secs(1);

/// A display that prints in a thread of its own.
///
/// Events and notes are never left out: there are not many. Of logs, so much waits as a fast reader needs. When there is more, the log
/// waits for a slow reader, but not for one that takes nothing at all; then a line says what is left out.
pub struct Queued {
    queue: Arc<Queue>,
    still: Duration,
}

enum Item {
    Event(String, Box<Event>),
    Log(String, Option<String>, LogFrame),
    Progress(String, String, String),
    Note(String),
    Summary(Box<BuildReport>),
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// Notified when something was put in, printed, or is no more to come.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    log_bytes: usize,
    /// How many items were printed.
    printed: u64,
    /// How many were put in.
    put_in: u64,
    /// Bytes of logs that were left out since the last line that said so.
    left_out: usize,
    /// Whether nobody puts anything in any more.
    closed: bool,
}

impl Queued {
    /// Prints what `inner` would.
    pub fn new(inner: Arc<dyn Display>) -> Arc<Self> {
        Self::with_patience(inner, STILL)
    }

    fn with_patience(inner: Arc<dyn Display>, still: Duration) -> Arc<Self> {
        let queue = Arc::new(Queue::default());
        let printing = queue.clone();
        let thread = std::thread::Builder::new().name("printing".to_owned()).spawn(move || print(&inner, &printing));
        if let Err(error) = thread {
            tracing::error!(%error, "there is no thread for printing, so nothing is printed");
            queue.close();
        }
        Arc::new(Self { queue, still })
    }

    fn put(&self, item: Item) {
        let mut state = self.queue.state();
        if !state.closed {
            state.put(item);
            self.queue.changed.notify_all();
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Queue {
    /// Nobody puts anything in any more, or nobody prints it.
    fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for more of a log; false when the reader stands still.
    fn has_room(&self, still: Duration) -> bool {
        let mut state = self.state();
        while state.log_bytes >= WAITING && !state.closed {
            let before = state.printed;
            let waited =
                self.changed.wait_timeout_while(state, still, |state| state.printed == before && !state.closed);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.printed == before && !state.closed {
                return false;
            }
        }
        true
    }
}

impl State {
    fn put(&mut self, item: Item) {
        if self.left_out > 0 {
            let bytes = std::mem::take(&mut self.left_out);
            let note =
                format!("{bytes} bytes of logs are not shown here: nobody read on; `monkeyci-host logs` shows them");
            self.items.push_back(Item::Note(note));
            self.put_in += 1;
        }
        self.items.push_back(item);
        self.put_in += 1;
    }
}

/// Prints what comes until nothing more can.
fn print(display: &Arc<dyn Display>, queue: &Queue) {
    /// Whoever waits for what is printed waits no longer, also when printing panics.
    struct Until<'a>(&'a Queue);
    impl Drop for Until<'_> {
        fn drop(&mut self) {
            self.0.close();
        }
    }
    let _until = Until(queue);
    let observer = display.clone().observer();
    loop {
        let mut state = queue.state();
        let item = loop {
            if let Some(item) = state.items.pop_front() {
                break item;
            }
            if state.closed {
                return;
            }
            state = queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        drop(state);
        let mut bytes = 0;
        match item {
            Item::Event(build, event) => observer.event(&build, &event),
            Item::Log(build, job, frame) => {
                bytes = frame.bytes.len();
                observer.log(&build, job.as_deref(), &frame);
            }
            Item::Progress(build, job, message) => observer.progress(&build, &job, &message),
            Item::Note(message) => display.note(&message),
            Item::Summary(report) => display.summary(&report),
        }
        let mut state = queue.state();
        state.log_bytes -= bytes;
        state.printed += 1;
        queue.changed.notify_all();
    }
}

impl Observer for Queued {
    fn event(&self, build: &str, event: &Event) {
        self.put(Item::Event(build.to_owned(), Box::new(event.clone())));
    }

    fn log(&self, build: &str, job: Option<&str>, frame: &LogFrame) {
        if self.queue.state().log_bytes >= WAITING {
            // Other tasks go on elsewhere while this one waits; where there is no elsewhere, nobody waits.
            let elsewhere =
                Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
            if !elsewhere || !tokio::task::block_in_place(|| self.queue.has_room(self.still)) {
                self.queue.state().left_out += frame.bytes.len();
                return;
            }
        }
        let mut state = self.queue.state();
        if !state.closed {
            state.log_bytes += frame.bytes.len();
            state.put(Item::Log(build.to_owned(), job.map(str::to_owned), frame.clone()));
            self.queue.changed.notify_all();
        }
    }

    fn progress(&self, build: &str, job: &str, message: &str) {
        self.put(Item::Progress(build.to_owned(), job.to_owned(), message.to_owned()));
    }
}

impl Display for Queued {
    fn observer(self: Arc<Self>) -> Arc<dyn Observer> {
        self
    }

    fn note(&self, message: &str) {
        self.put(Item::Note(message.to_owned()));
    }

    fn summary(&self, report: &BuildReport) {
        self.put(Item::Summary(Box::new(report.clone())));
        self.flush();
    }

    fn flush(&self) {
        let state = self.queue.state();
        if state.closed {
            return;
        }
        let all = state.put_in;
        let waited = self.queue.changed.wait_while(state, |state| state.printed < all && !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    use monkeyci_api::LogStream;
    use monkeyci_build::EventBody;

    /// A display that prints only as often as it is allowed to.
    struct Slow {
        allowed: Mutex<mpsc::Receiver<()>>,
        printed: Mutex<Vec<String>>,
    }

    impl Slow {
        fn print(&self, what: String) {
            // When nobody allows anything any more, it does not stand still any more either.
            let _ = self.allowed.lock().expect("no panic").recv();
            self.printed.lock().expect("no panic").push(what);
        }
    }

    impl Observer for Slow {
        fn event(&self, _: &str, event: &Event) {
            self.print(event.body.kind().to_owned());
        }

        fn log(&self, _: &str, _: Option<&str>, frame: &LogFrame) {
            self.print(format!("{} bytes", frame.bytes.len()));
        }
    }

    impl Display for Slow {
        fn observer(self: Arc<Self>) -> Arc<dyn Observer> {
            self
        }

        fn note(&self, message: &str) {
            self.print(message.to_owned());
        }

        fn summary(&self, _: &BuildReport) {}
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_reader_that_stands_still_holds_nobody_up_and_is_told_what_it_has_missed() {
        let (allow, allowed) = mpsc::channel();
        let slow = Arc::new(Slow { allowed: Mutex::new(allowed), printed: Mutex::default() });
        let queued = Queued::with_patience(slow.clone(), Duration::from_millis(1));
        let frame = LogFrame { stream: LogStream::Stdout, time_ms: 1, bytes: vec![b'x'; 1 << 20].into() };
        let logged = queued.clone();
        // On the runtime's only thread; what stands still here, stands still for ever.
        let logging = tokio::spawn(async move {
            for _ in 0..9 {
                logged.log("o/r/1", Some("a"), &frame);
            }
            let body = EventBody::CancelRequested { by: "ann".to_owned() };
            logged.event("o/r/1", &Event { seq: 1, time_ms: 1, body });
            logged.note("stopping the build");
        });
        logging.await.expect("it ends");
        assert_eq!(*slow.printed.lock().expect("no panic"), [""; 0], "nobody has read anything yet");
        drop(allow);
        tokio::task::block_in_place(|| queued.flush());
        let printed = slow.printed.lock().expect("no panic").clone();
        let missed = format!("{} bytes of logs are not shown here", 5 << 20);
        assert!(printed[4].starts_with(&missed), "{printed:?}");
        assert_eq!(
            (&printed[..4], &printed[5..]),
            (
                &[
                    "1048576 bytes".to_owned(),
                    "1048576 bytes".to_owned(),
                    "1048576 bytes".to_owned(),
                    "1048576 bytes".to_owned()
                ][..],
                &["build/cancel-requested".to_owned(), "stopping the build".to_owned()][..],
            )
        );
    }
}
