//! Where blobs are kept: a directory of the home, or a bucket.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

/// Where artifacts, caches, logs and workspace archives are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BlobStore {
    /// The directory `blobs` of the home.
    #[default]
    Local,
    /// A bucket, and perhaps a prefix in it: `s3://bucket/prefix`. Keys, region and endpoint come from the usual environment
    /// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`). With the features `gcs`
    /// and `azure` also `gs://bucket/prefix` and `az://container/prefix`.
    ///
    /// A host that is killed in the middle of a large upload leaves its parts: give the bucket a lifecycle rule that aborts
    /// incomplete multipart uploads.
    Url(String),
}

/// Why a blob store can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobStoreError {
    /// The URL is none of a store that this host knows, or the environment does not go with it.
    #[error("{url:?} can't be a blob store: {reason}; give one like s3://bucket or s3://bucket/prefix")]
    Config {
        /// The URL.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The local directory can't be used.
    #[error("the blob store in {} can't be used: {reason}", path.display())]
    Local {
        /// The directory.
        path: std::path::PathBuf,
        /// What the system said.
        reason: String,
    },
    /// There are no keys for it.
    #[error(
        "there are no keys for the blob store {url}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
         AWS_EC2_METADATA_DISABLED=false to use the role of the machine that this host runs on"
    )]
    NoKeys {
        /// The URL.
        url: String,
    },
    /// The bucket is not there.
    #[error("the blob store {url} has no bucket {bucket:?} at {endpoint}; make the bucket, or name another one")]
    NoBucket {
        /// The URL.
        url: String,
        /// The bucket.
        bucket: String,
        /// The server that was asked.
        endpoint: String,
    },
    /// The keys are wrong, or don't allow enough.
    #[error(
        "the blob store {url} refuses us at {endpoint}: {reason}; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, and \
         that these keys may list, read, write and delete there"
    )]
    Denied {
        /// The URL.
        url: String,
        /// The server that was asked.
        endpoint: String,
        /// What it said.
        reason: String,
    },
    /// The server can't be reached.
    #[error("the blob store {url} can't be reached at {endpoint}: {reason}; check AWS_ENDPOINT_URL and the network")]
    Unreachable {
        /// The URL.
        url: String,
        /// The server that was asked.
        endpoint: String,
        /// What the system said.
        reason: String,
    },
    /// Anything else that it answered.
    #[error("the blob store {url} failed at {endpoint}: {reason}")]
    Failed {
        /// The URL.
        url: String,
        /// The server that was asked.
        endpoint: String,
        /// What it said.
        reason: String,
    },
}

/// A server that does not answer the first question within this time is not there. Credentials are fetched within it too.
pub(crate) const FIRST_ANSWER: Duration = Duration::from_secs(15);
/// A connection that brings nothing for so long is dead. There is no limit for a whole request: archives are large.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// Has TLS work in this process: the object store speaks it with ring, unless this program has chosen something else before.
fn provide_tls() {
    // It fails if there is one already, and that one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Settings as the environment has them: names and values.
pub(crate) type Env = Vec<(String, String)>;

/// Makes the store of `url`, and asks it whether it can be used: what is wrong is said now, and not when a job has run.
pub(crate) async fn open(url: &str, env: Env) -> Result<Arc<dyn ObjectStore>, BlobStoreError> {
    provide_tls();
    let config = |reason: String| BlobStoreError::Config { url: url.to_owned(), reason };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| config("it is no URL".to_owned()))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() || rest.contains(['?', '#', '@']) {
        return Err(config("it names no bucket, or has more than a bucket and a prefix".to_owned()));
    }
    let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|error| config(error.to_string()))?;
    let store: Arc<dyn ObjectStore> = match scheme {
        "s3" => {
            check_s3(url, &env)?;
            Arc::new(s3(url, &env).map_err(|error| config(cause(&error)))?)
        }
        #[cfg(feature = "gcs")]
        "gs" => Arc::new(
            object_store::gcp::GoogleCloudStorageBuilder::from_env()
                .with_url(url)
                .with_retry(retry())
                .with_client_options(client_options())
                .build()
                .map_err(|error| config(cause(&error)))?,
        ),
        #[cfg(feature = "azure")]
        "az" => Arc::new(
            object_store::azure::MicrosoftAzureBuilder::from_env()
                .with_url(url)
                .with_retry(retry())
                .with_client_options(client_options())
                .build()
                .map_err(|error| config(cause(&error)))?,
        ),
        other => return Err(config(format!("this host keeps no blobs in {other}://"))),
    };
    let store: Arc<dyn ObjectStore> = if prefix.is_root() { store } else { Arc::new(PrefixStore::new(store, prefix)) };
    let place = Place { url, bucket, endpoint: endpoint(scheme, &env) };
    // A list needs the bucket, the keys and the server; one of nothing is short.
    let nothing = Path::from("monkeyci-asks-whether-this-works");
    match tokio::time::timeout(FIRST_ANSWER, store.list(Some(&nothing)).next()).await {
        Ok(Some(Err(error))) => Err(place.explain(&error)),
        Ok(_) => Ok(store),
        Err(_) => Err(place.unreachable(format!("no answer within {} s", FIRST_ANSWER.as_secs()))),
    }
}

/// Where keys for S3 may come from; each is named by whoever starts the host. Without any of them the library would ask the
/// metadata service of the machine for the keys of its role, and nobody has said that the host may have those.
const KEYS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
];

/// Says what the environment lacks, before anything is sent.
fn check_s3(url: &str, env: &Env) -> Result<(), BlobStoreError> {
    let is = |wanted: &str, value: &str| env.iter().any(|(name, is)| name == wanted && is.eq_ignore_ascii_case(value));
    let given = env.iter().any(|(name, value)| KEYS.contains(&name.as_str()) && !value.is_empty());
    if !given && !is("AWS_EC2_METADATA_DISABLED", "false") {
        return Err(BlobStoreError::NoKeys { url: url.to_owned() });
    }
    let endpoint = endpoint("s3", env);
    if endpoint.starts_with("http:") && !is("AWS_ALLOW_HTTP", "true") && !is("AWS_ALLOW_HTTP", "1") {
        let reason = format!("its endpoint {endpoint} is not encrypted, which only AWS_ALLOW_HTTP=true allows");
        return Err(BlobStoreError::Config { url: url.to_owned(), reason });
    }
    Ok(())
}

fn s3(url: &str, env: &Env) -> Result<object_store::aws::AmazonS3, object_store::Error> {
    let build = |options: ClientOptions| {
        let mut builder = AmazonS3Builder::new().with_client_options(options).with_retry(retry());
        for (name, value) in env {
            // What of AWS_* is not about S3 has no key.
            if let (true, Ok(key)) = (name.starts_with("AWS_"), name.to_ascii_lowercase().parse()) {
                builder = builder.with_config(key, value);
            }
        }
        builder.with_url(url).build()
    };
    match build(client_options()) {
        // A machine that trusts no certificate makes no client, and a server without TLS needs none of them.
        Err(_) if endpoint("s3", env).starts_with("http:") => build(client_options().with_no_system_certificates(true)),
        built => built,
    }
}

fn client_options() -> ClientOptions {
    ClientOptions::new().with_timeout_disabled().with_read_timeout(SILENCE).with_connect_timeout(Duration::from_secs(5))
}

/// A few seconds in all: whoever waits for the store (a sidecar, a job's log) tries again itself, or says that it failed.
fn retry() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(3), base: 2. };
    RetryConfig { backoff, max_retries: 4, retry_timeout: Duration::from_secs(30) }
}

/// The server, for messages.
fn endpoint(scheme: &str, env: &Env) -> String {
    let named = |name: &str| env.iter().find(|(known, value)| known == name && !value.is_empty());
    let named = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].into_iter().find_map(named);
    match (scheme, named) {
        ("s3", Some((_, address))) => address.clone(),
        ("s3", None) => "Amazon S3".to_owned(),
        ("gs", _) => "Google Cloud Storage".to_owned(),
        _ => "Azure Blob Storage".to_owned(),
    }
}

/// What a message needs to know.
struct Place<'a> {
    url: &'a str,
    bucket: &'a str,
    endpoint: String,
}

impl Place<'_> {
    fn explain(&self, error: &object_store::Error) -> BlobStoreError {
        let (url, endpoint) = (self.url.to_owned(), self.endpoint.clone());
        let text = error.to_string();
        // The library keeps status and body in its text only.
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
        let status = text.split_once("status code: ").and_then(|(_, rest)| rest.get(..3));
        match (code, status) {
            (Some("NoSuchBucket"), _) | (None, Some("404")) => {
                BlobStoreError::NoBucket { url, bucket: self.bucket.to_owned(), endpoint }
            }
            (code, Some("401" | "403")) => {
                BlobStoreError::Denied { url, endpoint, reason: code.unwrap_or("access denied").to_owned() }
            }
            (Some(code), _) => BlobStoreError::Failed { url, endpoint, reason: code.to_owned() },
            _ if is_network(error) => BlobStoreError::Unreachable { url, endpoint, reason: cause(error) },
            _ => BlobStoreError::Failed { url, endpoint, reason: cause(error) },
        }
    }

    fn unreachable(&self, reason: String) -> BlobStoreError {
        BlobStoreError::Unreachable { url: self.url.to_owned(), endpoint: self.endpoint.clone(), reason }
    }
}

fn is_network(error: &(dyn std::error::Error + 'static)) -> bool {
    let network = |error: &HttpError| {
        matches!(
            error.kind(),
            HttpErrorKind::Connect | HttpErrorKind::Request | HttpErrorKind::Timeout | HttpErrorKind::Interrupted
        )
    };
    std::iter::successors(Some(error), |error| error.source())
        .any(|error| error.downcast_ref::<HttpError>().is_some_and(network))
}

/// What is at the bottom of an error: the layers above only repeat it.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests;
