//! Logs: masked as they arrive, the end of a long one kept in memory, stored, and handed to whoever follows.

mod budget;
pub(crate) mod followers;
mod mark;
mod masked;
mod masking;
mod store;
mod stored;
pub(crate) mod tail;

pub use store::LogLimits;
pub use stored::{LogsError, StoredLog, StoredLogs};

pub(crate) use budget::limits;
#[cfg(test)]
pub(crate) use mark::Place;
pub(crate) use mark::{Mark, Source};
pub(crate) use masked::MaskedLog;
pub(crate) use masking::Masking;
pub(crate) use store::LogWriter;
