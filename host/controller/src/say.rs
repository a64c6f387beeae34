//! What the host itself has to say, in the log of the job that it is about.

use monkeyci_engines::Engine;

use crate::build::Run;
use crate::log_store::LogWriter;
use crate::masked_log::MaskedLog;
use crate::open_log::host_frame;

impl Run {
    /// Shows and stores a line, in the log of a job or (none) the script's own.
    pub(crate) async fn say(&self, job: Option<&str>, line: &str) {
        let _open = self.live.writing.token();
        let api = &self.controller.api;
        let mut stored = LogWriter::new(&api.blobs, &self.live, job, api.log_limits);
        let mut masked = MaskedLog::new(&self.live.masking);
        let frames = masked.push(host_frame(format!("{line}\n")));
        for frame in frames.into_iter().chain(masked.finish()) {
            self.live.observer.log(&self.live.id, job, &frame);
            stored.push(&frame).await;
        }
        if let Err(error) = stored.finish().await {
            tracing::warn!(%error, build = self.live.id, line, "the host's own words could not be stored");
        }
    }

    /// Says what the engine does not enforce, once in a build and before any of its containers runs.
    pub(crate) async fn say_not_enforced(&self, engine: &dyn Engine) {
        let say = || async {
            for hole in engine.not_enforced() {
                self.say(None, &format!("warning: {hole}")).await;
            }
        };
        self.said_not_enforced.get_or_init(say).await;
    }
}
