//! Builds that are replayed, written into bundles, and read from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use monkeyci_build::Requested;
use monkeyci_storage::JournalError;
use monkeyci_storage::journal::{self, History};
use monkeyci_storage::names;
use tokio_util::task::AbortOnDropHandle;

use super::Host;
use super::plan::at_once;
use crate::bundle::{Bundle, BundleError};
use crate::error::ControllerError;
use crate::jobs;
use crate::replay::{self, RecordedBuild, Replay, ReplayError, ReplayOptions};
use crate::running::{Digests, ResumeError};

/// What has become of a bundle that was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// The build's id.
    pub build: String,
    /// Whether the home had it already.
    pub was_there: bool,
}

/// Why a build is not exported, imported or replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundlingError {
    /// There is no such build.
    #[error("the host's home knows no build {build:?}; `monkeyci-host list` has those that it knows")]
    NoBuild {
        /// What was asked for.
        build: String,
    },
    /// The end of its journal is lost.
    #[error("{missing} records at the end of the journal of {build} are missing")]
    Cut {
        /// The build.
        build: String,
        /// How many.
        missing: u64,
    },
    /// The script can't be had.
    #[error("{0}")]
    Script(String),
    /// The home has another build of this id.
    #[error("the home has another build {build} already: a bundle replaces none; give it to another home with --home")]
    Taken {
        /// The build.
        build: String,
    },
    /// The build is not over: whoever found it in a home would go on with it.
    #[error(
        "the build {build} was not over when it was exported, and only one that is over is taken into a home; `replay` reads it from its file"
    )]
    NotOver {
        /// The build.
        build: String,
    },
    /// The bundle is no good.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// There is nothing to replay, or the script is no good.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The host failed.
    #[error(transparent)]
    Host(#[from] ControllerError),
}

impl Host {
    /// A build of this home, to be replayed.
    ///
    /// # Errors
    /// When there is none, or its journal does not say enough.
    pub async fn recorded(&self, build: &str) -> Result<RecordedBuild, BundlingError> {
        let history = self.history_of(build).await?;
        let mut recorded = self.at_home(RecordedBuild::of(&history.events)?)?;
        self.find_values(&mut recorded, &history.events, false).await;
        Ok(recorded)
    }

    /// With the key of its digests, if that is this home's.
    fn at_home(&self, mut recorded: RecordedBuild) -> Result<RecordedBuild, ControllerError> {
        if recorded.key.is_none() {
            // A build that was imported has had another home's.
            let is_its =
                |key: &String| Digests { key, build: recorded.build() }.key_name() == recorded.requested.key_name;
            recorded.key = self.0.home.known_digest_key()?.filter(is_its);
        }
        Ok(recorded)
    }

    /// The script that a build of this home had.
    ///
    /// # Errors
    /// When the store does not have it.
    pub async fn recorded_script(&self, recorded: &RecordedBuild) -> Result<Bytes, BundlingError> {
        self.script_of(recorded.build(), recorded.script_digest()).await
    }

    /// Replays a build with a script: the one that it had, or another one. Nothing is done, and nobody is asked.
    ///
    /// # Errors
    /// When there is nothing to compare with, or the script can't be loaded. What a script does otherwise is no error.
    pub async fn replay(
        &self,
        recorded: &RecordedBuild,
        script: Bytes,
        options: &ReplayOptions,
    ) -> Result<Replay, BundlingError> {
        let script = self.0.services.runtime.load_in_background(script).await.map_err(ReplayError::from)?;
        Ok(replay::replay(script, recorded, options).await?)
    }

    /// Replays builds of this home with one script, which is loaded once: what comes of each, in their order.
    ///
    /// # Errors
    /// When the script can't be loaded. Of each build, as of [`recorded`](Self::recorded) and [`replay`](Self::replay).
    pub async fn replays(
        &self,
        builds: &[String],
        script: Bytes,
        options: ReplayOptions,
    ) -> Result<Vec<Result<Replay, BundlingError>>, BundlingError> {
        let script = self.0.services.runtime.load_in_background(script).await.map_err(ReplayError::from)?;
        let options = Arc::new(options);
        let replays = stream::iter(builds.iter().cloned()).map(|build| {
            let (host, script, options) = (self.clone(), script.for_another_build(), options.clone());
            // On a thread of its own; stopped with whoever waits for it.
            let replaying = AbortOnDropHandle::new(tokio::spawn(async move {
                let recorded = host.recorded(&build).await?;
                Ok(replay::replay(script, &recorded, &options).await?)
            }));
            async { replaying.await.unwrap_or_else(|error| Err(ControllerError::Panic(error.to_string()).into())) }
        });
        Ok(replays.buffered(at_once()).collect().await)
    }

    /// A build of this home, to be carried elsewhere.
    ///
    /// # Errors
    /// When there is none, or its script is gone.
    pub async fn export(&self, build: &str) -> Result<Bundle, BundlingError> {
        let history = self.history_of(build).await?;
        let digest = Requested::of(&history.events).map(|requested| requested.script.clone());
        let older = || {
            BundlingError::Script(format!(
                "the journal of {build} does not say which script it had: an older host wrote it"
            ))
        };
        let script = self.script_of(build, &digest.ok_or_else(older)?).await?;
        let mut stream = Vec::new();
        journal::export(self.0.journals.database(), build, &mut stream).await.map_err(ControllerError::from)?;
        let mut values = BTreeMap::new();
        // One whose script has not declared its jobs has nothing to replay, and can be looked at elsewhere all the same.
        if let Ok(recorded) = RecordedBuild::of(&history.events) {
            let mut recorded = self.at_home(recorded)?;
            self.find_values(&mut recorded, &history.events, true).await;
            values = recorded.values;
        }
        Ok(Bundle::new(stream.into(), script, values)?)
    }

    /// Takes the build of a bundle into this home, for whoever looks at builds. Its logs and artifacts are not in a bundle.
    ///
    /// # Errors
    /// When it is not over, or the home has another build of that id; nothing has changed then.
    pub async fn import(&self, bundle: &Bundle) -> Result<Imported, BundlingError> {
        let build = bundle.build().to_owned();
        if !bundle.is_over() {
            return Err(BundlingError::NotOver { build });
        }
        let there = self.0.journals.history(&build).await.map_err(ControllerError::from)?;
        let was_there = there.is_some();
        if there.is_some_and(|there| there.events != bundle.events()) {
            return Err(BundlingError::Taken { build });
        }
        let script = bundle.script();
        let name = names::script(&monkeyci_storage::journal::Digest::of(&script).to_string());
        let blobs = &self.0.services.blobs;
        if !blobs.has(&name).await.map_err(ControllerError::from)? {
            blobs.put_whole(&name, script.into()).await.map_err(ControllerError::from)?;
        }
        if was_there {
            return Ok(Imported { build, was_there });
        }
        let mut journal = self.0.journals.begin(&build);
        // All at once: half a build would be one that has lost its host, and somebody would go on with it.
        let all = bundle.events().iter().map(|event| (event.time_ms, event.body.clone()));
        journal.append_all(all).map_err(ControllerError::from)?;
        match journal.durable().wait(journal.last()).await {
            Ok(()) => Ok(Imported { build, was_there }),
            // Somebody was faster.
            Err(JournalError::Fenced { .. }) => {
                let there = self.0.journals.history(&build).await.map_err(ControllerError::from)?;
                match there.is_some_and(|there| there.events == bundle.events()) {
                    true => Ok(Imported { build, was_there: true }),
                    false => Err(BundlingError::Taken { build }),
                }
            }
            Err(error) => Err(ControllerError::from(error).into()),
        }
    }

    async fn history_of(&self, build: &str) -> Result<History, BundlingError> {
        let history = self.0.journals.history(build).await.map_err(ControllerError::from)?;
        let history = history.ok_or_else(|| BundlingError::NoBuild { build: build.to_owned() })?;
        match history.missing() {
            0 => Ok(history),
            missing => Err(BundlingError::Cut { build: build.to_owned(), missing }),
        }
    }

    async fn script_of(&self, build: &str, digest: &str) -> Result<Bytes, BundlingError> {
        let script = jobs::script(&self.0.services.blobs, build, digest).await;
        script.map_err(|error| match error {
            ResumeError::Host(error) => error.into(),
            ResumeError::NotEnough { build, reason } | ResumeError::Changed { build, reason } => {
                BundlingError::Script(format!("the script of {build} can't be had: {reason}; name one with --script"))
            }
            error => BundlingError::Script(error.to_string()),
        })
    }
}
