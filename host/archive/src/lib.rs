//! Archives of files: tar, compressed with zstd, streamed, packed from and unpacked into a directory that nothing leaves.
//!
//! Artifacts, caches and workspaces travel as such archives. All of it streams: neither side holds more than a few
//! megabytes, whatever the archive's size. Both sides work on a [`cap_std::fs::Dir`], so that a hostile tree of symbolic
//! links (when packing) and a hostile archive (when unpacking) stay inside it.
//!
//! # The form
//!
//! One zstd frame with a checksum, window at most 8 MiB; in it a GNU tar: directories, regular files and symbolic links,
//! long names as `L` and `K` entries, owner 0/0, permission bits without setuid, setgid and sticky, times in whole
//! seconds. Entries are sorted, so that equal trees give equal archives. [`unpack()`] takes this and nothing more: hard
//! links, devices, sparse files and PAX headers are refused, because [`pack()`] never writes them.
//!
//! [`pack_matching()`] packs only some files of a directory, [`pack_file()`] makes an archive of one file that comes from
//! elsewhere, [`pack_files()`] of several that are in memory; [`list_files()`] and [`extract_file()`] look into an archive without unpacking it. [`find()`] and
//! [`Fingerprints`] look at a directory as packing does: the files that match [`Globs`], and whether anything has changed.
//!
//! An entry's name is its path below the directory that was packed *from*: the artifact at `target/out` of the working
//! directory has entries `target/out/`, `target/out/a` and so on. Unpacking it into another directory puts it at
//! `target/out` there.
//!
//! ```
//! use std::path::Path;
//!
//! use cap_std::ambient_authority;
//! use cap_std::fs::Dir;
//! use monkeyci_archive::{UnpackLimits, pack, unpack};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (from, to) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! let from = Dir::open_ambient_dir(from.path(), ambient_authority())?;
//! from.create_dir_all("target/out")?;
//! from.write("target/out/app", "bytes")?;
//!
//! let mut archive = Vec::new();
//! let packed = pack(&from, Path::new("target/out"), &mut archive)?;
//! assert_eq!((packed.files, packed.bytes), (1, 5));
//!
//! let to = Dir::open_ambient_dir(to.path(), ambient_authority())?;
//! unpack(&archive[..], &to, &UnpackLimits::default(), None)?;
//! assert_eq!(to.read_to_string("target/out/app")?, "bytes");
//! # Ok(()) }
//! ```
#![deny(missing_docs)]

mod automaton;
mod budget;
mod error;
mod fingerprint;
mod frames;
mod glob;
mod ignored;
mod limits;
mod look;
mod name;
mod pack;
mod place;
mod reader;
mod tree;
mod unpack;
mod workspace;
mod writer;

pub use budget::limits;
pub use error::{ArchiveError, Limit, Refusal};
pub use fingerprint::{Fingerprint, Fingerprints};
pub use glob::{BadGlob, Globs};
pub use ignored::{Content, read_small};
pub use limits::{Links, UnpackLimits};
pub use look::{ArchivedFile, extract_file, list_files, read_files};
pub use pack::{Packed, pack, pack_all, pack_file, pack_files, pack_matching};
pub use tree::{Found, find};
pub use unpack::{Unpacked, unpack, unpack_as};
pub use workspace::{
    PackedWorkspace, WorkspaceEntry, WorkspaceFiles, WorkspaceWalk, pack_workspace, pack_workspace_with_git,
    walk_workspace,
};
