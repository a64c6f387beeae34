//! Files of parameters and secrets.

#[path = "../../../host/cli/src/inputs/file.rs"]
mod file;

/// A byte for the format, and the file.
pub fn params_file(bytes: &[u8]) {
    let Some((format, content)) = bytes.split_first() else { return };
    let name = ["f.json", "f.yaml", "f.toml", "f.env"][usize::from(*format) % 4];
    let Ok(dir) = tempfile::tempdir() else { return };
    let path = dir.path().join(name);
    if std::fs::write(&path, content).is_ok()
        && let Err(error) = file::read(&path)
    {
        // It may be a file of secrets.
        assert!(!format!("{error:#}").contains("s3cr3t"), "{error:#}");
    }
}
