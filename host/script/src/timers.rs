//! `wasi:clocks/monotonic-clock`, as scripts get it: while `define` runs time stands still, also for those who wait for it.
//!
//! A timer that really ran would tell how fast this machine is, by whether it is over when it is looked at: `define` could declare
//! other jobs each time. So what waits while `define` runs is over as soon as it is looked at.

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::clocks::{WasiClocksCtxView, WasiClocksView};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Host};

use crate::store::State;

/// Puts these timers in the place of WASI's own.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let added = monotonic_clock::add_to_linker::<State, Timers<'static>>(linker, |state| {
        let stand_still = state.defining.is();
        Timers { clocks: state.clocks(), stand_still }
    });
    linker.allow_shadowing(false);
    added
}

struct Timers<'a> {
    clocks: WasiClocksCtxView<'a>,
    stand_still: bool,
}

impl HasData for Timers<'static> {
    type Data<'a> = Timers<'a>;
}

impl Host for Timers<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.clocks.now()
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.clocks.resolution()
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.clocks.subscribe_instant(if self.stand_still { 0 } else { when })
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.clocks.subscribe_duration(if self.stand_still { 0 } else { duration })
    }
}
