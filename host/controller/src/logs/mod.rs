//! Logs: masked as they arrive, the end of a long one kept in memory, stored, and handed to whoever follows.

mod budget;
pub(crate) mod followers;
mod intake;
mod mark;
mod masked;
mod masking;
mod store;
mod stored;
pub(crate) mod tail;

pub use store::LogLimits;
pub use stored::{LogsError, StoredLog, StoredLogs};

pub(crate) use budget::limits;
pub(crate) use intake::{Destination, LogIntake};
#[cfg(test)]
pub(crate) use mark::Place;
pub(crate) use mark::Source;
pub(crate) use masking::Masking;
#[cfg(test)]
pub(crate) use store::LogWriter;
