//! A server that speaks S3's protocol, on this machine.

use std::path::PathBuf;
use std::process::Command;

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::hang_guard;

/// The key that the server knows.
const KEY: &str = "the-key";
/// What goes with it: like nothing else that a host prints.
pub const SECRET: &str = "9f2c-the-secret-of-the-key-77b1";

/// A server with the bucket `bucket`. It dies, and its connections with it, when it is dropped.
pub struct S3 {
    address: String,
    dir: TempDir,
    runtime: Option<Runtime>,
    gate: Gate,
}

/// Lets artifacts in, or holds them up.
#[derive(Clone, Default)]
struct Gate {
    closed: watch::Sender<bool>,
    /// How many requests have been held up.
    held: watch::Sender<usize>,
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> s3s::S3Result<()> {
        if request.credentials().is_none() {
            return Err(s3s::s3_error!(AccessDenied));
        }
        if request.method() == "PUT" && request.uri().path().contains("/artifacts/") && *self.closed.borrow() {
            self.held.send_modify(|held| *held += 1);
            let _ = self.closed.subscribe().wait_for(|closed| !closed).await;
        }
        Ok(())
    }
}

impl S3 {
    /// Starts one.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("bucket")).expect("a bucket");
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir.path()).expect("a file system"));
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let gate = Gate::default();
        service.set_access(gate.clone());
        let service = service.build();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let server = http1::Builder::new();
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { address, dir, runtime: Some(runtime), gate }
    }

    /// Takes no artifact any more until it is let go on: whoever brings one waits.
    pub fn hold_artifacts(&self) {
        self.gate.closed.send_replace(true);
    }

    /// Waits until an artifact is held up.
    pub fn wait_until_held(&self) {
        hang_guard::until("an artifact in the store", || *self.gate.held.borrow() > 0);
    }

    /// Takes artifacts again, also those that wait.
    pub fn go_on(&self) {
        self.gate.closed.send_replace(false);
    }

    /// Its address, `http://HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sets the variables that lead a host to it.
    pub fn lead(&self, command: &mut Command) {
        lead(command, &self.address);
    }

    /// The names of all objects in the bucket, in order.
    pub fn objects(&self) -> Vec<String> {
        let bucket = self.dir.path().join("bucket");
        let (mut objects, mut dirs) = (Vec::new(), vec![bucket.clone()]);
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).expect("a directory") {
                let path: PathBuf = entry.expect("an entry").path();
                match path.strip_prefix(&bucket) {
                    _ if path.is_dir() => dirs.push(path),
                    Ok(name) => objects.push(name.display().to_string()),
                    Err(_) => {}
                }
            }
        }
        objects.sort();
        objects
    }

    /// Ends it as a crash would: whoever speaks with it is cut off, and nobody answers any more.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sets the variables that lead a host to a server at this address, with keys that ours would take.
pub fn lead(command: &mut Command, address: &str) {
    command
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL", address)
        .env("AWS_ALLOW_HTTP", "true");
}
