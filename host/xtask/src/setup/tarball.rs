//! Writing a tar archive, in the old format that everything reads: enough for the root of a small image.

/// An archive that grows.
#[derive(Default)]
pub struct Tarball {
    bytes: Vec<u8>,
}

const BLOCK: usize = 512;

impl Tarball {
    /// A folder.
    pub fn dir(&mut self, path: &str, mode: u32) {
        self.entry(&format!("{path}/"), mode, b'5', "", &[]);
    }

    /// A file.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.entry(path, mode, b'0', "", content);
    }

    /// A symbolic link.
    pub fn symlink(&mut self, path: &str, to: &str) {
        self.entry(path, 0o777, b'2', to, &[]);
    }

    /// Another name of a file that is in the archive already.
    pub fn hard_link(&mut self, path: &str, to: &str, mode: u32) {
        self.entry(path, mode, b'1', to, &[]);
    }

    /// The bytes of the archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    /// Everything belongs to root and is as old as the epoch, so that the same image has the same id.
    fn entry(&mut self, path: &str, mode: u32, kind: u8, link: &str, content: &[u8]) {
        let mut header = [0u8; BLOCK];
        let mut put = |at: usize, room: usize, text: &str| {
            assert!(text.len() <= room, "{text} is too long for a tar header");
            header[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        put(0, 100, path);
        put(100, 8, &format!("{mode:07o}"));
        put(108, 8, "0000000");
        put(116, 8, "0000000");
        put(124, 12, &format!("{:011o}", content.len()));
        put(136, 12, "00000000000");
        put(148, 8, "        ");
        put(157, 100, link);
        put(257, 6, "ustar");
        put(263, 2, "00");
        header[156] = kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_tar_program_unpacks_what_was_packed() {
        let mut tarball = Tarball::default();
        tarball.dir("tmp", 0o1777);
        tarball.file("bin-like", 0o755, &[7; 700]);
        tarball.hard_link("other", "bin-like", 0o755);
        tarball.symlink("tmp/link", "../bin-like");
        tarball.file("empty", 0o644, b"");

        let dir = std::env::temp_dir().join(format!("xtask-{}-tar", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder");
        fs::write(dir.join("a.tar"), tarball.finish()).expect("a file");
        let status =
            crate::command::program("tar").args(["-x", "-p", "-f", "a.tar"]).current_dir(&dir).status().expect("tar");
        let names = |name: &str| fs::metadata(dir.join(name)).expect("unpacked");
        let (file, other, tmp) = (names("bin-like"), names("other"), names("tmp"));
        let link = fs::read(dir.join("tmp/link")).expect("a link");
        let empty = fs::read(dir.join("empty")).expect("a file");
        fs::remove_dir_all(&dir).ok();

        assert!(status.success());
        assert_eq!(file.ino(), other.ino(), "one file with two names");
        assert_eq!(file.mode() & 0o7777, 0o755);
        assert_eq!(tmp.mode() & 0o7777, 0o1777);
        assert_eq!(link, [7; 700]);
        assert!(empty.is_empty());
    }
}
