//! `secrets`: handles of the build's secrets.

use wasmtime::component::Resource;

use super::Does;
use crate::bindings::monkeyci::script::secrets::{Host, HostSecret};
use crate::bindings::monkeyci::script::types::Error;
use crate::store::State;

/// A guest's handle of a secret: its name. The bytes are the host's.
#[derive(Clone, Debug)]
pub struct SecretHandle {
    pub(super) name: String,
}

impl Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<Resource<SecretHandle>, Error>> {
        let (client, wanted) = (self.client.clone(), name.clone());
        match self.told(format!("secrets.get({name:?})"), async move || client.secret(&wanted).await).await? {
            Ok(()) => Ok(Ok(self.table.push(SecretHandle { name })?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn named(&mut self, name: String) -> wasmtime::Result<Result<Resource<SecretHandle>, Error>> {
        self.count_call()?;
        if name.is_empty() {
            return self.fails(Error::Invalid("the name of a secret is empty".to_owned()));
        }
        Ok(Ok(self.table.push(SecretHandle { name })?))
    }

    async fn names(&mut self) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let client = self.client.clone();
        self.told("secrets.names".to_owned(), async move || client.secrets().await).await
    }
}

impl HostSecret for State {
    async fn name(&mut self, secret: Resource<SecretHandle>) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.table.get(&secret)?.name.clone())
    }

    async fn reveal(&mut self, secret: Resource<SecretHandle>) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        // What `define` is told stays in the transcript, and secrets are never written down.
        if let Err(error) = self.only_an_action() {
            self.count_call()?;
            return self.fails(error);
        }
        let name = self.table.get(&secret)?.name.clone();
        let (client, request) = (self.client.clone(), format!("secret.reveal({name:?})"));
        self.told_bytes(Does::Reveals, request, async move || client.reveal(&name).await).await
    }

    async fn drop(&mut self, secret: Resource<SecretHandle>) -> wasmtime::Result<()> {
        self.table.delete(secret)?;
        Ok(())
    }
}
