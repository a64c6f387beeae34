//! The guard against tests that hang: the only place of these tests that looks at a clock. Nothing is judged by it.

use std::time::Duration;

/// What has not happened by then never will: far longer than anything takes on a slow and busy machine.
pub const HANGS: Duration = Duration::from_secs(600);
