//! The command line of the server.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::{EngineArgs, HomeArgs, StoreArgs};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  monkeyci-host serve\n  monkeyci-host serve --listen 127.0.0.1:8210 --data /var/lib/monkeyci-host\n\nThe first start prints a token for everything, once; `--new-token` makes another one. With it:\n  curl localhost:8210/api/v1/repositories -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' -d '{\"url\": \"https://host/team/app\", \"script_path\": \".monkeyci/ci.wasm\"}'\n  curl localhost:8210/api/v1/repositories/app/builds -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' -d '{\"branch\": \"main\"}'\n  curl -N localhost:8210/api/v1/builds/$BUILD/events -H \"Authorization: Bearer $TOKEN\" -H 'Accept: text/event-stream'"
)]
pub struct ServeArgs {
    /// The address to listen on.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8210")]
    pub listen: SocketAddr,
    /// Where the server keeps all that it has; a home of the other commands too. Default: as theirs.
    #[arg(long = "home", visible_alias = "data", value_name = "D")]
    pub data: Option<PathBuf>,
    /// Listen also on an address that others reach, without TLS: tokens go over it. Only behind a proxy that brings TLS, or in a network that
    /// nobody else is on.
    #[arg(long)]
    pub plain_network: bool,
    /// Make a token for everything, and print it, also if there is one already: for whoever has lost it.
    #[arg(long)]
    pub new_token: bool,
    /// The file of the key that secrets, parameters and secrets of webhooks are sealed with: 32 random bytes in base64, which nobody else can
    /// read. Default: $MONKEYCI_MASTER_KEY, the key itself; else server.key in the data directory, which is drawn by the first start.
    #[arg(long, value_name = "F", env = "MONKEYCI_MASTER_KEY_FILE")]
    pub master_key: Option<PathBuf>,
    /// The file of the key that they may still be sealed with: then they are sealed anew.
    #[arg(long, value_name = "F")]
    pub master_key_before: Option<PathBuf>,
    /// Draw another key for server.key, and seal everything with that.
    #[arg(long, conflicts_with = "master_key")]
    pub rotate_master_key: bool,
    /// How many builds run at once; further ones wait, and repositories take turns. Default: four for each processor, at least 8.
    #[arg(long, value_name = "N")]
    pub builds: Option<NonZeroUsize>,
    /// Who we are for git servers; see `run`.
    #[arg(long = "git-auth", value_name = "A")]
    pub git_auth: Vec<String>,
    /// Keep artifacts, caches and logs in a bucket; see `run`.
    #[arg(long, value_name = "URL", env = "MONKEYCI_BLOBS")]
    pub blobs: Option<String>,
    #[command(flatten)]
    pub engine: EngineArgs,
}

impl ServeArgs {
    /// What the other commands call it.
    pub fn stores(&self) -> StoreArgs {
        StoreArgs { home: HomeArgs { home: self.data.clone() }, blobs: self.blobs.clone() }
    }
}
