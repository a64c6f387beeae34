//! `params`: the build's parameters.

use monkeyci_build::{ParamDraft, param_value};
use wasmtime::component::Resource;

use crate::bindings::monkeyci::script::params::{Host, HostParam};
use crate::bindings::monkeyci::script::types::Error;
use crate::store::State;

/// A guest's handle of a parameter that it declares: where its draft stands.
#[derive(Clone, Copy, Debug)]
pub struct ParamHandle {
    index: usize,
}

impl State {
    fn given(&mut self, name: &str) -> impl Future<Output = wasmtime::Result<Result<Option<String>, Error>>> {
        let (client, name) = (self.client.clone(), name.to_owned());
        self.told(format!("params.get({name:?})"), async move || client.param(&name).await)
    }

    fn set_param(
        &mut self,
        handle: &Resource<ParamHandle>,
        bytes: usize,
        set: impl FnOnce(&mut ParamDraft),
    ) -> wasmtime::Result<()> {
        self.count_call()?;
        self.count_bytes(bytes)?;
        let index = self.table.get(handle)?.index;
        if let Some(draft) = self.params.get_mut(index) {
            set(draft);
        }
        Ok(())
    }
}

impl Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        self.given(&name).await
    }

    async fn names(&mut self) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let client = self.client.clone();
        self.told("params.names".to_owned(), async move || client.params().await).await
    }
}

impl HostParam for State {
    async fn new(&mut self, name: String) -> wasmtime::Result<Resource<ParamHandle>> {
        // A name that can't be asked for was not given either; the check says what is wrong with it.
        let given = self.given(&name).await?.ok().flatten();
        self.count_bytes(size_of::<ParamDraft>() + name.len())?;
        self.params.push(ParamDraft { name, given, ..ParamDraft::default() });
        Ok(self.table.push(ParamHandle { index: self.params.len() - 1 })?)
    }

    async fn kind(&mut self, param: Resource<ParamHandle>, kind: String) -> wasmtime::Result<()> {
        self.set_param(&param, kind.len(), |draft| draft.kind = Some(kind))
    }

    async fn choices(&mut self, param: Resource<ParamHandle>, values: Vec<String>) -> wasmtime::Result<()> {
        self.set_param(&param, super::jobs::size(&values), |draft| draft.choices = values)
    }

    async fn default(&mut self, param: Resource<ParamHandle>, value: String) -> wasmtime::Result<()> {
        self.set_param(&param, value.len(), |draft| draft.default = Some(value))
    }

    async fn required(&mut self, param: Resource<ParamHandle>) -> wasmtime::Result<()> {
        self.set_param(&param, 0, |draft| draft.required = true)
    }

    async fn description(&mut self, param: Resource<ParamHandle>, text: String) -> wasmtime::Result<()> {
        self.set_param(&param, text.len(), |draft| draft.description = Some(text))
    }

    async fn value(&mut self, param: Resource<ParamHandle>) -> wasmtime::Result<Result<Option<String>, Error>> {
        self.count_call()?;
        let index = self.table.get(&param)?.index;
        Ok(match self.params.get(index) {
            Some(draft) => param_value(draft).map_err(Error::Invalid),
            None => Ok(None),
        })
    }

    async fn drop(&mut self, param: Resource<ParamHandle>) -> wasmtime::Result<()> {
        self.table.delete(param)?;
        Ok(())
    }
}
