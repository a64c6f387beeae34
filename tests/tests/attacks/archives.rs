//! Archives as a job or a store may hand them over: nothing is written outside, and each is refused in words of its own.

use std::fs;
use std::io::Read;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_archive::{Links, UnpackLimits, unpack};

use crate::bench::{assert_no_two_alike, under_cap};

/// An entry of a tar: its kind as tar has it, name, link target, content.
type Entry<'a> = (u8, &'a str, &'a str, &'a [u8]);

fn header((kind, name, target, content): Entry<'_>) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000001\0");
    put(156, &[kind]);
    put(157, &target.as_bytes()[..target.len().min(100)]);
    put(257, b"ustar  \0");
    summed(header)
}

/// With the sum that belongs to it.
fn summed(mut header: [u8; 512]) -> [u8; 512] {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        tar.extend(header(*entry));
        tar.extend(entry.3);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.extend([0; 1024]);
    tar
}

fn zstd(tar: &[u8]) -> Vec<u8> {
    zstd::encode_all(tar, 3).expect("packed")
}

fn packed(entries: &[Entry<'_>]) -> Vec<u8> {
    zstd(&tar(entries))
}

/// One whose first header is changed, with a sum that is right.
fn changed(change: impl Fn(&mut [u8; 512])) -> Vec<u8> {
    let mut tar = tar(&[(b'0', "x", "", b"content")]);
    let mut first: [u8; 512] = tar[..512].try_into().expect("a header");
    change(&mut first);
    tar[..512].copy_from_slice(&summed(first));
    zstd(&tar)
}

fn file(name: &str) -> Entry<'_> {
    (b'0', name, "", b"x")
}

fn link<'a>(name: &'a str, target: &'a str) -> Entry<'a> {
    (b'2', name, target, b"")
}

/// One that asks for this much memory to be read.
fn window(log: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("an encoder");
    encoder.window_log(log).expect("a window");
    std::io::copy(&mut std::io::repeat(0).take(1024), &mut encoder).expect("packed");
    encoder.finish().expect("packed")
}

/// Archives: what each is called, its bytes, and what its refusal says.
fn archives() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = packed(&[(b'0', "x", "", &[b'x'; 5000])]);
    let long = [b'a'; 5000];
    let directory = (b'5', "a", "", &b""[..]);
    let pieces = |cut: usize| whole[..whole.len() - cut].to_vec();
    vec![
        ("up", packed(&[file("../victim")]), "\"../victim\" is refused: its name contains"),
        ("down and up", packed(&[file("a/../../victim")]), "\"a/../../victim\" is refused"),
        ("up at the end", packed(&[file("a/..")]), "\"a/..\" is refused"),
        ("the directory above", packed(&[(b'5', "..", "", b"")]), "entry \"..\" is refused"),
        ("absolute", packed(&[file("/victim")]), "its name is an absolute path"),
        ("no name", packed(&[file("")]), "entry \"\" is refused: it has no name"),
        ("a link to nothing", packed(&[link("x", "")]), "\"x\" is refused: it has no name"),
        ("an absolute link", packed(&[link("x", "/etc")]), "a symbolic link to \"/etc\""),
        ("a link up", packed(&[link("x", "../victim")]), "a symbolic link to \"../victim\""),
        ("a link down and up", packed(&[link("a/x", "b/../../../victim")]), "a symbolic link to \"b/../../../victim\""),
        ("a hard link up", packed(&[(b'1', "h", "../victim", b"")]), "\"h\" is refused: it is a hard link"),
        (
            "a hard link inside",
            packed(&[file("a"), (b'1', "inside", "a", b"")]),
            "\"inside\" is refused: it is a hard link",
        ),
        ("a device of characters", packed(&[(b'3', "null", "", b"")]), "\"null\" is refused: it is a device"),
        ("a device of blocks", packed(&[(b'4', "sda", "", b"")]), "\"sda\" is refused: it is a device"),
        ("a pipe", packed(&[(b'6', "pipe", "", b"")]), "\"pipe\" is refused: it is a device or a named pipe"),
        ("a sparse file", packed(&[(b'S', "sparse", "", b"")]), "it is of kind 'S'"),
        ("a pax header", packed(&[(b'x', "pax", "", b"")]), "it is of kind 'x'"),
        ("a pax header for all", packed(&[(b'g', "global", "", b"")]), "it is of kind 'g'"),
        ("a volume's name", packed(&[(b'V', "volume", "", b"")]), "it is of kind 'V'"),
        ("a kind of nobody's", packed(&[(b'!', "kind", "", b"")]), "it is of kind '!'"),
        (
            "a file in a directory's place",
            packed(&[directory, file("a/b"), file("a")]),
            "\"a\" is refused: something of another kind",
        ),
        (
            "a link in a directory's place",
            packed(&[(b'5', "d", "", b""), link("d", "b")]),
            "\"d\" is refused: something of another kind",
        ),
        (
            "a directory in a file's place",
            packed(&[file("f"), file("f/b")]),
            "\"f/b\" is refused: something of another kind",
        ),
        ("through a link", packed(&[link("l", "d"), file("l/x")]), "through the symbolic link \"l\""),
        (
            "through a link to itself",
            packed(&[link("self", "self"), file("self/x")]),
            "through the symbolic link \"self\"",
        ),
        ("two long names", packed(&[(b'L', "L", "", b"a"), (b'L', "L", "", b"b")]), "it is of kind 'L'"),
        (
            "a name that is too long",
            packed(&[(b'L', "L", "", &long), file("x")]),
            "its name or target is longer than 4096 bytes",
        ),
        ("a zero byte in a name", packed(&[(b'L', "L", "", b"a\0b"), file("x")]), "contains a NUL byte"),
        ("a long name of nothing", packed(&[(b'L', "L", "", b"alone")]), "ends inside the entry \"alone\""),
        (
            "a size that is no number",
            changed(|header| header[124..136].copy_from_slice(b"99999999999\0")),
            "was not a number: 99999999999 when getting size",
        ),
        ("a size beyond all", changed(|header| header[124..136].copy_from_slice(&[0xff; 12])), "size overflow"),
        (
            "a wrong sum",
            {
                let mut tar = tar(&[file("x")]);
                tar[0] = b'y';
                zstd(&tar)
            },
            "header checksum mismatch",
        ),
        ("text", b"hello".to_vec(), "Unknown frame descriptor"),
        ("packed text", zstd(&[b'x'; 4096]), "when getting cksum for"),
        ("half a header", zstd(&tar(&[file("x")])[..300]), "failed to read entire block"),
        (
            "an end inside of a file",
            zstd(&tar(&[(b'0', "half", "", &[b'x'; 5000])])[..1024]),
            "ends inside the entry \"half\"",
        ),
        ("an end inside of the packed bytes", pieces(9), "incomplete frame"),
        ("a window of 128 MiB", window(27), "requires too much memory for decoding"),
        ("a bomb", packed(&[(b'0', "bomb", "", &vec![0; 300 << 20])]), "unpacks to more than 1000 times its size"),
        ("more bytes than allowed", zstd(&vec![0; 2 << 20]), "more than 1048576 bytes when unpacked"),
    ]
}

#[test]
fn every_hostile_archive_is_refused_in_words_of_its_own_and_nothing_is_written_outside() {
    under_cap(
        "archives::every_hostile_archive_is_refused_in_words_of_its_own_and_nothing_is_written_outside",
        900,
        async || {
            let mut wrong = Vec::new();
            let rows = archives();
            for (name, archive, told) in &rows {
                let around = tempfile::tempdir().expect("a directory");
                fs::create_dir(around.path().join("dir")).expect("a directory");
                fs::write(around.path().join("victim"), "untouched").expect("written");
                let dir = Dir::open_ambient_dir(around.path().join("dir"), ambient_authority()).expect("a directory");
                let most = if *name == "more bytes than allowed" { 1 << 20 } else { 1 << 30 };
                let limits = UnpackLimits { links: Links::Inside, max_bytes: most, ..UnpackLimits::default() };
                match unpack(&archive[..], &dir, &limits, None) {
                    Err(error) if error.to_string().contains(told) => {}
                    Err(error) => wrong.push(format!("{name}: {error} has no {told:?}")),
                    Ok(unpacked) => wrong.push(format!("{name}: {unpacked:?}")),
                }
                assert_eq!(fs::read_dir(around.path()).expect("a directory").count(), 2, "{name}");
                assert_eq!(fs::read(around.path().join("victim")).expect("a file"), b"untouched", "{name}");
            }
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
            assert_no_two_alike(rows.iter().map(|(name, _, told)| (*name, *told)), 40);
        },
    );
}
