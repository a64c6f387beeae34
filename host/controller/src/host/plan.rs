//! Plans: what builds would do that do not run.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, stream};
use monkeyci_build::{Assumed, BuildState, Earlier, Plan};
use monkeyci_script::inspect;
use monkeyci_storage::names;
use tokio_util::task::AbortOnDropHandle;

use super::Host;
use super::drive::masking;
use crate::builds::{BuildsError, Standing, Wanted};
use crate::clock::now_ms;
use crate::error::ControllerError;
use crate::jobs::{self, CheckError};
use crate::observer::Silent;
use crate::running::{BuildHandle, BuildRequest};
use crate::source::{Checkout, SourceRequest};

impl Host {
    /// What the build of `request` would do: which jobs would run, in what order, and what hangs on results. The script is asked for its
    /// jobs, and where results are assumed for what late jobs and actions make of them; it reveals no secret and leaves nothing behind.
    /// Nothing runs, and nothing that it prints is shown.
    ///
    /// # Errors
    /// See [`CheckError`].
    pub async fn plan(&self, request: &BuildRequest, assumed: &Assumed) -> Result<Plan, CheckError> {
        let plans = self.plans(std::slice::from_ref(request), assumed).await?;
        plans.into_iter().next().unwrap_or_else(|| Err(CheckError::Failed("there is no plan".to_owned())))
    }

    /// Plans of several builds, which differ in their scripts, say, or in what is said of the code. The code is that of the first one, and
    /// is checked out once. All scripts see the same time, and the same random numbers.
    ///
    /// # Errors
    /// When the code can't be had. Of each build, see [`CheckError`].
    pub async fn plans(
        &self,
        requests: &[BuildRequest],
        assumed: &Assumed,
    ) -> Result<Vec<Result<Plan, CheckError>>, CheckError> {
        let Some(first) = requests.first() else { return Ok(Vec::new()) };
        let dir = tempfile::tempdir().map_err(|source| ControllerError::Home { path: std::env::temp_dir(), source })?;
        let checkout = first.source.clone().check_out_in_background(dir.path().join("checkout")).await;
        let masking = masking(first)?;
        let checkout = checkout.map_err(|error| CheckError::Source(masking.text(&error.to_string())))?;
        for warning in &checkout.warnings {
            tracing::warn!("{}", masking.text(warning));
        }
        let time_ms = now_ms();
        let at_once = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get();
        let plans = stream::iter(requests.iter().cloned().enumerate()).map(|(at, request)| {
            let (host, source, checkout, assumed) =
                (self.clone(), first.source.clone(), checkout.clone(), assumed.clone());
            let own = dir.path().join(at.to_string());
            // On a thread of its own; stopped with whoever waits for it.
            let planning = AbortOnDropHandle::new(tokio::spawn(async move {
                host.plan_of(&request, &source, (&checkout, &own), time_ms, &assumed).await
            }));
            async {
                planning.await.unwrap_or_else(|error| Err(CheckError::Failed(format!("no plan was made: {error}"))))
            }
        });
        Ok(plans.buffered(at_once).collect().await)
    }

    async fn plan_of(
        &self,
        request: &BuildRequest,
        source: &SourceRequest,
        (checkout, dir): (&Checkout, &Path),
        time_ms: u64,
        assumed: &Assumed,
    ) -> Result<Plan, CheckError> {
        let (org, repo) = source.org_and_repo();
        // What the script is told is the same each time: its random numbers come of it.
        let told = format!("{org}/{repo}/plan");
        let id = format!("{told}-{:08x}", rand::random::<u32>());
        let state = BuildState::new(NonZeroUsize::MIN);
        let mut inputs = request.inputs.clone();
        inputs.reveal.clear();
        let (live, inbox) = BuildHandle::new(&id, source, inputs, masking(request)?, Arc::new(Silent), state);
        self.0.api.register(live.clone());
        let planned = tokio::select! {
            planned = jobs::plan(&self.0.services, request, &live, (checkout, dir), (&told, time_ms), assumed) => planned,
            never = async {
                live.clone().take_in_all(inbox).await;
                std::future::pending().await
            } => never,
        };
        self.0.api.deregister(&id);
        // Nothing of a plan stays in the store.
        self.0.services.blobs.remove_below(&names::logs(&id)).await.map_err(ControllerError::from)?;
        planned
    }

    /// What the script's bytes say that it imports beyond what has no reach: its permissions, without the versions of interfaces.
    ///
    /// # Errors
    /// When the bytes are no component.
    pub fn imports(&self, script: &[u8]) -> Result<Vec<String>, CheckError> {
        let found = inspect(script, self.0.services.runtime.limits())?;
        let refused = found.refused.into_iter().map(|refused| refused.import);
        let own = found.imports.into_iter().filter(|import| import.starts_with("monkeyci:"));
        let without_version = |import: String| import.split('@').next().unwrap_or_default().to_owned();
        Ok(own.chain(refused).map(without_version).collect())
    }

    /// The results of the last build of this code's repository that had jobs and is over, and which build that is; `None` if the home has
    /// none.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub async fn last_results(&self, source: &SourceRequest) -> Result<Option<(String, Assumed)>, BuildsError> {
        let builds = self.builds();
        for build in self.last_builds(source, usize::MAX).await? {
            let events = builds.events_after(&build, 0).await?;
            let earlier = Earlier::of(&build, &events);
            if !earlier.jobs().is_empty() {
                return Ok(Some((build, Assumed::of_earlier(&earlier))));
            }
        }
        Ok(None)
    }

    /// The last builds of this code's repository that are over, whatever came of them, but for those that could not begin: so many at
    /// most, the newest first.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub async fn last_builds(&self, source: &SourceRequest, count: usize) -> Result<Vec<String>, BuildsError> {
        let (org, repo) = source.org_and_repo();
        let of_repository = format!("{org}/{repo}/");
        let standing = [Standing::Success, Standing::Failure, Standing::Error, Standing::TimedOut, Standing::Cancelled];
        let wanted = Wanted { branch: None, standing: standing.to_vec(), limit: usize::MAX };
        let listed = self.builds().list(&wanted).await?.into_iter().map(|listed| listed.build);
        Ok(listed.filter(|build| build.starts_with(&of_repository)).take(count).collect())
    }
}
