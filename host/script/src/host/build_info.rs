//! `build-info`: what is being built. The host asks the build API once for each build.

use monkeyci_build::Changes;

use crate::bindings::monkeyci::script::build_info::Host;
use crate::store::State;

impl State {
    /// The part of the build's id at `index`.
    fn id_part(&self, index: usize) -> String {
        self.info.id.splitn(3, '/').nth(index).unwrap_or_default().to_owned()
    }

    /// A list of changed files; empty where the changes are not known.
    fn changed<T: Clone>(&self, list: impl FnOnce(&Changes) -> &Vec<T>) -> Vec<T> {
        self.info.source.changes.as_ref().map(|changes| list(changes).clone()).unwrap_or_default()
    }
}

impl Host for State {
    async fn id(&mut self) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.info.id.clone())
    }

    async fn org(&mut self) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.id_part(0))
    }

    async fn repo(&mut self) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.id_part(1))
    }

    async fn build(&mut self) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.id_part(2))
    }

    async fn trigger(&mut self) -> wasmtime::Result<String> {
        self.count_call()?;
        Ok(self.info.trigger.clone())
    }

    async fn git_url(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.info.source.git_url.clone())
    }

    async fn git_ref(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.info.source.git_ref.clone())
    }

    async fn branch(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.info.source.branch.clone())
    }

    async fn tag(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.info.source.tag.clone())
    }

    async fn commit(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.info.source.commit.clone())
    }

    async fn message(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.info.source.message.clone())
    }

    async fn author(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.info.source.author.clone())
    }

    async fn main_branch(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.info.source.main_branch.clone())
    }

    async fn describe(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.info.source.describe.clone())
    }

    async fn changes_known(&mut self) -> wasmtime::Result<bool> {
        self.count_call()?;
        Ok(self.info.source.changes.is_some())
    }

    async fn added_files(&mut self) -> wasmtime::Result<Vec<String>> {
        self.count_call()?;
        Ok(self.changed(|changes| &changes.added))
    }

    async fn modified_files(&mut self) -> wasmtime::Result<Vec<String>> {
        self.count_call()?;
        Ok(self.changed(|changes| &changes.modified))
    }

    async fn removed_files(&mut self) -> wasmtime::Result<Vec<String>> {
        self.count_call()?;
        Ok(self.changed(|changes| &changes.removed))
    }

    async fn renamed_files(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        self.count_call()?;
        Ok(self.changed(|changes| &changes.renamed))
    }

    async fn base_commit(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_call()?;
        Ok(self.info.source.changes.as_ref().and_then(|changes| changes.base.clone()))
    }
}
