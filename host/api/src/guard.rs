//! What an engine orders of the guard: our program that a container begins as, before it becomes what it is for.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use monkeyci_build::{AddressRange, Destination};
use serde::{Deserialize, Serialize};

use crate::Hidden;

/// The guard's orders, JSON, its first argument. What follows is the program that it becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardOrders {
    /// What the container may reach from now on; nothing changes when none, as for one more program in a container that is
    /// guarded already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkRules>,
    /// The user to become, as the container's files know it: `name`, `uid`, `uid:gid`. Root when none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether nobody has set the variable `HOME`, so that the user's own directory is meant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub set_home: bool,
    /// The path of a file with more variables for the program, a map in JSON, read while the guard is root: what is nobody's
    /// business is neither in these orders nor in the container's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// Whether what else it is to do is handed to it, as [`Handed`]; what follows the orders is no program then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub handed: bool,
}

/// What the guard of a further program is handed over its standard input, so that neither the engine nor the list of the machine's
/// processes has it.
///
/// The guard writes [`HAND_OVER`]. What it is handed is the length of what follows, in decimal digits with a line end, and this in
/// JSON. All that comes after that is for the program. A terminal echoes nothing meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    /// The program and its arguments; a shell of the image when empty.
    pub program: Vec<String>,
    /// The program's variables on top of the container's.
    pub env: Hidden<BTreeMap<String, String>>,
    /// The job's files by the variables that name them; see [`crate::paths::JOB_FILES`].
    pub files: Hidden<BTreeMap<String, Vec<u8>>>,
    /// Whether those are all of the job's files: what was there before is removed.
    pub only_these_files: bool,
    /// The working directory. Where there is none, the workspace or the root stands in, and that is said.
    pub work_dir: String,
    /// Names that the container is to know, with their addresses: services may have others than when it began.
    pub hosts: BTreeMap<String, IpAddr>,
    /// What is to accept connections before the program runs, and how long that may take, in milliseconds.
    pub ready: Vec<(SocketAddr, u64)>,
}

/// What the guard writes when it can be handed something: a byte that no terminal shows.
pub const HAND_OVER: u8 = 6;

/// What a container may reach beside its own pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkRules {
    /// Whether it is the internet: all but private networks.
    pub internet: bool,
    /// What it may reach beside that; hosts by their addresses, since names were looked up before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Destination>,
    /// Private networks that whoever runs the host permits: what is allowed counts there too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub permitted: Vec<AddressRange>,
    /// Name servers that the container's resolver may ask, beside those that the container knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<IpAddr>,
    /// What the networks of pods are taken from: it reaches its own of them, and no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<AddressRange>,
    /// Addresses of the machine that it runs on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machine: Vec<IpAddr>,
}
