//! `process`: how a script's program says that it ends.

use crate::bindings::monkeyci::script::process::Host;
use crate::store::State;

impl Host for State {
    async fn exit_status(&mut self, status: i32) -> wasmtime::Result<()> {
        self.count_call()?;
        self.exit_status = Some(status);
        Ok(())
    }
}
