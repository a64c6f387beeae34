//! Archives of artifacts and caches.

use std::io::Read;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use monkeyci_archive::{Links, UnpackLimits, extract_file, list_files, unpack};

/// Small, so that what is found is a fault and not a full disk.
fn limits(links: Links) -> UnpackLimits {
    UnpackLimits { max_bytes: 1 << 20, max_entries: 100, links, ..UnpackLimits::default() }
}

/// An archive, as it comes.
pub fn archive(bytes: &[u8]) -> bool {
    let mut taken = false;
    for links in [Links::Inside, Links::Any] {
        let limits = limits(links);
        let listed = list_files(bytes, &limits);
        if let Ok(files) = &listed {
            for (path, size) in files.iter().take(3) {
                let file = extract_file(bytes, path, &limits).expect("it is on the list");
                assert_eq!(file.size(), *size, "the size on the list");
                let mut content = Vec::new();
                let _ = file.take(1 << 20).read_to_end(&mut content);
            }
        }
        let Ok(place) = tempfile::tempdir() else { return false };
        let (inside, outside) = (place.path().join("inside"), place.path().join("outside"));
        let made = std::fs::create_dir(&inside).and_then(|()| std::fs::write(&outside, "as it was"));
        let Ok(dir) = made.and_then(|()| Dir::open_ambient_dir(&inside, ambient_authority())) else { return false };
        taken |= unpack(bytes, &dir, &limits, None).is_ok();
        let beside = std::fs::read_dir(place.path()).map(|entries| entries.count());
        assert_eq!(beside.ok(), Some(2), "something was written outside");
        assert_eq!(std::fs::read(&outside).ok().as_deref(), Some(&b"as it was"[..]), "something outside was changed");
    }
    let _ = extract_file(bytes, Path::new("file"), &limits(Links::Inside));
    taken
}

/// What is in an archive: compressed here, so that what a decoder would refuse is not in the way.
pub fn tar(bytes: &[u8]) -> bool {
    zstd::stream::encode_all(bytes, 1).is_ok_and(|packed| archive(&packed))
}
