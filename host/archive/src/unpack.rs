//! Reads a hostile archive, entry by entry.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use cap_std::fs::Dir;
use tar::{Archive, Entry, EntryType};
use zstd::stream::read::Decoder;

use crate::limits::{Links, Meter, PackedSide, UnpackLimits, UnpackedSide};
use crate::name;
use crate::place::Placer;
use crate::writer::{Attributes, MODE_MASK};
use crate::{ArchiveError, Limit, Refusal};

/// The largest zstd window, as a power of two: 8 MiB. A frame can ask the reader for gigabytes; ours need 2 MiB.
const WINDOW_LOG_MAX: u32 = 23;

/// What [`unpack()`] has unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Regular files and links.
    pub files: u64,
    /// Bytes in regular files.
    pub bytes: u64,
}

/// Unpacks an archive into `dir`. The archive may be hostile: nothing outside `dir` is written, and it costs no more than
/// `limits` allow.
///
/// What an entry finds in its place is replaced, never written through; a directory stays and takes the entry's mode.
/// `owner` (user and group) is given to all that is created, if this process is root; otherwise it is the process's.
///
/// # Errors
/// [`ArchiveError::Refused`] names the first entry that is not allowed, [`ArchiveError::Limit`] the limit that was reached,
/// [`ArchiveError::Read`] and [`ArchiveError::Truncated`] say that the bytes are no whole archive. What was unpacked
/// before stays.
pub fn unpack(
    reader: impl Read,
    dir: &Dir,
    limits: &UnpackLimits,
    owner: Option<(u32, u32)>,
) -> Result<Unpacked, ArchiveError> {
    let meter = Rc::new(Meter::default());
    let packed = PackedSide { inner: reader, meter: Rc::clone(&meter) };
    let mut decoder = Decoder::new(packed).map_err(ArchiveError::Read)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(ArchiveError::Read)?;
    let mut archive = Archive::new(UnpackedSide { inner: decoder, meter: Rc::clone(&meter), limits });

    let mut job = Unpacking { limits, placer: Placer::new(dir, limits.links, owner), done: Unpacked::default() };
    let result = job.entries(&mut archive).and_then(|()| {
        // What follows the tar's end has to be read as well: only then has the frame's checksum been compared.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(ArchiveError::Read)
    });
    match (meter.reached(), result) {
        (Some(limit), Err(_)) => Err(ArchiveError::Limit(limit)),
        (_, Err(error)) => Err(error),
        (_, Ok(_)) => Ok(job.done),
    }
}

struct Unpacking<'d> {
    limits: &'d UnpackLimits,
    placer: Placer<'d>,
    done: Unpacked,
}

impl Unpacking<'_> {
    fn entries<R: Read>(&mut self, archive: &mut Archive<R>) -> Result<(), ArchiveError> {
        // Raw, since the tar crate would hold a long name or PAX header of any size in memory.
        let entries = archive.entries().map_err(ArchiveError::Read)?.raw(true);
        let (mut long_name, mut long_target) = (None, None);
        let mut count = 0;
        for entry in entries {
            let mut entry = entry.map_err(ArchiveError::Read)?;
            match entry.header().entry_type() {
                // One of each before an entry, so that counting entries bounds these as well.
                EntryType::GNULongName if long_name.is_none() => long_name = Some(self.long_text(&mut entry)?),
                EntryType::GNULongLink if long_target.is_none() => long_target = Some(self.long_text(&mut entry)?),
                kind => {
                    count += 1;
                    if count > self.limits.max_entries {
                        return Err(ArchiveError::Limit(Limit::Entries(self.limits.max_entries)));
                    }
                    self.entry(kind, &mut entry, long_name.take(), long_target.take())?;
                }
            }
        }
        self.placer.finish()
    }

    /// The text of a long name's entry: it ends with a NUL byte, which does not count.
    fn long_text<R: Read>(&self, entry: &mut Entry<'_, R>) -> Result<Vec<u8>, ArchiveError> {
        let max = self.limits.max_path_len;
        let mut text = Vec::new();
        entry.take(max as u64 + 2).read_to_end(&mut text).map_err(ArchiveError::Read)?;
        if text.last() == Some(&0) {
            text.pop();
        }
        if text.len() > max {
            let shown = Path::new(OsStr::from_bytes(&text[..max.min(80)]));
            return Err(ArchiveError::refused(shown, Refusal::TooLong { max }));
        }
        Ok(text)
    }

    fn entry<R: Read>(
        &mut self,
        kind: EntryType,
        entry: &mut Entry<'_, R>,
        long_name: Option<Vec<u8>>,
        long_target: Option<Vec<u8>>,
    ) -> Result<(), ArchiveError> {
        let max = self.limits.max_path_len;
        let name = long_name.unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let path = name::of_entry(&name, max)?;
        let refused = |refusal| Err(ArchiveError::refused(&path, refusal));
        let attributes = attributes(&path, entry)?;
        if path.as_os_str().is_empty() {
            // `./`, the directory itself: whoever opened it decides how it looks.
            return if kind == EntryType::Directory { Ok(()) } else { refused(Refusal::NoName) };
        }
        match kind {
            EntryType::Directory => self.placer.directory(&path, attributes),
            EntryType::Regular => {
                let size = entry.size();
                let mut file = self.placer.file(&path)?;
                let copied = self.placer.copy(&path, entry, &mut file)?;
                if copied < size {
                    return Err(ArchiveError::Truncated { entry: path });
                }
                self.done.files += 1;
                self.done.bytes += copied;
                self.placer.finish_file(&path, &file, attributes)
            }
            EntryType::Symlink => {
                let target = long_target.or_else(|| entry.header().link_name_bytes().map(|name| name.into_owned()));
                let target = name::of_target(&path, &target.unwrap_or_default(), max)?;
                if self.limits.links == Links::Inside && !name::stays_inside(&path, &target) {
                    return refused(Refusal::LinkOutside { target });
                }
                self.done.files += 1;
                self.placer.link(&path, &target, attributes)
            }
            EntryType::Link => refused(Refusal::HardLink),
            EntryType::Char | EntryType::Block | EntryType::Fifo => refused(Refusal::Special),
            other => refused(Refusal::Unsupported { kind: other.as_byte() as char }),
        }
    }
}

fn attributes<R: Read>(path: &Path, entry: &Entry<'_, R>) -> Result<Attributes, ArchiveError> {
    let header = entry.header();
    let read = || Ok((header.mode()?, header.mtime()?));
    let (mode, mtime) = read().map_err(|error: io::Error| ArchiveError::entry(path, error))?;
    // A time past the end of time is as good as none.
    Ok(Attributes { mode: mode & MODE_MASK, mtime: i64::try_from(mtime).unwrap_or(0) })
}
