//! What the server gives the builds of its host: their parameters and secrets.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use monkeyci_api::Hidden;
use monkeyci_controller::{BoxError, BuildContext, Capability, ParamSource, Policy, SecretSource, Verdict};

use crate::error::StoreError;
use crate::origin::BuildFacts;
use crate::policy::{BuildPolicy, NetworkRule, Rule, Run};
use crate::store::{AskedBuild, InputKind, InputRow, Repository, Store, chosen};

/// For the host: what is kept for the builds that the server was asked for. Others of the home get nothing of it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// The host may live longer than the server.
    pub(crate) store: Weak<Store>,
    pub(crate) policy: Arc<dyn BuildPolicy>,
}

/// The server that knows the answer is closed.
#[derive(Debug, thiserror::Error)]
#[error("the server is closed that keeps them")]
struct Closed;

impl Stored {
    fn store(&self) -> Result<Arc<Store>, Closed> {
        self.store.upgrade().ok_or(Closed)
    }

    async fn of(&self, kind: InputKind, build: &str) -> Result<Vec<(InputRow, Vec<u8>)>, BoxError> {
        let store = self.store()?;
        let Some(build) = store.build(build).await? else { return Ok(Vec::new()) };
        let Some(repository) = store.repository_by_id(build.repository).await? else { return Ok(Vec::new()) };
        let Given { rows, withheld } = given(&store, &*self.policy, (kind, &repository, &build)).await?;
        let valued = rows.into_iter().map(|row| store.value(&row).map(|value| (row, value)));
        let mut valued: Vec<_> = valued.collect::<Result<_, _>>()?;
        // Without their values: the host asks whether the build may have them, and says in its result that it may not.
        valued.extend(withheld.into_iter().map(|row| (row, Vec::new())));
        Ok(valued)
    }

    /// What the policy says of a build, and of who has approved it; `None` if the server was not asked for it.
    async fn rule(&self, build: &str) -> Result<Option<(Rule, BuildFacts, bool)>, BoxError> {
        let store = self.store()?;
        let Some(build) = store.build(build).await? else { return Ok(None) };
        let Some(repository) = store.repository_by_id(build.repository).await? else { return Ok(None) };
        let facts = BuildFacts::of(&repository, &build.asked, build.branch.as_deref());
        Ok(Some((self.policy.rule(&facts), facts, build.approved_by.is_some())))
    }
}

#[async_trait]
impl Policy for Stored {
    async fn judge(&self, build: &BuildContext, capability: &Capability) -> Verdict {
        let (rule, facts, is_approved) = match self.rule(&build.build).await {
            Ok(Some(found)) => found,
            // Whoever runs a build on the server's machine needs no policy of the server's.
            Ok(None) => return Verdict::Allow,
            Err(error) => return Verdict::Deny(format!("the policy can't be asked: {error}")),
        };
        let allowed = match capability {
            Capability::Run => rule.run == Run::Yes || (rule.run == Run::Approval && is_approved),
            Capability::Secret(name) => rule.gives(name),
            Capability::Reveal(name) => rule.reveals(name),
            Capability::Network => rule.network == NetworkRule::Asked,
            _ => true,
        };
        match allowed {
            true => Verdict::Allow,
            false => Verdict::Deny(format!("it comes from {}, and the server's policy does not let it", facts.origin)),
        }
    }
}

/// What a build has of what is kept, and what it would have if the policy let it.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) rows: Vec<InputRow>,
    pub(crate) withheld: Vec<InputRow>,
}

impl Stored {
    /// The secrets of a build.
    pub(crate) async fn secrets_of(&self, build: &str) -> Result<BTreeMap<String, Hidden<Vec<u8>>>, BoxError> {
        let secrets = self.of(InputKind::Secret, build).await?;
        Ok(secrets.into_iter().map(|(row, value)| (row.name, Hidden(value))).collect())
    }
}

/// What a build has of what is kept: what it was given when it was asked first, so that it is the same when it is gone on with.
pub(crate) async fn given(
    store: &Store,
    policy: &dyn BuildPolicy,
    (kind, repository, build): (InputKind, &Repository, &AskedBuild),
) -> Result<Given, StoreError> {
    let rows = store.given(kind, &build.build).await?;
    let facts = BuildFacts::of(repository, &build.asked, build.branch.as_deref());
    let rule = policy.rule(&facts);
    let may_have = |row: &InputRow| kind == InputKind::Param || rule.gives(&row.name);
    let all = chosen(store.inputs_for(kind, repository.id).await?, &facts);
    let (allowed, mut withheld): (Vec<_>, Vec<_>) = all.into_iter().partition(may_have);
    let rows = if rows.is_empty() { store.give(&build.build, allowed).await? } else { rows };
    // What it was given before the policy changed is what it goes on with.
    withheld.retain(|row| rows.iter().all(|given| given.name != row.name));
    Ok(Given { rows, withheld })
}

#[async_trait]
impl SecretSource for Stored {
    async fn secrets(&self, build: &BuildContext) -> Result<BTreeMap<String, Hidden<Vec<u8>>>, BoxError> {
        self.secrets_of(&build.build).await
    }

    fn describe(&self) -> String {
        "the server's secrets for this build".to_owned()
    }
}

#[async_trait]
impl ParamSource for Stored {
    async fn params(&self, build: &BuildContext) -> Result<BTreeMap<String, String>, BoxError> {
        let params = self.of(InputKind::Param, &build.build).await?;
        // They were texts when they were set.
        params.into_iter().map(|(row, value)| Ok((row.name, String::from_utf8(value)?))).collect()
    }

    fn describe(&self) -> String {
        "the server's parameters for this build".to_owned()
    }
}
