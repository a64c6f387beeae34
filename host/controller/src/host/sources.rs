//! Where parameters and secrets of builds come from, beside what their requests bring.

use std::collections::BTreeMap;
use std::error::Error;

use async_trait::async_trait;
use monkeyci_api::Hidden;
use monkeyci_build::{Requested, RequestedSource};

use super::Host;
use super::builder::Sources;
use crate::error::ControllerError;
use crate::inputs::Inputs;
use crate::running::{Known, Needed};

/// An error of the embedder's.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// The build that something is wanted for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BuildContext {
    /// The build's id, `org/repo/build`.
    pub build: String,
    /// What started it.
    pub trigger: String,
    /// Where its code comes from; no login is in it.
    pub source: RequestedSource,
}

impl BuildContext {
    /// A build that there is already, as its journal tells of it.
    pub(super) fn again(build: &str, known: &Known, requested: &Requested) -> Self {
        Self { build: build.to_owned(), trigger: known.trigger.clone(), source: requested.source.clone() }
    }
}

/// Gives builds parameters.
#[async_trait]
pub trait ParamSource: Send + Sync + 'static {
    /// The parameters of a build. What its request says of the same name counts more. It is asked when the build begins, and when it is
    /// resumed for those that a secret stands in, which no journal has.
    ///
    /// # Errors
    /// When it can't tell: then the build does not begin.
    async fn params(&self, build: &BuildContext) -> Result<BTreeMap<String, String>, BoxError>;

    /// What it is, in a few words: for the message about a parameter that is missing, which says where was looked for it.
    fn describe(&self) -> String;
}

/// Gives builds secrets.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use monkeyci_controller::{BoxError, BuildContext, Hidden, SecretSource};
///
/// /// The deploy key, for builds that a push has started.
/// struct DeployKey(Vec<u8>);
///
/// #[async_trait::async_trait]
/// impl SecretSource for DeployKey {
///     async fn secrets(&self, build: &BuildContext) -> Result<BTreeMap<String, Hidden<Vec<u8>>>, BoxError> {
///         let key = (build.trigger == "push").then(|| ("deploy-key".to_owned(), Hidden(self.0.clone())));
///         Ok(key.into_iter().collect())
///     }
///
///     fn describe(&self) -> String {
///         "the deploy key of pushes".to_owned()
///     }
/// }
/// ```
#[async_trait]
pub trait SecretSource: Send + Sync + 'static {
    /// The secrets that a build may hand to its jobs. What its request says of the same name counts more. It is asked when the build begins, and
    /// when it is resumed: no journal has secrets, and they have to be the same then. Whatever a build is given is masked wherever it shows
    /// something, whether the script uses it or not.
    ///
    /// # Errors
    /// When it can't tell: then the build does not begin. No secret may stand in the error.
    async fn secrets(&self, build: &BuildContext) -> Result<BTreeMap<String, Hidden<Vec<u8>>>, BoxError>;

    /// What it is, in a few words: for the message about a secret that is missing, which says where was looked for it.
    fn describe(&self) -> String;
}

/// A source of parameters or secrets can't tell.
#[derive(Debug, thiserror::Error)]
#[error("{what} can't be asked for the inputs of {build}: {error}")]
#[non_exhaustive]
pub struct SourceError {
    /// The build.
    pub build: String,
    /// What was asked, in its own words.
    pub what: String,
    /// What it says.
    #[source]
    pub error: BoxError,
}

impl Host {
    /// Adds what the sources give of what an earlier process was given for a build, and no journal has.
    pub(super) async fn collect_again(
        &self,
        build: &str,
        known: &Known,
        requested: &Requested,
        inputs: &mut Inputs,
    ) -> Result<(), SourceError> {
        self.collect(&BuildContext::again(build, known, requested), inputs, Some(&known.needs())).await
    }

    /// What digests of secrets are keyed with, if there are any: a home whose builds have no secrets has no key.
    pub(super) fn digest_key(&self, has_secrets: bool) -> Result<String, ControllerError> {
        if has_secrets { Ok(self.0.home.digest_key()?) } else { Ok(String::new()) }
    }

    /// Adds what the sources give to what was given; of what is `needed` only, if something is.
    pub(super) async fn collect(
        &self,
        build: &BuildContext,
        inputs: &mut Inputs,
        needed: Option<&Needed>,
    ) -> Result<(), SourceError> {
        let Sources { params, secrets } = &self.0.sources;
        let failed = |what: String| {
            let build = build.build.clone();
            move |error| SourceError { build, what, error }
        };
        for source in secrets {
            let what = source.describe();
            inputs.secrets_looked_in.push(what.clone());
            if needed.is_some_and(|needed| needed.secrets.is_empty()) {
                continue;
            }
            for (name, secret) in source.secrets(build).await.map_err(failed(what))? {
                if needed.is_none_or(|needed| needed.secrets.contains(&name)) {
                    inputs.secrets.entry(name).or_insert(secret);
                }
            }
        }
        for source in params {
            let what = source.describe();
            inputs.params_looked_in.push(what.clone());
            if needed.is_some_and(|needed| needed.params.is_empty()) {
                continue;
            }
            for (name, value) in source.params(build).await.map_err(failed(what))? {
                if needed.is_none_or(|needed| needed.params.contains(&name)) {
                    inputs.params.entry(name).or_insert(value);
                }
            }
        }
        Ok(())
    }
}
