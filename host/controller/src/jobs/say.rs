//! What the host itself has to say, in the log of the job that it is about.

use monkeyci_engines::Engine;

use super::JobContext;
use crate::logs::LogIntake;
use crate::logs::followers::host_frame;

impl JobContext {
    /// Shows and stores a line, in the log of a job or (none) the script's own.
    pub(super) async fn say(&self, job: Option<&str>, line: &str) {
        let _open = self.live.writing.token();
        let services = &self.services;
        let mut log = LogIntake::new(self.live.log_of(job, &services.blobs, services.log_limits));
        log.push(host_frame(format!("{line}\n"))).await;
        // What it lacks is said, by whoever can.
        let _ = self.live.stored_log(job, log.finish().await).await;
    }

    /// Says what the engine does not enforce, once in a build and before any of its containers runs.
    pub(super) async fn say_not_enforced(&self, engine: &dyn Engine) {
        let say = || async {
            for hole in engine.not_enforced() {
                self.say(None, &format!("warning: {hole}")).await;
            }
        };
        self.said_not_enforced.get_or_init(say).await;
    }

    /// Whether that was said.
    pub(crate) fn has_said_not_enforced(&self) -> bool {
        self.said_not_enforced.initialized()
    }

    /// It was said before the build was parked.
    pub(crate) fn said_not_enforced_before(&self) {
        // Nobody says it before the build goes on.
        let _ = self.said_not_enforced.set(());
    }
}
