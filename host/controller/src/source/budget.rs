//! What a repository and its server may cost.

use monkeyci_limits::{Area, Limit, Per};

use super::changes::{MOST_FILES, MOST_PAIRS, MOST_SEEN};
use super::limits::Limits;
use super::{auth, git_ssh, submodules};

/// The limits of checkouts.
pub(crate) fn limits() -> Area {
    let set = Limits::default();
    let limits = vec![
        Limit::bytes("what a clone receives", Per::Build, set.received as u64, "the history of Linux has 5 GiB"),
        Limit::count(
            "files, links and directories of a checkout",
            Per::Build,
            set.entries,
            "Linux has 90,000; 100,000 come out of 180 KB",
        ),
        Limit::bytes("files of a checkout", Per::Build, set.bytes, "a disk's worth"),
        Limit::bytes(
            "a file of a checkout",
            Per::Call,
            set.file,
            "it is held whole, twice if it is stored as a change of another",
        ),
        Limit::bytes(
            "`.gitattributes` files of a repository",
            Per::Build,
            set.attributes,
            "they are held all the time",
        ),
        Limit::bytes("a path in a checkout", Per::Call, set.path as u64, "Linux takes no longer one"),
        Limit::count("submodules", Per::Build, set.submodules as u64, "each is a clone"),
        Limit::count("nesting of submodules", Per::Build, set.depth as u64, "a repository may name itself"),
        Limit::bytes("a `.gitmodules`", Per::Call, submodules::GITMODULES, "far above what 200 submodules take"),
        Limit::count("changed files that are told", Per::Build, MOST_FILES as u64, "more are as good as all"),
        Limit::count(
            "entries of trees that are compared",
            Per::Build,
            MOST_SEEN as u64,
            "10^8 paths come out of 200 KB",
        ),
        Limit::count("pairs of files that are compared for renames", Per::Build, MOST_PAIRS as u64, "as git does"),
        Limit::time("silence of a git server", Per::Call, set.http.silence, "a large pack takes it its time"),
        Limit::time(
            "a connection to a git server",
            Per::Call,
            set.http.connect,
            "one that is there takes it in milliseconds",
        ),
        Limit::bytes("a server's list of branches and tags", Per::Call, set.http.refs, "a million of them"),
        Limit::bytes("what a server is asked for", Per::Call, set.http.question as u64, "it grows with that list"),
        Limit::count("redirects of a git server", Per::Call, set.http.redirects as u64, "more lead in circles"),
        Limit::bytes("what ssh says of an error", Per::Call, git_ssh::SAID as u64, "it goes into an error's text"),
        Limit::bytes("a file of logins", Per::Call, auth::FILE, "a line for each server"),
    ];
    Area { name: "repositories", limits }
}
