//! What a repository may cost us. Each limit is far above what honest repositories have.

use super::git_http;

/// What a repository may cost whoever gets its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// What a server may do to us.
    pub(crate) http: git_http::Limits,
    /// The most bytes that a clone receives, its submodules included. The history of Linux has 5 GiB.
    pub(crate) received: usize,
    /// The most files, links and directories of a checkout, its submodules included. Linux has 90,000. 100,000 of them can come out
    /// of 180 KB.
    pub(crate) entries: u64,
    /// The most bytes in files of a checkout, its submodules included.
    pub(crate) bytes: u64,
    /// The most bytes of one file: it is held whole, twice if it is stored as a change of another.
    pub(crate) file: u64,
    /// The most bytes of all `.gitattributes` files of a repository: they are held all the time.
    pub(crate) attributes: u64,
    /// The longest path, which is Linux's own.
    pub(crate) path: usize,
    /// The most submodules, and how deep they may lie in each other.
    pub(crate) submodules: usize,
    pub(crate) depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            http: git_http::Limits::default(),
            received: 16 << 30,
            entries: 1_000_000,
            bytes: 32 << 30,
            file: 256 << 20,
            attributes: 1 << 20,
            path: 4095,
            submodules: 200,
            depth: 8,
        }
    }
}
