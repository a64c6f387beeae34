//! What asks a command to stop: Ctrl-C, TERM, a closed terminal.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// Signals that stop a command.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Takes them from now on: they do not end the process any more.
    pub fn take() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }

    /// Ends the process so long after the next one, and at once when one more comes.
    pub async fn end_the_process(mut self, grace: Duration) {
        self.next().await;
        if !grace.is_zero() {
            // Whichever comes first.
            let _ = tokio::time::timeout(grace, self.next()).await;
        }
        std::process::exit(Exit::Interrupted as i32);
    }
}
