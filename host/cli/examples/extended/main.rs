//! A host with an engine, secrets, a policy and a sink of events of its own.
//!
//! ```text
//! cargo run --example extended -- HOME SCRIPT.WASM CODE
//! ```

mod engine;
mod policy;
mod secrets;
mod sink;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use monkeyci_host::{BuildRequest, Host, Shutdown, SourceRequest};

use crate::engine::Rehearsal;
use crate::policy::NothingForStrangers;
use crate::secrets::SecretFiles;
use crate::sink::StatusLines;

fn main() -> Result<(), Box<dyn Error>> {
    // First of all: in the process that compiles a script, this does not return.
    monkeyci_host::compile_if_child();
    let mut arguments = std::env::args().skip(1);
    let (Some(home), Some(script), Some(code)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: extended HOME SCRIPT.WASM CODE".into());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let host = Host::builder(&home)
            // No container runs: all jobs succeed but one.
            .engine(Arc::new(Rehearsal::of(BTreeMap::from([("flaky".to_owned(), 1)]))))
            .secrets(SecretFiles::below(&home))
            .policy(NothingForStrangers)
            .sink(StatusLines::to(std::path::Path::new(&home).join("statuses")))
            .open()
            .await?;
        let request = BuildRequest::new(std::fs::read(script)?, SourceRequest::Dir(code.into())).trigger("push");
        let report = host.submit(request).await?.wait().await?;
        println!("{}: {:?}", report.build, report.status);
        host.shutdown(Shutdown::Drain, Duration::from_secs(10)).await;
        Ok(())
    })
}
