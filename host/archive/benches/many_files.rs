//! How long a hundred thousand small files take, beside a plain look at each of them: what no archive can do without.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_archive::{Fingerprints, Globs, UnpackLimits, find, list_files, pack, pack_matching, unpack};
use tempfile::TempDir;

const FILES: usize = 100_000;
const TRIES: usize = 5;

/// A directory in memory, where possible: this is about our own work, not about a disk's.
fn memory() -> (TempDir, Dir) {
    let root = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a directory");
    let dir = Dir::open_ambient_dir(root.path(), ambient_authority()).expect("a directory");
    (root, dir)
}

/// Looks at all that is below a directory; returns how many files there are.
fn look(at: &Path) -> usize {
    let entries = fs::read_dir(at).expect("a directory").map(|entry| entry.expect("an entry"));
    let count =
        |entry: fs::DirEntry| if entry.metadata().expect("metadata").is_dir() { look(&entry.path()) } else { 1 };
    entries.map(count).sum()
}

fn main() {
    let (root, dir) = memory();
    for number in 0..FILES {
        let path = root.path().join(format!("t/{:03}/{:03}", number / 1000, number % 1000));
        if number % 1000 == 0 {
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        }
        fs::write(path, b"x").expect("a file");
    }
    let top = Path::new("t");
    let mut archive = Vec::new();
    pack(&dir, top, &mut archive).expect("packed");
    let (some, sevens) = (Globs::new(["**/*5", "0*/**"]), Globs::new(["**/*7"]));
    let (some, sevens) = (some.expect("globs"), sevens.expect("globs"));

    let baseline = median(|| look(&root.path().join(top)));
    println!("{FILES} files, and how often a plain look at each of them would fit in");
    let row = |name: &str, took: Duration| {
        let ratio = took.as_secs_f64() / baseline.as_secs_f64();
        println!("{name:20} {:>8.0} ms {ratio:>6.1}", took.as_secs_f64() * 1000.0);
    };
    row("look (baseline)", baseline);
    row("pack", median(|| pack(&dir, top, std::io::sink()).expect("packed")));
    row("pack what matches", median(|| pack_matching(&dir, top, &some, std::io::sink()).expect("packed")));
    row("fingerprint", median(|| Fingerprints::default().take(&dir, top).expect("a fingerprint")));
    row("find", median(|| find(&dir, &sevens, usize::MAX).expect("found")));
    row("list", median(|| list_files(&archive[..], &UnpackLimits::default()).expect("a list")));
    let mut places: Vec<_> = (0..TRIES).map(|_| memory()).collect();
    let unpacked = median(|| {
        let (_root, dir) = places.pop().expect("a place for each");
        unpack(&archive[..], &dir, &UnpackLimits::default(), None).expect("unpacked")
    });
    row("unpack", unpacked);
}

fn median<T>(mut work: impl FnMut() -> T) -> Duration {
    let mut times: Vec<_> = (0..TRIES)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[TRIES / 2]
}
