//! Repositories as strangers make them: each is refused, or what it lacks is said, in words of its own.

use std::fs;
use std::path::Path;

use git2::{ObjectType, Oid, Repository};
use monkeyci_host::{GitAuth, SourceRequest};

use crate::bench::{Bench, assert_no_two_alike, resident, said, under_cap};

const FILE: &str = "100644";
const DIRECTORY: &str = "40000";
const LINK: &str = "120000";
const SUBMODULE: &str = "160000";

/// A repository that nobody checks while it is made.
struct Made(Repository);

impl Made {
    fn blob(&self, content: &[u8]) -> Oid {
        self.0.blob(content).expect("a blob")
    }

    fn write(&self, kind: ObjectType, bytes: &[u8]) -> Oid {
        let odb = self.0.odb().expect("objects");
        odb.write(kind, bytes).expect("an object")
    }

    fn tree(&self, entries: &[(&str, &str, Oid)]) -> Oid {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend(format!("{mode} {name}\0").as_bytes());
            bytes.extend(id.as_bytes());
        }
        self.write(ObjectType::Tree, &bytes)
    }

    /// Makes this tree what is built.
    fn commit(&self, tree: Oid) -> Oid {
        let text = format!("tree {tree}\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nmessage\n");
        let commit = self.write(ObjectType::Commit, text.as_bytes());
        self.head(&format!("{commit}\n"));
        commit
    }

    fn head(&self, text: &str) {
        let main = self.0.path().join("refs/heads/main");
        fs::write(main, text).expect("a ref");
        fs::write(self.0.path().join("HEAD"), "ref: refs/heads/main\n").expect("a head");
    }

    /// One file with this content.
    fn only(&self, mode: &str, name: &str, content: &[u8]) {
        let blob = self.blob(content);
        self.commit(self.tree(&[(mode, name, blob)]));
    }

    /// A submodule at `path`, and what `.gitmodules` says of it.
    fn submodule(&self, path: &str, modules: &str) {
        let modules = self.blob(modules.as_bytes());
        let commit = Oid::from_str("1111111111111111111111111111111111111111").expect("an id");
        self.commit(self.tree(&[(FILE, ".gitmodules", modules), (SUBMODULE, path, commit)]));
    }

    /// The file of an object.
    fn object(&self, id: Oid) -> std::path::PathBuf {
        let id = id.to_string();
        self.0.path().join("objects").join(&id[..2]).join(&id[2..])
    }

    fn remove(&self, id: Oid) {
        fs::remove_file(self.object(id)).expect("removed");
    }

    /// Trees in trees: ten in each, so many deep.
    fn bomb(&self, depth: usize) {
        let mut tree = self.tree(&[(FILE, "f", self.blob(b"x"))]);
        for _ in 0..depth {
            let entries: Vec<String> = (0..10).map(|number| format!("d{number}")).collect();
            let entries: Vec<_> = entries.iter().map(|name| (DIRECTORY, name.as_str(), tree)).collect();
            tree = self.tree(&entries);
        }
        self.commit(tree);
    }
}

fn module(path: &str, url: &str) -> String {
    format!("[submodule \"m\"]\n\tpath = {path}\n\turl = {url}\n")
}

/// What makes a repository what it is called.
type Make = fn(&Made);

const REPOSITORIES: &[(&str, Make, &str)] = &[
    ("no commit", |_| {}, "has no commit yet; push one first"),
    ("a file above", |made| made.only(FILE, "..", b"x"), "an entry \"..\" that can't be checked out"),
    ("a file here", |made| made.only(FILE, ".", b"x"), "an entry \".\" that can't be checked out"),
    (
        "git's own directory",
        |made| made.only(FILE, ".git", b"x"),
        "\".git\" that can't be checked out: the name is git's own",
    ),
    ("git's own directory in capitals", |made| made.only(FILE, ".GIT", b"x"), "\".GIT\" that can't be checked out"),
    ("a name with a slash", |made| made.only(FILE, "a/b", b"x"), "\"a/b\" that can't be checked out: its name is none"),
    ("an absolute name", |made| made.only(FILE, "/etc", b"x"), "\"/etc\" that can't be checked out"),
    ("no name", |made| made.only(FILE, "", b"x"), "can't parse filename"),
    ("a long name", |made| made.only(FILE, &"n".repeat(300), b"x"), "nnn\" can't be checked out: File name too long"),
    ("a mode that is no number", |made| made.only("abc", "word", b"x"), "can't parse filemode"),
    (
        "one name twice",
        |made| {
            let blob = made.blob(b"x");
            made.commit(made.tree(&[(FILE, "twice", blob), (FILE, "twice", blob)]));
        },
        "\"twice\" that can't be checked out: the name comes twice",
    ),
    (
        "a file and a directory of one name",
        |made| {
            let blob = made.blob(b"x");
            let tree = made.tree(&[(FILE, "f", blob)]);
            made.commit(made.tree(&[(FILE, "both", blob), (DIRECTORY, "both", tree)]));
        },
        "\"both\" that can't be checked out: the name comes twice",
    ),
    (
        "a link, and files below it",
        |made| {
            let (target, tree) = (made.blob(b"/tmp"), made.tree(&[(FILE, "f", made.blob(b"x"))]));
            made.commit(made.tree(&[(LINK, "link", target), (DIRECTORY, "link", tree)]));
        },
        "\"link\" that can't be checked out: the name comes twice",
    ),
    (
        "a directory that is a file",
        |made| {
            let blob = made.blob(b"x");
            made.commit(made.tree(&[(DIRECTORY, "dir", blob)]));
        },
        "the requested type does not match the type",
    ),
    (
        "a file that is a directory",
        |made| {
            let tree = made.tree(&[(FILE, "f", made.blob(b"x"))]);
            made.commit(made.tree(&[(FILE, "file", tree)]));
        },
        "it is no file, although its mode says so",
    ),
    (
        "a link that is too long",
        |made| made.only(LINK, "far", &[b'a'; 5000]),
        "\"far\" can't be checked out: File name too long",
    ),
    ("a link to nothing", |made| made.only(LINK, "nowhere", b""), "\"nowhere\" can't be checked out"),
    (
        "a link with a zero byte",
        |made| made.only(LINK, "zero", b"a\0b"),
        "\"zero\" can't be checked out: Invalid argument",
    ),
    (
        "a file whose content is gone",
        |made| {
            let blob = made.blob(b"gone");
            made.commit(made.tree(&[(FILE, "gone", blob)]));
            made.remove(blob);
        },
        "object not found - cannot read header for",
    ),
    (
        "a directory whose list is gone",
        |made| {
            let tree = made.tree(&[(FILE, "f", made.blob(b"x"))]);
            made.commit(made.tree(&[(DIRECTORY, "sub", tree)]));
            made.remove(tree);
        },
        "no match for id (2561a62d",
    ),
    (
        "a commit whose files are gone",
        |made| {
            let tree = made.tree(&[(FILE, "root", made.blob(b"root"))]);
            made.commit(tree);
            made.remove(tree);
        },
        "no match for id (a0234da5",
    ),
    (
        "a branch of a commit that is gone",
        |made| made.head("2222222222222222222222222222222222222222\n"),
        "no match for id (22222222",
    ),
    ("a branch that is no id", |made| made.head("nonsense\n"), "corrupted loose reference file: refs/heads/main"),
    (
        "a branch that leads in a circle",
        |made| {
            made.head("ref: refs/heads/other\n");
            fs::write(made.0.path().join("refs/heads/other"), "ref: refs/heads/main\n").expect("a ref");
        },
        "cannot resolve reference",
    ),
    (
        "a head that is none",
        |made| {
            made.only(FILE, "f", b"x");
            fs::write(made.0.path().join("HEAD"), [0xff; 100]).expect("a head");
        },
        "corrupted loose reference file: HEAD",
    ),
    (
        "an object that is none",
        |made| {
            let blob = made.blob(b"broken");
            made.commit(made.tree(&[(FILE, "broken", blob)]));
            fs::remove_file(made.object(blob)).expect("removed");
            fs::write(made.object(blob), [0x55; 64]).expect("written");
        },
        "failed to read loose object header",
    ),
    (
        "a commit without files",
        |made| {
            let text = "author a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nmessage\n";
            let commit = made.write(ObjectType::Commit, text.as_bytes());
            made.head(&format!("{commit}\n"));
        },
        "failed to parse bad commit object",
    ),
    (
        "a list of files that is cut off",
        |made| {
            let tree = made.write(ObjectType::Tree, b"100644 cut\0short");
            made.commit(tree);
        },
        "can't parse OID",
    ),
    (
        "a configuration that is none",
        |made| {
            made.only(FILE, "f", b"x");
            fs::write(made.0.path().join("config"), "[core\n").expect("written");
        },
        "failed to parse config file",
    ),
    (
        "a format of the future",
        |made| {
            made.only(FILE, "f", b"x");
            fs::write(made.0.path().join("config"), "[core]\n\trepositoryformatversion = 9\n").expect("written");
        },
        "unsupported repository version 9",
    ),
    ("a bomb", |made| made.bomb(8), "more than 1000000 files, links and directories"),
    (
        "a path without end",
        |made| {
            let mut tree = made.tree(&[(FILE, "f", made.blob(b"x"))]);
            for _ in 0..50 {
                tree = made.tree(&[(DIRECTORY, &"d".repeat(100), tree)]);
            }
            made.commit(tree);
        },
        "its path is longer than 4095 bytes",
    ),
    (
        "attributes without end",
        |made| made.only(FILE, ".gitattributes", &b"*.x text\n".repeat(200_000)),
        "more than 1048576 bytes together",
    ),
    ("a submodule that nothing is said of", |made| made.submodule("sub", ""), "it does not stand in .gitmodules"),
    (
        "submodules without end",
        |made| made.submodule("sub", &" ".repeat(2 << 20)),
        ".gitmodules is no file, or has more than 1048576 bytes",
    ),
    (
        "a submodule of this machine",
        |made| made.submodule("here", &module("here", "/etc")),
        "could not find repository at '/etc/'",
    ),
    (
        "a submodule of a file of this machine",
        |made| made.submodule("its", &module("its", "file:///etc")),
        "file:///etc can't be cloned",
    ),
    (
        "a submodule that is a program",
        |made| made.submodule("ext", &module("ext", "ext::sh -c id")),
        "its address ext::sh -c id is of a kind",
    ),
    (
        "a submodule of an option of ssh",
        |made| made.submodule("ssh", &module("ssh", "ssh://-oProxyCommand=id/x")),
        "its address ssh://-oProxyCommand=id/x is of a kind",
    ),
    (
        "a file that lies elsewhere",
        |made| {
            let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
            let (lfs, attributes) = (made.blob(pointer.as_bytes()), made.blob(b"*.bin filter=lfs\n"));
            made.commit(made.tree(&[(FILE, ".gitattributes", attributes), (FILE, "a.bin", lfs)]));
        },
        "lie in Git LFS, which is not fetched",
    ),
];

fn source(at: &Path) -> SourceRequest {
    SourceRequest::Git { url: at.display().to_string(), reference: None, auth: GitAuth::default() }
}

#[test]
fn every_hostile_repository_is_told_in_words_of_its_own() {
    under_cap("repositories::every_hostile_repository_is_told_in_words_of_its_own", 1200, async || {
        let bench = Bench::open(monkeyci_host::Limits::default()).await;
        bench.neighbour_is_well().await;
        let (quiet, mut wrong) = (resident(true), Vec::new());
        for (name, make, told) in REPOSITORIES {
            let dir = tempfile::tempdir().expect("a directory");
            make(&Made(Repository::init_bare(dir.path()).expect("a repository")));
            let report = bench.start_source(source(dir.path()), "action a").end().await;
            let says = said(&report);
            if !says.contains(told) || told.is_empty() {
                wrong.push(format!("{name}: {says:?} has no {told:?}"));
            }
        }
        bench.neighbour_is_well().await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(resident(false) - quiet <= 600, "{} MiB", resident(false) - quiet);
        assert_no_two_alike(REPOSITORIES.iter().map(|(name, _, told)| (*name, *told)), 30);
    });
}
