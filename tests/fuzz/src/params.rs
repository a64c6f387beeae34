//! Files of parameters and secrets.

#[path = "../../../host/cli/src/inputs/file.rs"]
mod file;

/// A byte for the format, and the file.
pub fn params_file(bytes: &[u8]) -> bool {
    let Some((format, content)) = bytes.split_first() else { return false };
    let name = ["f.json", "f.yaml", "f.toml", "f.env"][usize::from(*format) % 4];
    let Ok(dir) = tempfile::tempdir() else { return false };
    let path = dir.path().join(name);
    if std::fs::write(&path, content).is_err() {
        return false;
    }
    let read = file::read(&path);
    if let Err(error) = &read {
        // It may be a file of secrets.
        assert!(!format!("{error:#}").contains("s3cr3t"), "{error:#}");
    }
    read.is_ok()
}
