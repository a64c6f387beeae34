//! What is packed is handed on while it is packed, however well it compresses. It is counted, not timed.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::path::Path;

use monkeyci_archive::{ArchiveError, Limit, pack_file};

const MIB: u64 = 1 << 20;
/// The most that is packed before something is handed on again: the promise and a buffer.
const MOST: u64 = 17 * MIB;

/// Zeros: a gigabyte of them is a few kilobytes in the archive.
struct Zeros<'a>(&'a Cell<u64>);

impl Read for Zeros<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        buf.fill(0);
        self.0.set(self.0.get() + buf.len() as u64);
        Ok(buf.len())
    }
}

/// Keeps how much was read when something was handed on, and takes nothing any more after `most` times.
struct Taker<'a> {
    read: &'a Cell<u64>,
    most: usize,
    handed_on: Vec<u64>,
}

impl Write for &mut Taker<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.handed_on.len() == self.most {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.handed_on.push(self.read.get());
        Ok(())
    }
}

#[test]
fn what_compresses_to_nothing_is_handed_on_before_its_content_and_all_along() {
    let read = Cell::new(0);
    let mut taker = Taker { read: &read, most: usize::MAX, handed_on: Vec::new() };
    pack_file(Path::new("zeros"), 128 * MIB, Zeros(&read), &mut taker).unwrap();
    assert_eq!(taker.handed_on[0], 0, "the first entry's header is on its way before its content is read");
    let steps = taker.handed_on.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(steps.max() <= Some(MOST), "{:?}", taker.handed_on);
    assert_eq!(read.get(), 128 * MIB);
}

#[test]
fn a_packing_that_nobody_takes_any_more_ends_soon_however_much_is_left() {
    let read = Cell::new(0);
    let mut taker = Taker { read: &read, most: 2, handed_on: Vec::new() };
    let error = pack_file(Path::new("zeros"), MIB << 15, Zeros(&read), &mut taker).unwrap_err();
    assert!(matches!(error, ArchiveError::Write(_)), "{error:?}");
    assert!(read.get() <= 2 * MOST, "{} bytes were read for nobody", read.get());
}

#[test]
fn a_file_that_is_larger_than_an_archive_may_be_is_refused_before_it_is_read() {
    let read = Cell::new(0);
    let mut taker = Taker { read: &read, most: usize::MAX, handed_on: Vec::new() };
    let error = pack_file(Path::new("zeros"), MIB << 20, Zeros(&read), &mut taker).unwrap_err();
    assert!(matches!(error, ArchiveError::Limit(Limit::Bytes(_))), "{error:?}");
    assert_eq!(read.get(), 0);
}
