//! What the host itself has to say, in the log of the job that it is about.

use monkeyci_engines::Engine;

use super::JobContext;
use crate::logs::LogWriter;
use crate::logs::MaskedLog;
use crate::logs::followers::host_frame;

impl JobContext {
    /// Shows and stores a line, in the log of a job or (none) the script's own.
    pub(super) async fn say(&self, job: Option<&str>, line: &str) {
        let _open = self.live.writing.token();
        let services = &self.services;
        let mut stored = LogWriter::new(&services.blobs, &self.live.id, &self.live.logs, job, services.log_limits);
        let mut masked = MaskedLog::new(&self.live.masking);
        let frames = masked.push(host_frame(format!("{line}\n")));
        for frame in frames.into_iter().chain(masked.finish()) {
            self.live.observer.log(&self.live.id, job, &frame);
            stored.push(&frame);
        }
        if let Err(error) = stored.finish().await {
            tracing::warn!(%error, build = self.live.id, line, "the host's own words could not be stored");
        }
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
}
