//! Time and chance, which the host records: they stand still while `define` runs, and are real in an action.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::engine::shared;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The next of numbers from 0 to 1: splitmix64, from a seed of the host's.
#[allow(clippy::cast_precision_loss)]
pub fn next() -> f64 {
    let state = match STATE.get() {
        0 => seed(),
        state => state,
    };
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// From now on chance is an action's.
pub fn begin_action() {
    STATE.set(0);
    BEGAN.set(None);
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes) | 1,
        // The standard library's seed, then: the same in each instance.
        Err(_) => RandomState::new().hash_one(1) | 1,
    }
}

/// Milliseconds since somebody asked first; 0 while `define` runs.
pub fn now() -> f64 {
    if !shared().acts.get() {
        return 0.0;
    }
    let began = BEGAN.get().unwrap_or_else(Instant::now);
    BEGAN.set(Some(began));
    began.elapsed().as_secs_f64() * 1000.0
}

/// Waits so many milliseconds; not while `define` runs, where no time passes.
pub fn sleep(milliseconds: f64) {
    if shared().acts.get() && milliseconds > 0.0 {
        std::thread::sleep(Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or(Duration::MAX));
    }
}
