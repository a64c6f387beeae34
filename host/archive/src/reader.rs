//! Reads the entries of a hostile archive.

use std::ffi::OsStr;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tar::{Archive, Entry, EntryType};
use zstd::stream::read::Decoder;

use crate::limits::{Meter, PackedSide, UnpackLimits, UnpackedSide};
use crate::{ArchiveError, Limit, Refusal, name};

/// The largest zstd window, as a power of two: 8 MiB. A frame can ask the reader for gigabytes; ours need 2 MiB.
pub(crate) const WINDOW_LOG_MAX: u32 = 23;

/// The tar's bytes, metered.
pub(crate) type Bytes<R> = UnpackedSide<Decoder<'static, BufReader<PackedSide<R>>>>;

/// An archive that is read from its start to its end.
pub(crate) struct ArchiveReader<R: Read> {
    archive: Archive<Bytes<R>>,
    meter: Arc<Meter>,
    limits: UnpackLimits,
}

/// The head of an entry. Its name is a path inside; what its kind means is not checked.
pub(crate) struct Head {
    pub(crate) kind: EntryType,
    pub(crate) path: PathBuf,
    pub(crate) long_target: Option<Vec<u8>>,
}

impl<R: Read> ArchiveReader<R> {
    pub(crate) fn new(reader: R, limits: &UnpackLimits) -> Result<Self, ArchiveError> {
        let meter = Arc::new(Meter::default());
        let packed = PackedSide { inner: reader, meter: Arc::clone(&meter) };
        let mut decoder = Decoder::new(packed).map_err(ArchiveError::Read)?;
        decoder.window_log_max(WINDOW_LOG_MAX).map_err(ArchiveError::Read)?;
        let bytes = UnpackedSide { inner: decoder, meter: Arc::clone(&meter), limits: limits.clone() };
        Ok(Self { archive: Archive::new(bytes), meter, limits: limits.clone() })
    }

    /// Shows each entry to `visit`, until it breaks.
    pub(crate) fn entries<B>(
        &mut self,
        visit: impl FnMut(Head, &mut Entry<'_, Bytes<R>>) -> Result<ControlFlow<B>, ArchiveError>,
    ) -> Result<Option<B>, ArchiveError> {
        let result = visit_entries(&mut self.archive, &self.limits, visit);
        self.limit_first(result)
    }

    /// Reads what follows the tar's end: only then has the frame's checksum been compared.
    pub(crate) fn finish(self) -> Result<(), ArchiveError> {
        let Self { archive, meter, .. } = self;
        let result = io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop).map_err(ArchiveError::Read);
        limit_first(&meter, result)
    }

    /// The rest of the tar's bytes: the content of the entry at which `visit` broke off comes first.
    pub(crate) fn into_bytes(self) -> Bytes<R> {
        self.archive.into_inner()
    }

    fn limit_first<T>(&self, result: Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        limit_first(&self.meter, result)
    }
}

/// When a limit was reached, that is the error, whatever the layers between have made of it.
fn limit_first<T>(meter: &Meter, result: Result<T, ArchiveError>) -> Result<T, ArchiveError> {
    match (meter.reached(), result) {
        (Some(limit), Err(_)) => Err(ArchiveError::Limit(limit)),
        (_, result) => result,
    }
}

fn visit_entries<R: Read, B>(
    archive: &mut Archive<R>,
    limits: &UnpackLimits,
    mut visit: impl FnMut(Head, &mut Entry<'_, R>) -> Result<ControlFlow<B>, ArchiveError>,
) -> Result<Option<B>, ArchiveError> {
    // Raw, since the tar crate would hold a long name or PAX header of any size in memory.
    let entries = archive.entries().map_err(ArchiveError::Read)?.raw(true);
    let (mut long_name, mut long_target) = (None, None);
    let mut count = 0;
    for entry in entries {
        let mut entry = entry.map_err(ArchiveError::Read)?;
        match entry.header().entry_type() {
            // One of each before an entry, so that counting entries bounds these as well.
            EntryType::GNULongName if long_name.is_none() => long_name = Some(long_text(&mut entry, limits)?),
            EntryType::GNULongLink if long_target.is_none() => long_target = Some(long_text(&mut entry, limits)?),
            kind => {
                count += 1;
                if count > limits.max_entries {
                    return Err(ArchiveError::Limit(Limit::Entries(limits.max_entries)));
                }
                let name = long_name.take().unwrap_or_else(|| entry.header().path_bytes().into_owned());
                let path = name::of_entry(&name, limits.max_path_len)?;
                let head = Head { kind, path, long_target: long_target.take() };
                if let ControlFlow::Break(value) = visit(head, &mut entry)? {
                    return Ok(Some(value));
                }
            }
        }
    }
    match long_name.or(long_target) {
        Some(name) => Err(ArchiveError::Truncated { entry: OsStr::from_bytes(&name).into() }),
        None => Ok(None),
    }
}

/// The text of a long name's entry: it ends with a NUL byte, which does not count.
fn long_text<R: Read>(entry: &mut Entry<'_, R>, limits: &UnpackLimits) -> Result<Vec<u8>, ArchiveError> {
    let max = limits.max_path_len;
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
