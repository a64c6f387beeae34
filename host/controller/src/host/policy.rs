//! What builds may do, by what their embedder says.

use async_trait::async_trait;

use super::Host;
use super::drive::SubmitError;
use super::sources::BuildContext;
use crate::running::BuildRequest;

/// What a build may do, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// Run at all.
    Run,
    /// Have a script that imports this interface of the host: what a script imports is all that it can do.
    Import(String),
    /// Hand this secret to its jobs.
    Secret(String),
    /// Read the bytes of this secret in its actions.
    Reveal(String),
    /// Have jobs that reach more than their services, if they ask for it.
    Network,
}

/// The answer to whether a build may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may not, for this reason. Without what it needs to run, the build is not taken; a secret is not given to it, or its jobs reach no
    /// network, and that is a warning in its result.
    Deny(String),
}

/// Says what builds may do. It is asked before a build begins, for each of the things that it could do.
///
/// ```
/// use monkeyci_controller::{BuildContext, Capability, Policy, Verdict};
///
/// /// Builds of strangers' code get no secrets.
/// struct NoSecretsForStrangers;
///
/// #[async_trait::async_trait]
/// impl Policy for NoSecretsForStrangers {
///     async fn judge(&self, build: &BuildContext, capability: &Capability) -> Verdict {
///         match capability {
///             Capability::Secret(_) | Capability::Reveal(_) if build.trigger == "pull-request" => {
///                 Verdict::Deny("a pull request may be anybody's".to_owned())
///             }
///             _ => Verdict::Allow,
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Policy: Send + Sync + 'static {
    /// Whether a build may do something.
    async fn judge(&self, build: &BuildContext, capability: &Capability) -> Verdict;
}

impl Host {
    /// Takes from a request what its build may not have. Returns what is to be said of that.
    ///
    /// # Errors
    /// When the build may not run.
    pub(super) async fn permit(
        &self,
        build: &BuildContext,
        request: &mut BuildRequest,
    ) -> Result<Vec<String>, SubmitError> {
        if self.0.policies.is_empty() {
            return Ok(Vec::new());
        }
        // What is no component is refused when it is loaded.
        let inspected = monkeyci_script::inspect(&request.script, self.0.services.runtime.limits());
        let imports = inspected.map(|inspected| inspected.imports).unwrap_or_default();
        for capability in [Capability::Run].into_iter().chain(imports.into_iter().map(Capability::Import)) {
            if let Some(reason) = self.denied(build, &capability).await {
                return Err(SubmitError::Denied { build: build.build.clone(), capability, reason });
            }
        }
        let mut said = Vec::new();
        let secrets: Vec<String> = request.inputs.secrets.keys().cloned().collect();
        for name in secrets {
            if let Some(reason) = self.denied(build, &Capability::Secret(name.clone())).await {
                request.inputs.secrets.remove(&name);
                request.inputs.reveal.remove(&name);
                said.push(format!("the secret {name:?} is withheld from this build: {reason}"));
            }
        }
        let revealed: Vec<String> = request.inputs.reveal.iter().cloned().collect();
        for name in revealed {
            if let Some(reason) = self.denied(build, &Capability::Reveal(name.clone())).await {
                request.inputs.reveal.remove(&name);
                said.push(format!("this build's script may not read the secret {name:?}: {reason}"));
            }
        }
        if let Some(reason) = self.denied(build, &Capability::Network).await {
            request.confined.no_network = true;
            said.push(format!("jobs of this build reach their services and no other network: {reason}"));
        }
        Ok(said)
    }

    /// Why a build may not do something, by the first policy that says so; `None` if it may.
    async fn denied(&self, build: &BuildContext, capability: &Capability) -> Option<String> {
        for policy in &self.0.policies {
            if let Verdict::Deny(reason) = policy.judge(build, capability).await {
                return Some(reason);
            }
        }
        None
    }
}
