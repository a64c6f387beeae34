//! Plans: what builds would do that do not run.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt, stream};
use monkeyci_build::{Assumed, Earlier, Plan};
use monkeyci_script::{LoadError, Script};
use tokio_util::task::AbortOnDropHandle;

use super::Host;
use super::apart::Apart;
use super::drive::masking;
use crate::builds::{BuildsError, LastBuilds};
use crate::clock::now_ms;
use crate::error::ControllerError;
use crate::jobs::{self, CheckError, PlannedBuild};
use crate::observer::Silent;
use crate::running::BuildRequest;
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
    /// is checked out once; each script is loaded once. All scripts see the same time, and the same random numbers.
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
        let source = first.source.clone();
        let masking = masking(first)?;
        let checking_out = source.clone().check_out_in_background(dir.path().join("checkout"));
        let (checkout, scripts) = tokio::join!(checking_out, self.load_all(requests));
        let checkout = checkout.map_err(|error| CheckError::Source(masking.text(&error.to_string())))?;
        for warning in &checkout.warnings {
            tracing::warn!("{}", masking.text(warning));
        }
        let code = Arc::new(Code { source, checkout, time_ms: now_ms(), assumed: Arc::new(assumed.clone()) });
        let plans = stream::iter(requests.iter().cloned().zip(scripts).enumerate()).map(|(at, (request, script))| {
            let (host, code, own) = (self.clone(), code.clone(), dir.path().join(at.to_string()));
            // On a thread of its own; stopped with whoever waits for it.
            let planning = AbortOnDropHandle::new(tokio::spawn(async move {
                host.plan_of(&request, script?.for_another_build(), &code, &own).await
            }));
            async {
                planning.await.unwrap_or_else(|error| Err(CheckError::Failed(format!("no plan was made: {error}"))))
            }
        });
        let planned: Vec<_> = plans.buffered(at_once()).collect().await;
        for message in unused_by_all(planned.iter().flatten().map(|planned| planned.unasked_params.as_slice())) {
            tracing::warn!("{message}; nobody asked while jobs were declared, though an action may");
        }
        Ok(planned.into_iter().map(|planned| planned.map(|planned| planned.plan)).collect())
    }

    /// The scripts of these requests: each is loaded once.
    async fn load_all(&self, requests: &[BuildRequest]) -> Vec<Result<Script, LoadError>> {
        let mut scripts: Vec<&Bytes> = Vec::new();
        let mut places = Vec::with_capacity(requests.len());
        for BuildRequest { script, .. } in requests {
            // Most are the same bytes, which need not be looked at.
            let is_it = |other: &&Bytes| std::ptr::eq::<[u8]>(&***other, &**script) || *other == script;
            places.push(scripts.iter().position(is_it).unwrap_or_else(|| {
                scripts.push(script);
                scripts.len() - 1
            }));
        }
        let runtime = &self.0.services.runtime;
        let loaded = join_all(scripts.into_iter().map(|script| runtime.load_in_background(script.clone()))).await;
        places.into_iter().map(|place| loaded[place].clone()).collect()
    }

    async fn plan_of(
        &self,
        request: &BuildRequest,
        script: Script,
        Code { source, checkout, time_ms, assumed }: &Code,
        dir: &Path,
    ) -> Result<PlannedBuild, CheckError> {
        let (org, repo) = source.org_and_repo();
        // What the script is told is the same each time: its random numbers come of it.
        let told = format!("{org}/{repo}/plan");
        let id = format!("{told}-{:08x}", rand::random::<u32>());
        let mut inputs = request.inputs.clone();
        inputs.reveal.clear();
        let apart = Apart::begin(self, &id, request, inputs, Arc::new(Silent))?;
        let live = apart.live();
        let asked = (&*live, &script, assumed);
        apart.ask(jobs::plan(&self.0.services, request, asked, (checkout, dir), (&told, *time_ms))).await
    }

    /// The results of the last build of this code's repository that had jobs and is over, and which build that is; `None` if the home has
    /// none.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub async fn last_results(&self, source: &SourceRequest) -> Result<Option<(String, Assumed)>, BuildsError> {
        let mut builds = LastBuilds::of(self.builds(), source.org_and_repo());
        while let Some(build) = builds.next().await? {
            let events = self.0.journals.events(&build).await.map_err(ControllerError::from)?;
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
        let (mut builds, mut last) = (LastBuilds::of(self.builds(), source.org_and_repo()), Vec::new());
        while last.len() < count
            && let Some(build) = builds.next().await?
        {
            last.push(build);
        }
        Ok(last)
    }
}

/// What plans that are made together share.
struct Code {
    source: SourceRequest,
    checkout: Checkout,
    /// When it is, for their scripts.
    time_ms: u64,
    assumed: Arc<Assumed>,
}

/// How many scripts are asked at once.
pub(super) fn at_once() -> usize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get()
}

/// What to say of the parameters that no plan uses: each is named once.
fn unused_by_all<'a>(mut plans: impl Iterator<Item = &'a [(String, String)]>) -> Vec<&'a str> {
    let Some(first) = plans.next() else { return Vec::new() };
    let mut unused: Vec<_> = first.iter().collect();
    for plan in plans {
        unused.retain(|(param, _)| plan.iter().any(|(other, _)| other == param));
    }
    unused.into_iter().map(|(_, message)| message.as_str()).collect()
}
