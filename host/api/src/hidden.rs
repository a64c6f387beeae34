//! Values that must not show in logs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value whose `Debug` output shows nothing of it.
///
/// ```
/// assert_eq!(format!("{:?}", monkeyci_api::Hidden("hunter2")), "Hidden(..)");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden<T>(pub T);

impl<T> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(..)")
    }
}
