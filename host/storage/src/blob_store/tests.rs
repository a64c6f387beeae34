//! The blob store over the S3 protocol: against a real server of it in this process, on a socket.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use hyper_util::rt::TokioIo;
use monkeyci_build::{CacheSpec, Source};
use object_store::path::Path;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::blobs::Blobs;
use crate::cache_scope::CacheScope;
use crate::hang_guard;
use crate::sealed;

/// A server with the bucket `bucket`; it dies when it is dropped.
struct S3 {
    address: String,
    dir: tempfile::TempDir,
    serving: JoinSet<()>,
}

impl S3 {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("bucket")).expect("a bucket");
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir.path()).expect("a file system"));
        service.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                connections.spawn(async move {
                    let server = hyper::server::conn::http1::Builder::new();
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { address, dir, serving }
    }

    fn env(&self) -> Env {
        env(&[
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", &self.address),
            ("AWS_ALLOW_HTTP", "true"),
            // The environment of AWS has more than what S3 needs.
            ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ])
    }

    async fn blobs(&self) -> Blobs {
        Blobs::new(open("s3://bucket/our/prefix", self.env()).await.expect("a store"))
    }

    /// The files of the server, with their sizes.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let (mut files, mut dirs) = (Vec::new(), vec![self.dir.path().to_owned()]);
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).expect("a directory") {
                let entry = entry.expect("an entry");
                let metadata = match entry.metadata() {
                    // The server has removed it just now.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    metadata => metadata.expect("metadata"),
                };
                // What the server keeps about buckets, objects and uploads is hidden.
                if metadata.is_dir() {
                    dirs.push(entry.path());
                } else {
                    files.push((entry.path(), metadata.len()));
                }
            }
        }
        files
    }
}

fn env(variables: &[(&str, &str)]) -> Env {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn put(blobs: &Blobs, name: &Path, chunks: Vec<Bytes>) -> io::Result<crate::blobs::Stored> {
    blobs.put(name, futures::stream::iter(chunks.into_iter().map(Ok::<_, io::Error>)).boxed()).await
}

async fn get(blobs: &Blobs, name: &Path) -> Option<Vec<u8>> {
    let bytes = blobs.get(name).await.expect("a store")?;
    Some(bytes.try_collect::<Vec<Bytes>>().await.expect("bytes").concat())
}

/// A mebibyte that is not the same everywhere.
fn mebibyte(seed: u8) -> Bytes {
    (0..1 << 20).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8 ^ seed).collect()
}

#[tokio::test]
async fn blobs_are_put_listed_got_and_removed_below_the_prefix() {
    let s3 = S3::start().await;
    let blobs = s3.blobs().await;
    let names = ["a/one", "a/two", "b"].map(Path::from);
    for name in &names {
        put(&blobs, name, vec![name.to_string().into()]).await.expect("stored");
    }
    assert!(s3.dir.path().join("bucket/our/prefix/a/one").is_file());
    let mut listed: Vec<_> =
        blobs.list(&Path::from("a")).await.expect("a list").into_iter().map(|(name, _)| name).collect();
    listed.sort();
    assert_eq!(listed, names[..2]);
    assert_eq!(get(&blobs, &names[2]).await.as_deref(), Some(&b"b"[..]));
    blobs.remove(&names[2]).await.expect("removed");
    blobs.remove(&names[2]).await.expect("removed before");
    assert_eq!(get(&blobs, &names[2]).await, None);
}

#[tokio::test]
async fn a_large_blob_goes_in_parts_and_comes_back_whole() {
    let s3 = S3::start().await;
    let blobs = s3.blobs().await;
    let (name, chunks) = (Path::from("large"), (0..30).map(mebibyte).collect::<Vec<_>>());
    let stored = put(&blobs, &name, chunks.clone()).await.expect("stored");
    assert_eq!(stored.size, 30 << 20);
    assert!(get(&blobs, &name).await.expect("there") == chunks.concat());
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let s3 = S3::start().await;
    let blobs = s3.blobs().await;
    let before = s3.files();
    let name = Path::from("large");
    let broken = (0..20).map(|i| if i < 19 { Ok(mebibyte(i)) } else { Err(io::Error::other("the sidecar died")) });
    blobs.put(&name, futures::stream::iter(broken).boxed()).await.expect_err("broken");
    assert_eq!(get(&blobs, &name).await, None);
    assert_eq!(s3.files(), before);
}

#[tokio::test]
async fn an_upload_that_nobody_waits_for_any_more_leaves_nothing() {
    let s3 = S3::start().await;
    let blobs = s3.blobs().await;
    let before = s3.files();
    let chunks = futures::stream::iter((0..20).map(|i| Ok::<_, io::Error>(mebibyte(i))));
    let endless = chunks.chain(futures::stream::pending()).boxed();
    let (under_way, name) = (blobs.clone(), Path::from("large"));
    let upload = tokio::spawn(async move { under_way.put(&name, endless).await });
    hang_guard::until("parts under way", || s3.files() != before).await;
    upload.abort();
    hang_guard::until("their removal", || s3.files() == before).await;
}

#[tokio::test]
async fn a_cache_is_found_by_its_key_and_by_a_fallback_with_its_digest() {
    let s3 = S3::start().await;
    let blobs = s3.blobs().await;
    let source = Source { branch: Some("main".to_owned()), ..Source::default() };
    let scope = CacheScope::new("o/r/1", "i", &source);
    let cache = |key: &str| CacheSpec {
        id: "c".to_owned(),
        key: key.to_owned(),
        fallbacks: vec!["linux-".to_owned()],
        ..CacheSpec::default()
    };
    // Long enough for more than one part.
    let content = vec![mebibyte(7); 17];
    let bytes = futures::stream::iter(content.clone().into_iter().map(Ok::<_, io::Error>)).boxed();
    let stored = sealed::put(&blobs, &scope.to_write(&cache("linux-1")), bytes).await.expect("stored");
    for (key, exact) in [("linux-1", true), ("linux-2", false)] {
        let found = scope.find(&blobs, &cache(key)).await.expect("a store").expect("found");
        assert_eq!((found.exact, &found.content.digest), (exact, &stored.digest));
        let bytes: Vec<Bytes> = found.content.bytes.try_collect().await.expect("bytes");
        assert!(bytes.concat() == content.concat());
    }
}

#[tokio::test]
async fn a_missing_bucket_wrong_keys_and_a_dead_server_are_told_apart() {
    let mut s3 = S3::start().await;
    let said = open("s3://another/prefix", s3.env()).await.expect_err("no such bucket");
    assert!(matches!(&said, BlobStoreError::NoBucket { bucket, .. } if bucket == "another"), "{said:?}");

    for (name, wrong) in [("AWS_ACCESS_KEY_ID", "other"), ("AWS_SECRET_ACCESS_KEY", "wrong")] {
        let mut env = s3.env();
        env.retain(|(known, _)| known != name);
        env.push((name.to_owned(), wrong.to_owned()));
        let said = open("s3://bucket", env).await.expect_err("wrong keys");
        assert!(matches!(&said, BlobStoreError::Denied { .. }), "{said:?}");
        assert!(said.to_string().contains("check AWS_ACCESS_KEY_ID"), "{said}");
    }

    let (blobs, env) = (s3.blobs().await, s3.env());
    s3.serving.shutdown().await;
    let said = open("s3://bucket", env).await.expect_err("a dead server");
    assert!(matches!(&said, BlobStoreError::Unreachable { endpoint, .. } if *endpoint == s3.address), "{said:?}");
    assert!(said.to_string().contains("refused"), "{said}");
    put(&blobs, &Path::from("late"), vec![Bytes::from_static(b"x")]).await.expect_err("a dead server");
}

#[tokio::test]
async fn what_is_no_store_is_said_to_be_none() {
    for (url, says) in [
        ("bucket", "no URL"),
        ("s3://", "no bucket"),
        ("s3://user@bucket", "more than a bucket"),
        ("ftp://host/dir", "keeps no blobs in ftp://"),
        ("s3://bucket/a//b", "Path"),
    ] {
        let said = open(url, Env::new()).await.expect_err(url);
        assert!(matches!(said, BlobStoreError::Config { .. }), "{said:?}");
        assert!(said.to_string().contains(says), "{said}");
    }
}

#[tokio::test]
async fn without_keys_nobody_is_asked_for_some() {
    for more in [&[][..], &[("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "")]] {
        let said = open("s3://bucket", env(more)).await.expect_err("no keys");
        assert_eq!(said, BlobStoreError::NoKeys { url: "s3://bucket".to_owned() });
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_encrypted_has_to_be_allowed() {
    let s3 = S3::start().await;
    let mut env = s3.env();
    env.retain(|(name, _)| name != "AWS_ALLOW_HTTP");
    let said = open("s3://bucket", env).await.expect_err("not allowed");
    assert!(said.to_string().contains("AWS_ALLOW_HTTP=true"), "{said}");
}
