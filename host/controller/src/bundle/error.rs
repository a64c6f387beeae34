//! Why a bundle is refused.

use monkeyci_archive::ArchiveError;
use monkeyci_storage::JournalError;

use super::budget::{FILES, UNPACKED};
use super::{BUNDLE_BYTES, BUNDLE_LAYOUT};

/// Why a bundle is not read, or not written. Nothing of it is used then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// It is no archive, or a damaged one.
    #[error("this is no bundle, or a damaged one: {0}; `monkeyci-host export` writes bundles")]
    Archive(#[from] ArchiveError),
    /// A newer host wrote it.
    #[error(
        "a newer host wrote the bundle: its layout is {layout}, and this host reads up to {BUNDLE_LAYOUT}; use that version"
    )]
    Newer {
        /// Its layout.
        layout: u32,
    },
    /// A part of it is not what was written.
    #[error("the bundle is damaged: {file}: {reason}; export the build again")]
    Damaged {
        /// The file in it.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A record of its journal is not what was written.
    #[error("the bundle's journal can't be read: {0}; export the build again")]
    Journal(#[source] JournalError),
    /// What is to be in it is more than one may have.
    #[error(
        "the build has {bytes} bytes in {files} files, with its script and what that was told, and a bundle may have no more than {UNPACKED} \
         in {FILES}: this build can only be replayed here"
    )]
    TooMuch {
        /// The bytes of its journal, script and large values.
        bytes: u64,
        /// How many files they are.
        files: u64,
    },
    /// It is larger than one may be.
    #[error("the bundle has {bytes} bytes, and {BUNDLE_BYTES} are allowed")]
    TooLarge {
        /// How many it has.
        bytes: u64,
    },
}

impl BundleError {
    pub(crate) fn damaged(file: &str, reason: impl ToString) -> Self {
        Self::Damaged { file: file.to_owned(), reason: reason.to_string() }
    }
}
