//! What can go wrong, with the entry it went wrong on.

use std::io;
use std::path::PathBuf;

/// Why an archive could not be packed or unpacked.
///
/// Names are shown in quotes and escaped, since they come from hostile archives and trees.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is nothing at the path to pack.
    #[error("there is nothing at {path:?}")]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The path to pack, or to unpack to, does not name a place below the directory.
    #[error("{path:?} is not a path below the directory: it has to be relative, without `..`")]
    BadPath {
        /// The path.
        path: PathBuf,
    },
    /// The path to pack is a socket, a device or a named pipe.
    #[error("{path:?} is neither a file nor a directory")]
    NotPackable {
        /// The path.
        path: PathBuf,
    },
    /// Nothing of what was to be packed matches the globs.
    #[error("no file below {path:?} matches {globs}")]
    NoMatch {
        /// The directory.
        path: PathBuf,
        /// The globs, for people.
        globs: String,
    },
    /// The archive has no such file.
    #[error("there is no file {path:?} in the archive")]
    NoSuchFile {
        /// Its path.
        path: PathBuf,
    },
    /// A file became shorter while it was read.
    #[error("{entry:?} changed while it was packed")]
    Changed {
        /// The file.
        entry: PathBuf,
    },
    /// Reading or writing an entry in the directory failed.
    #[error("{entry:?}: {source}")]
    Entry {
        /// The entry.
        entry: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The bytes of the archive could not be read, end too early, or are no archive.
    #[error("the archive can't be read: {0}")]
    Read(io::Error),
    /// The bytes of the archive could not be written.
    #[error("the archive can't be written: {0}")]
    Write(io::Error),
    /// The archive ends inside an entry.
    #[error("the archive ends inside the entry {entry:?}")]
    Truncated {
        /// The entry.
        entry: PathBuf,
    },
    /// The archive holds an entry that is not allowed.
    #[error("the archive's entry {entry:?} is refused: {refusal}")]
    Refused {
        /// The entry's name.
        entry: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// The archive holds more than one file or directory, so nothing of it can have a path of its own choosing.
    #[error("the archive holds {first:?} and {other:?}, and not one file or directory")]
    SeveralRoots {
        /// What comes first.
        first: PathBuf,
        /// An entry that is not in it.
        other: PathBuf,
    },
    /// The archive, or the tree to pack, is larger than is allowed.
    #[error("the archive is too large: {0}")]
    Limit(Limit),
    /// A file that says what git ignores has more than is read of it, and what it ignores is not known.
    #[error(
        "{path:?} has more patterns than are read: at most {max} bytes in a file, and 512 KiB in all \
         files that hold in one place; shorten it"
    )]
    TooManyPatterns {
        /// The file.
        path: PathBuf,
        /// The most bytes.
        max: u64,
    },
}

/// Why an entry of an archive is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has no name.
    #[error("it has no name")]
    NoName,
    /// There is one of its name before it.
    #[error("it comes twice")]
    Twice,
    /// Its name, or its link's target, is too long.
    #[error("its name or target is longer than {max} bytes")]
    TooLong {
        /// The longest that is allowed.
        max: usize,
    },
    /// Its name, or its link's target, contains a NUL byte.
    #[error("its name or target contains a NUL byte")]
    Nul,
    /// Its name is an absolute path.
    #[error("its name is an absolute path")]
    Absolute,
    /// Its name contains `..`.
    #[error("its name contains `..`")]
    ParentDir,
    /// It is a symbolic link that points out of the directory, or may do so through another link.
    #[error("it is a symbolic link to {target:?}, which is outside")]
    LinkOutside {
        /// The link's target.
        target: PathBuf,
    },
    /// Its name leads through a symbolic link.
    #[error("its name leads through the symbolic link {link:?}")]
    ThroughLink {
        /// The link.
        link: PathBuf,
    },
    /// It is a hard link.
    #[error("it is a hard link")]
    HardLink,
    /// It is a device or a named pipe.
    #[error("it is a device or a named pipe")]
    Special,
    /// It is of a kind that these archives don't have.
    #[error("it is of kind {kind:?}, which these archives don't have")]
    Unsupported {
        /// The kind, a byte in tar's header.
        kind: char,
    },
    /// A directory is where the entry would go, or something that is no directory is where its parent would be.
    #[error("something of another kind is in its place")]
    Occupied,
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Too many bytes.
    #[error("more than {0} bytes when unpacked")]
    Bytes(u64),
    /// Too many entries.
    #[error("more than {0} entries")]
    Entries(u64),
    /// It unpacks to many times its size.
    #[error("it unpacks to more than {0} times its size")]
    Ratio(u64),
    /// A list of files would be too long.
    #[error("a list of files longer than {0} bytes")]
    Listing(u64),
    /// A name is too long.
    #[error("a path longer than {0} bytes")]
    PathLen(usize),
}

impl ArchiveError {
    pub(crate) fn entry(entry: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Entry { entry: entry.into(), source }
    }

    pub(crate) fn refused(entry: impl Into<PathBuf>, refusal: Refusal) -> Self {
        Self::Refused { entry: entry.into(), refusal }
    }
}
