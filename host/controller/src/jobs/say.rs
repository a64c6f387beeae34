//! What the host itself has to say, in the log of the job that it is about.

use std::collections::BTreeSet;

use monkeyci_build::Status;
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

    /// The container jobs that ran when the host died and do not go on.
    pub(crate) fn lost(&self, go_on: &BTreeSet<String>) -> Vec<String> {
        let state = self.live.state();
        let lost = state.jobs().filter(|(spec, job)| {
            let ran = job.status == Status::Running && job.reported.is_none();
            ran && spec.container().is_some() && !go_on.contains(&spec.id)
        });
        lost.map(|(spec, _)| spec.id.clone()).collect()
    }

    /// Says in the log of such a job what it may lack.
    pub(crate) async fn say_lost(&self, job: &str) {
        self.say(Some(job), "--- the host died while this job ran: what it said last may be missing here ---").await;
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
