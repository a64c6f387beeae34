//! A process that counts as dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the process counts as dead: a simulation has it die without ending it. What it has made stays then as it is. Clones say the
/// same.
#[derive(Clone, Debug, Default)]
pub(super) struct Dead(Arc<AtomicBool>);

impl Dead {
    /// From now on it does.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it does.
    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
