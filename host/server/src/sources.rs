//! What the server gives the builds of its host: their parameters and secrets.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use monkeyci_api::Hidden;
use monkeyci_controller::{BoxError, BuildContext, ParamSource, SecretSource};

use crate::error::StoreError;
use crate::origin::BuildFacts;
use crate::store::{AskedBuild, InputKind, InputRow, Repository, Store, chosen};

/// For the host: what is kept for the builds that the server was asked for. Others of the home get nothing of it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// The host may live longer than the server.
    pub(crate) store: Weak<Store>,
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
        let rows = given(&store, kind, &repository, &build).await?;
        let valued = rows.into_iter().map(|row| store.value(&row).map(|value| (row, value)));
        Ok(valued.collect::<Result<_, _>>()?)
    }
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
    kind: InputKind,
    repository: &Repository,
    build: &AskedBuild,
) -> Result<Vec<InputRow>, StoreError> {
    let given = store.given(kind, &build.build).await?;
    if !given.is_empty() {
        return Ok(given);
    }
    let facts = BuildFacts::of(repository, build);
    let chosen = chosen(store.inputs_for(kind, repository.id).await?, &facts);
    store.give(&build.build, chosen).await
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
