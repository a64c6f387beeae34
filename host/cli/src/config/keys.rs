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
    /// Whether its value is the path of a file: one that is not absolute is beside the config file.
    pub is_path: bool,
}

const fn key(name: &'static str, by: By) -> Key {
    Key { name, by, variable: None, is_path: false }
}

const fn path(name: &'static str) -> Key {
    Key { name, by: By::User, variable: None, is_path: true }
}

/// All keys. What else a command is told is about the one command.
pub const KEYS: [Key; 17] = [
    Key { name: "home", by: By::User, variable: Some("MONKEYCI_HOME"), is_path: true },
    key("blobs", By::User),
    key("engine", By::User),
    key("permit-network", By::User),
    key("pod-networks", By::User),
    path("registry-auth"),
    key("api-address", By::User),
    key("network-fence", By::User),
    key("wait-for-host", By::User),
    key("git-auth", By::User),
    path("param-file"),
    path("secret-file"),
    key("reveal", By::User),
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
