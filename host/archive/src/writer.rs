//! Writes a tar's entries through zstd, and says of every error which side it came from.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tar::{EntryType, Header};

use crate::frames::Frames;
use crate::{ArchiveError, Limit, Packed, UnpackLimits};

const BLOCK: usize = 512;
const COPY_BUFFER: usize = 128 * 1024;
/// What is packed so far is handed on at the first entry, and again after so many bytes of the archive, however well they compress. So
/// whoever sends or stores it has something to do from the start, and one that does not want it any more ends the packing soon: a
/// gigabyte of zeros makes a few kilobytes, which could wait for seconds in the encoder's buffer.
pub(crate) const HAND_ON: usize = 16 << 20;
/// Permission bits only: setuid, setgid and sticky mean nothing in a workspace, and harm outside.
pub(crate) const MODE_MASK: u32 = 0o777;

/// Mode and time of an entry.
#[derive(Clone, Copy)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) mtime: i64,
}

pub(crate) struct EntryWriter<W: Write> {
    out: Frames<W>,
    /// Bytes that may still be written until they are handed on.
    until_handed_on: usize,
    buffer: Vec<u8>,
    limits: UnpackLimits,
    entries: u64,
    packed: Packed,
}

impl<W: Write> EntryWriter<W> {
    pub(crate) fn new(out: W) -> Result<Self, ArchiveError> {
        let limits = UnpackLimits::default();
        Ok(Self {
            out: Frames::new(out, &limits).map_err(ArchiveError::Write)?,
            until_handed_on: 0,
            buffer: vec![0; COPY_BUFFER],
            // What is packed can be unpacked: the limits of the other side hold here too.
            limits,
            entries: 0,
            packed: Packed::default(),
        })
    }

    /// Writes a directory; an empty path is the one that paths are relative to.
    pub(crate) fn directory(&mut self, path: &Path, attributes: Attributes) -> Result<(), ArchiveError> {
        let mut name = path.as_os_str().as_bytes().to_vec();
        if name.is_empty() {
            name.push(b'.');
        }
        name.push(b'/');
        self.header(EntryType::Directory, &name, None, 0, attributes)
    }

    pub(crate) fn link(&mut self, path: &Path, target: &Path, attributes: Attributes) -> Result<(), ArchiveError> {
        let (name, target) = (path.as_os_str().as_bytes(), target.as_os_str().as_bytes());
        self.packed.files += 1;
        // Linux gives every link the mode 0777; it has no meaning.
        self.header(EntryType::Symlink, name, Some(target), 0, Attributes { mode: 0o777, ..attributes })
    }

    /// Writes a file of `size` bytes. A file that grew meanwhile is cut at its size; one that shrank is an error, since
    /// the header has been written.
    pub(crate) fn file(
        &mut self,
        path: &Path,
        mut content: impl Read,
        size: u64,
        attributes: Attributes,
    ) -> Result<(), ArchiveError> {
        // A file with a hole can say any size, and reading a terabyte of zeros takes minutes.
        if self.out.unpacked().saturating_add(size) > self.limits.max_bytes {
            return Err(ArchiveError::Limit(Limit::Bytes(self.limits.max_bytes)));
        }
        self.header(EntryType::Regular, path.as_os_str().as_bytes(), None, size, attributes)?;
        let mut left = size;
        while left > 0 {
            let want = usize::try_from(left).map_or(COPY_BUFFER, |left| left.min(COPY_BUFFER));
            let n = match content.read(&mut self.buffer[..want]) {
                Ok(0) => return Err(ArchiveError::Changed { entry: path.to_owned() }),
                Ok(n) => n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ArchiveError::entry(path, error)),
            };
            self.out.write_all(&self.buffer[..n]).map_err(ArchiveError::Write)?;
            self.hand_on_after(n)?;
            left -= n as u64;
        }
        self.pad(size)?;
        self.packed.files += 1;
        self.packed.bytes += size;
        Ok(())
    }

    /// Whether a file or link has been written.
    pub(crate) fn has_files(&self) -> bool {
        self.packed.files > 0
    }

    /// Counts something that an archive can't hold.
    pub(crate) fn skip(&mut self) {
        self.packed.skipped += 1;
    }

    /// Ends the archive. Without this it counts as cut off.
    pub(crate) fn finish(mut self) -> Result<Packed, ArchiveError> {
        self.out.write_all(&[0; 2 * BLOCK]).map_err(ArchiveError::Write)?;
        self.out.finish().map_err(ArchiveError::Write)?;
        Ok(self.packed)
    }

    fn header(
        &mut self,
        kind: EntryType,
        name: &[u8],
        target: Option<&[u8]>,
        size: u64,
        attributes: Attributes,
    ) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > self.limits.max_entries {
            return Err(ArchiveError::Limit(Limit::Entries(self.limits.max_entries)));
        }
        if name.len().max(target.map_or(0, <[u8]>::len)) > self.limits.max_path_len {
            return Err(ArchiveError::Limit(Limit::PathLen(self.limits.max_path_len)));
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(attributes.mode & MODE_MASK);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(size);
        header.set_mtime(u64::try_from(attributes.mtime).unwrap_or(0));
        if let Some(target) = target {
            self.text(EntryType::GNULongLink, target, &mut header.as_old_mut().linkname)?;
        }
        self.text(EntryType::GNULongName, name, &mut header.as_old_mut().name)?;
        header.set_cksum();
        self.out.write_all(header.as_bytes()).map_err(ArchiveError::Write)?;
        self.hand_on_after(BLOCK)
    }

    /// Takes note of `n` bytes that were written, and hands on what has come together.
    fn hand_on_after(&mut self, n: usize) -> Result<(), ArchiveError> {
        match self.until_handed_on.checked_sub(n) {
            Some(left) => self.until_handed_on = left,
            None => {
                self.until_handed_on = HAND_ON;
                if self.out.unpacked() > self.limits.max_bytes {
                    return Err(ArchiveError::Limit(Limit::Bytes(self.limits.max_bytes)));
                }
                self.out.hand_on(HAND_ON as u64).map_err(ArchiveError::Write)?;
            }
        }
        Ok(())
    }

    /// Puts `text` into a header's field, and before the header into an entry of its own when the field is too short.
    fn text(&mut self, kind: EntryType, text: &[u8], field: &mut [u8]) -> Result<(), ArchiveError> {
        if text.len() > field.len() {
            let size = text.len() as u64 + 1;
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(size);
            let label = b"././@LongLink";
            header.as_old_mut().name[..label.len()].copy_from_slice(label);
            header.set_cksum();
            for part in [header.as_bytes().as_slice(), text, &[0]] {
                self.out.write_all(part).map_err(ArchiveError::Write)?;
            }
            self.pad(size)?;
        }
        let n = text.len().min(field.len());
        field[..n].copy_from_slice(&text[..n]);
        Ok(())
    }

    fn pad(&mut self, size: u64) -> Result<(), ArchiveError> {
        let over = (size % BLOCK as u64) as usize;
        if over == 0 {
            return Ok(());
        }
        self.out.write_all(&[0; BLOCK][over..]).map_err(ArchiveError::Write)
    }
}
