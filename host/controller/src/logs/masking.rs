//! Masking: no secret is shown by anything that a build says.

use std::borrow::Cow;

use monkeyci_build::{Ending, EventBody, JobSpec, Results, TestFailure};
use monkeyci_mask::{MaskError, MaskStream, Masks};

use crate::inputs::Inputs;

/// What to do instead of writing a secret into a job.
pub(crate) const USE_THE_HANDLE: &str = "hand it over with secret-env or secret-file, so that nobody sees it";

/// The secrets of a build, for taking them out of what it says.
#[derive(Clone, Debug)]
pub(crate) struct Masking {
    masks: Masks,
}

impl Masking {
    /// # Errors
    /// When there are too many secrets, or they are too large.
    pub(crate) fn new(inputs: &Inputs) -> Result<Self, MaskError> {
        let secrets = inputs.secrets.iter().map(|(name, value)| (name.as_str(), value.0.as_slice()));
        Ok(Self { masks: Masks::new(secrets)? })
    }

    /// The names of the secrets that are too short to be masked.
    pub(crate) fn unmaskable(&self) -> &[String] {
        self.masks.unmaskable()
    }

    /// For a stream of output.
    pub(crate) fn stream(&self) -> MaskStream {
        self.masks.stream()
    }

    /// The first of the jobs that has a secret in it. What a job is stands in the journal, and can't be masked there.
    pub(crate) fn job_with_secret<'a>(&self, jobs: &'a [JobSpec]) -> Option<&'a str> {
        let has = |job: &&JobSpec| {
            serde_json::to_vec(job).is_ok_and(|text| matches!(self.masks.mask_bytes(&text), Cow::Owned(_)))
        };
        jobs.iter().filter(|_| !self.masks.is_empty()).find(has).map(|job| job.id.as_str())
    }

    /// Bytes without secrets.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.masks.mask_bytes(bytes).into_owned()
    }

    fn owned(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.masks.mask(text) {
            *text = masked;
        }
    }

    /// An event whose words are without secrets. Ids, and what the jobs are, stay as they are: the state of the build is made
    /// of them.
    pub(crate) fn event(&self, mut body: EventBody) -> EventBody {
        if self.masks.is_empty() {
            return body;
        }
        match &mut body {
            EventBody::BuildFailed { message, .. }
            | EventBody::ScriptReport { message, .. }
            | EventBody::JobBlocked { message, .. } => self.owned(message),
            EventBody::ScriptEvent { name, payload, .. } | EventBody::OutsideEvent { name, payload, .. } => {
                self.owned(name);
                self.owned(payload);
            }
            EventBody::JobApproved { comment: Some(comment), .. } => self.owned(comment),
            EventBody::JobEnded { ending, .. } | EventBody::JobRetried { ending, .. } => self.ending(ending),
            EventBody::JobResults { results, .. } => self.results(results),
            _ => {}
        }
        body
    }

    fn results(&self, results: &mut Results) {
        results.message.iter_mut().chain(&mut results.warning).for_each(|text| self.owned(text));
        results.outputs.values_mut().for_each(|value| self.owned(value));
        for (title, url) in &mut results.links {
            self.owned(title);
            self.owned(url);
        }
        for TestFailure { name, message } in results.tests.iter_mut().flat_map(|tests| &mut tests.failures) {
            self.owned(name);
            self.owned(message);
        }
    }

    fn ending(&self, ending: &mut Ending) {
        match ending {
            Ending::Exited { line: Some(line), .. } | Ending::Signalled { line: Some(line), .. } => {
                self.owned(&mut line.text);
            }
            Ending::NotExecutable { reason: text, .. }
            | Ending::ImageNotFound { reason: text, .. }
            | Ending::PullDenied { reason: text, .. }
            | Ending::NoSuchArchitecture { reason: text, .. }
            | Ending::ValueMissing { reason: text, .. }
            | Ending::StartFailed { reason: text, .. }
            | Ending::ArtifactMissing { reason: text, .. }
            | Ending::ActionFailed { message: text }
            | Ending::ActionTrapped { message: text }
            | Ending::SidecarFailed { reason: text, .. }
            | Ending::DiskFull { reason: text, .. }
            | Ending::EngineFailed { reason: text }
            | Ending::EngineGone { reason: text }
            | Ending::Warned { message: text }
            | Ending::NotNeeded { reason: text }
            | Ending::Rejected { comment: Some(text), .. }
            | Ending::RefineFailed { message: text } => self.owned(text),
            Ending::ServiceNotReady { reason, last_lines, .. } => {
                self.owned(reason);
                self.owned(last_lines);
            }
            Ending::Tolerated { ending } => self.ending(ending),
            _ => {}
        }
    }
}
