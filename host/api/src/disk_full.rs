//! A full disk, under whatever layers an error has come through.

use std::error::Error;
use std::io::{self, ErrorKind};

/// Whether a full disk, or a quota that is used up, is the cause of an error.
///
/// ```
/// use std::io::{Error, ErrorKind};
/// use monkeyci_api::is_disk_full;
///
/// assert!(is_disk_full(&Error::other(Error::from(ErrorKind::StorageFull))));
/// assert!(!is_disk_full(&Error::from(ErrorKind::PermissionDenied)));
/// ```
pub fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        cause = match error.downcast_ref::<io::Error>() {
            Some(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => return true,
            // What an I/O error was made from is not its source.
            Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    false
}
