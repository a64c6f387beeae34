//! `jobs`, the declaring side: services.

use monkeyci_build::ServiceDraft;
use wasmtime::component::Resource;

use super::SecretHandle;
use super::jobs::size;
use crate::bindings::monkeyci::script::jobs::HostService;
use crate::store::State;

impl State {
    fn set_service(
        &mut self,
        handle: &Resource<ServiceDraft>,
        bytes: usize,
        set: impl FnOnce(&mut ServiceDraft),
    ) -> wasmtime::Result<()> {
        self.count_call()?;
        self.count_bytes(bytes)?;
        set(self.table.get_mut(handle)?);
        Ok(())
    }
}

impl HostService for State {
    async fn new(&mut self, name: String, image: String) -> wasmtime::Result<Resource<ServiceDraft>> {
        self.count_call()?;
        self.count_bytes(name.len() + image.len())?;
        Ok(self.table.push(ServiceDraft { name, image, ..ServiceDraft::default() })?)
    }

    async fn argv(&mut self, service: Resource<ServiceDraft>, argv: Vec<String>) -> wasmtime::Result<()> {
        self.set_service(&service, size(&argv), |draft| draft.argv = Some(argv))
    }

    async fn env(&mut self, service: Resource<ServiceDraft>, name: String, value: String) -> wasmtime::Result<()> {
        let bytes = 2 * size_of::<String>() + name.len() + value.len();
        self.set_service(&service, bytes, |draft| draft.env.push((name, value)))
    }

    async fn secret_env(
        &mut self,
        service: Resource<ServiceDraft>,
        name: String,
        secret: Resource<SecretHandle>,
    ) -> wasmtime::Result<()> {
        let secret = self.table.get(&secret)?.name.clone();
        let bytes = 2 * size_of::<String>() + name.len() + secret.len();
        self.set_service(&service, bytes, |draft| draft.secret_env.push((name, secret)))
    }

    async fn ready_port(&mut self, service: Resource<ServiceDraft>, port: u16) -> wasmtime::Result<()> {
        self.set_service(&service, 0, |draft| draft.ready_port = Some(port))
    }

    async fn ready_command(&mut self, service: Resource<ServiceDraft>, argv: Vec<String>) -> wasmtime::Result<()> {
        self.set_service(&service, size(&argv), |draft| draft.ready_command = Some(argv))
    }

    async fn ready_timeout(&mut self, service: Resource<ServiceDraft>, ms: u64) -> wasmtime::Result<()> {
        self.set_service(&service, 0, |draft| draft.ready_timeout_ms = Some(ms))
    }

    async fn drop(&mut self, service: Resource<ServiceDraft>) -> wasmtime::Result<()> {
        self.table.delete(service)?;
        Ok(())
    }
}
