//! What a replay knows beside what is recorded: secrets that were given, large values, and the key of digests where it is at home.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use monkeyci_mask::MaskError;
use monkeyci_script::{Answers, Digests};

use super::{RecordedBuild, ReplayOptions};
use crate::inputs::Inputs;
use crate::logs::Masking;
use crate::running;

/// For the instances of one job.
struct OfJob {
    build: String,
    job: String,
    shared: Arc<Shared>,
}

/// What all instances of a replay know.
pub(super) struct Shared {
    key: Option<String>,
    values: BTreeMap<String, Bytes>,
    masking: Masking,
    /// The values of secrets, by the calls that read them.
    revealed: BTreeMap<String, Vec<u8>>,
}

impl Shared {
    pub(super) fn new(recorded: &RecordedBuild, options: &ReplayOptions) -> Result<Arc<Self>, MaskError> {
        let masking = Masking::new(&Inputs { secrets: options.secrets.clone(), ..Inputs::default() })?;
        let revealed = options.secrets.iter().map(|(name, value)| (reveal(name), value.0.clone())).collect();
        Ok(Arc::new(Self { key: recorded.key.clone(), values: recorded.values.clone(), masking, revealed }))
    }

    pub(super) fn of_job(self: &Arc<Self>, build: &str, job: &str) -> Arc<dyn Answers> {
        Arc::new(OfJob { build: build.to_owned(), job: job.to_owned(), shared: self.clone() })
    }

    pub(super) fn masking(&self) -> &Masking {
        &self.masking
    }
}

/// The call that reads the value of a secret, as it is recorded.
pub(super) fn reveal(name: &str) -> String {
    format!("secret.reveal({name:?})")
}

impl Digests for OfJob {
    fn digest(&self, bytes: &[u8]) -> String {
        let Some(key) = &self.shared.key else { return String::new() };
        running::Digests { key, build: &self.build }.of("told", &self.job, bytes)
    }

    fn has_secret(&self, bytes: &[u8]) -> bool {
        self.shared.masking.is_in(bytes)
    }

    fn masked(&self, text: &str) -> String {
        self.shared.masking.text(text)
    }
}

impl Answers for OfJob {
    fn has_key(&self) -> bool {
        self.shared.key.is_some()
    }

    fn answer(&self, request: &str, _: u64, digest: &str) -> Option<Vec<u8>> {
        let value = self.shared.values.get(digest).map(|value| value.to_vec());
        value.or_else(|| self.shared.revealed.get(request).cloned())
    }
}
