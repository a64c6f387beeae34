//! What a config file may say: one table, for reading it, for `config show`, and for `help config`.

/// Whose files may say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The user's alone: a repository that is not trusted would give itself more than it has, or reach what is not its own.
    User,
    /// A repository's too.
    Both,
}

/// A key of a config file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name: the long option's.
    pub name: &'static str,
    /// Who may say it.
    pub by: By,
    /// A variable that counts before the files and that the command line does not know of.
    pub variable: Option<&'static str>,
    /// Where in its value the path of a file is: one that is not absolute is beside the config file.
    pub paths: Paths,
    /// Whether it is about a new build: what goes on with one, runs one again or looks into one takes what that had.
    pub of_new_builds: bool,
}

/// Where in a value the path of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// It has none.
    None,
    /// It is one.
    Whole,
    /// It is one, or one comes after its kind: ssh-key=PATH.
    GitAuth,
}

const fn key(name: &'static str, by: By) -> Key {
    Key { name, by, variable: None, paths: Paths::None, of_new_builds: false }
}

const fn path(name: &'static str) -> Key {
    Key { paths: Paths::Whole, ..key(name, By::User) }
}

const fn new_build(key: Key) -> Key {
    Key { of_new_builds: true, ..key }
}

/// All keys. What else a command is told is about the one command.
pub const KEYS: [Key; 17] = [
    Key { variable: Some("MONKEYCI_HOME"), ..path("home") },
    key("blobs", By::User),
    key("engine", By::User),
    key("permit-network", By::User),
    key("pod-networks", By::User),
    path("registry-auth"),
    key("api-address", By::User),
    key("network-fence", By::User),
    key("wait-for-host", By::User),
    Key { paths: Paths::GitAuth, ..key("git-auth", By::User) },
    new_build(path("param-file")),
    new_build(path("secret-file")),
    new_build(key("reveal", By::User)),
    key("jobs", By::User),
    key("keep-failed", By::User),
    key("progress", By::Both),
    key("timeout", By::Both),
];

/// The tables: names and values.
pub const PARAM: &str = "param";
/// Names, and the files that hold the secrets.
pub const SECRET: &str = "secret";

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The names of all keys and tables.
pub fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.name).chain([PARAM, SECRET])
}
