//! How long a hundred thousand small files take, beside a plain look at each of them: what no archive can do without.

use std::fs;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use criterion::{BatchSize, Criterion, Throughput};
use monkeyci_archive::{Fingerprints, Globs, UnpackLimits, find, list_files, pack, pack_matching, unpack};
use tempfile::TempDir;

const FILES: usize = 100_000;

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
    let (some, sevens) = (Globs::new(&["**/*5", "0*/**"]), Globs::new(&["**/*7"]));
    let (some, sevens) = (some.expect("globs"), sevens.expect("globs"));

    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("a hundred thousand files");
    group.throughput(Throughput::Elements(FILES as u64));
    group.bench_function("look at each (baseline)", |bench| bench.iter(|| look(&root.path().join(top))));
    group.bench_function("pack", |bench| bench.iter(|| pack(&dir, top, std::io::sink()).expect("packed")));
    group.bench_function("pack what matches", |bench| {
        bench.iter(|| pack_matching(&dir, top, &some, std::io::sink()).expect("packed"));
    });
    group.bench_function("fingerprint", |bench| {
        bench.iter(|| Fingerprints::default().take(&dir, top).expect("a fingerprint"));
    });
    group.bench_function("find", |bench| bench.iter(|| find(&dir, &sevens, usize::MAX).expect("found")));
    group.bench_function("list", |bench| {
        bench.iter(|| list_files(&archive[..], &UnpackLimits::default()).expect("a list"));
    });
    group.bench_function("unpack", |bench| {
        let into = |(_root, dir): &(TempDir, Dir)| {
            unpack(&archive[..], dir, &UnpackLimits::default(), None).expect("unpacked");
        };
        bench.iter_batched_ref(memory, |place| into(place), BatchSize::PerIteration);
    });
    group.finish();
    criterion.final_summary();
}
