//! Images: a local one is used as it is, a missing one is pulled.

use std::pin::pin;
use std::time::Duration;

use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptions;
use futures::StreamExt;
use monkeyci_build::PullPolicy;

use super::DockerEngine;
use super::architecture::Architecture;
use super::credentials::login;
use super::fault::{is_disk_full, is_gone, is_missing, refused, said};
use super::raw;
use crate::EngineError;

/// Says in a few words what takes long.
type Progress<'a> = &'a (dyn Fn(String) + Send + Sync);

impl DockerEngine {
    /// Makes sure that the engine has `image`, and says what it is like.
    pub(super) async fn ensure_image(
        &self,
        image: &str,
        policy: PullPolicy,
        progress: Progress<'_>,
    ) -> Result<ImageFacts, EngineError> {
        let reference = full_reference(image)?;
        if policy != PullPolicy::Always
            && let Some(found) = self.look_up(image, &reference).await?
        {
            return Ok(ImageFacts::of(&found));
        }
        may_be_pulled(image, policy)?;
        progress(format!("pulling {image}"));
        self.pull(image, reference.clone(), String::new()).await?;
        match self.look_up(image, &reference).await? {
            Some(found) => Ok(ImageFacts::of(&found)),
            None => Err(EngineError::ImageNotFound {
                image: image.to_owned(),
                reason: "it was pulled, and is gone again".to_owned(),
            }),
        }
    }

    /// Makes sure that the engine has `image` for an architecture. Returns its id: under one name an engine has it for one
    /// architecture at a time, and another job may want another one.
    pub(super) async fn ensure_image_for(
        &self,
        image: &str,
        architecture: &str,
        policy: PullPolicy,
        progress: Progress<'_>,
    ) -> Result<OfPlatform, EngineError> {
        let wanted = Architecture::of(image, architecture)?;
        let (reference, platform) = (full_reference(image)?, wanted.platform());
        let none_such = |reason| EngineError::NoSuchArchitecture {
            image: image.to_owned(),
            architecture: architecture.to_owned(),
            reason,
        };
        let id = |found: &ImageInspect| found.id.clone().unwrap_or_else(|| reference.clone());
        let there = self.look_up(image, &reference).await?;
        if policy != PullPolicy::Always
            && let Some(found) = &there
            && wanted.is(found.architecture.as_deref(), found.variant.as_deref())
        {
            return Ok(OfPlatform { id: id(found), platform, facts: ImageFacts::of(found) });
        }
        may_be_pulled(image, policy)?;
        progress(format!("pulling {image} for {architecture}"));
        match (self.pull(image, reference.clone(), platform.clone()).await, there) {
            (Ok(()), _) => match self.look_up(image, &reference).await? {
                Some(found) => Ok(OfPlatform { id: id(&found), platform, facts: ImageFacts::of(&found) }),
                None => Err(none_such("it was pulled, and is gone again".to_owned())),
            },
            (Err(EngineError::ImageNotFound { reason, .. }), Some(found)) => {
                let has = found.architecture.unwrap_or_else(|| "another one".to_owned());
                Err(none_such(format!("the engine has it for {has}, and can't pull it: {reason}")))
            }
            (Err(EngineError::RegistryUnavailable { image, reason }), Some(found)) => {
                let has = found.architecture.unwrap_or_else(|| "another one".to_owned());
                let reason = format!("the engine has it for {has}, and can't pull it: {reason}");
                Err(EngineError::RegistryUnavailable { image, reason })
            }
            (Err(EngineError::ImageNotFound { reason, .. }), None) if is_about_platforms(&reason) => {
                Err(none_such(reason))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The image, if the engine has it.
    async fn look_up(&self, image: &str, reference: &str) -> Result<Option<ImageInspect>, EngineError> {
        match raw::whole(&self.docker, self.docker.inspect_image(reference)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) if is_gone(&error) => Err(refused(format!("look up image {image}"), &error)),
            Err(error) => Err(EngineError::ImageNotFound { image: image.to_owned(), reason: said(&error) }),
        }
    }

    /// Pulls an image, for a platform or (when empty) the engine's own. Dropping the future makes the engine give the pull up.
    async fn pull(&self, image: &str, reference: String, platform: String) -> Result<(), EngineError> {
        let not_found = |reason: String| EngineError::ImageNotFound { image: image.to_owned(), reason };
        let denied = |reason: String| EngineError::PullDenied { image: image.to_owned(), reason };
        let unavailable = |reason: String| EngineError::RegistryUnavailable { image: image.to_owned(), reason };
        let credentials = match &self.options.registry_auth {
            Some(file) => login(file, &reference).await.map_err(denied)?,
            None => None,
        };
        let options = CreateImageOptions { from_image: Some(reference), platform, ..CreateImageOptions::default() };
        let mut words = pin!(self.docker.create_image(Some(options), None, credentials));
        // Engines say the first word when the registry has answered, and none before: until then, silence means that
        // nothing is there.
        let mut patience = self.options.pull_answer;
        loop {
            match tokio::time::timeout(patience, words.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(_))) => patience = self.options.pull_stall,
                Ok(Some(Err(error))) if is_gone(&error) => {
                    return Err(refused(format!("pull image {image}"), &error));
                }
                Ok(Some(Err(error))) if is_denied(&said(&error)) => {
                    return Err(denied(said(&error)));
                }
                Ok(Some(Err(error))) if is_disk_full(&said(&error)) => {
                    return Err(refused(format!("pull image {image}"), &error));
                }
                Ok(Some(Err(error))) if is_unavailable(&said(&error)) => return Err(unavailable(said(&error))),
                Ok(Some(Err(error))) => return Err(not_found(said(&error))),
                Err(_) => return Err(unavailable(silence(patience, self.options.pull_answer))),
            }
        }
    }
}

/// Whether an image that the engine does not have may be pulled.
fn may_be_pulled(image: &str, policy: PullPolicy) -> Result<(), EngineError> {
    if policy == PullPolicy::Never {
        let reason = "the engine does not have it, and the job says that it is never pulled".to_owned();
        return Err(EngineError::ImageNotFound { image: image.to_owned(), reason });
    }
    Ok(())
}

/// An image for a platform.
pub(super) struct OfPlatform {
    pub(super) id: String,
    pub(super) platform: String,
    pub(super) facts: ImageFacts,
}

/// What an image says of its containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ImageFacts {
    /// The user; root when none.
    pub(super) user: Option<String>,
    /// Program and arguments.
    pub(super) argv: Vec<String>,
    /// The part of it that is the entrypoint.
    pub(super) entrypoint: Vec<String>,
    /// Whether it sets the variable HOME.
    pub(super) has_home: bool,
}

impl ImageFacts {
    fn of(found: &ImageInspect) -> Self {
        let Some(config) = &found.config else { return Self::default() };
        let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        Self {
            user: config.user.clone().filter(|user| !user.is_empty()),
            entrypoint: words(&config.entrypoint),
            argv: [words(&config.entrypoint), words(&config.cmd)].concat(),
            has_home: config.env.iter().flatten().any(|variable| variable.starts_with("HOME=")),
        }
    }
}

/// Whether an engine's words say that an image is there, but not for the platform.
pub(super) fn is_about_platforms(words: &str) -> bool {
    [
        "no matching manifest",
        "does not match the specified platform",
        "no image found in manifest list",
        "no image found in image index",
    ]
    .iter()
    .any(|known| words.contains(known))
}

/// Whether an engine's words say that the registry would not let it have the image. (Some registries say so too of an image
/// that is not there, so that nobody can tell which are.)
fn is_denied(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    [
        "access denied",
        "access to the resource is denied",
        "authentication required",
        "forbidden",
        "http 401",
        "http 403",
        "no basic auth credentials",
        "unauthorized",
    ]
    .iter()
    .any(|known| words.contains(known))
}

/// Whether an engine's words say that it did not hear from the registry, or that the registry can't answer now. Engines say the words
/// of their network library, of HTTP, and of the registry's protocol.
fn is_unavailable(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    [
        "bad gateway",
        "connection refused",
        "connection reset",
        "context deadline exceeded",
        "gateway timeout",
        "i/o timeout",
        "internal server error",
        "name resolution",
        "network is unreachable",
        "no route to host",
        "no such host",
        "request canceled",
        "server misbehaving",
        "service unavailable",
        "timeout exceeded",
        "tls handshake",
        "too many requests",
        "toomanyrequests",
        "unexpected eof",
        ": eof",
    ]
    .iter()
    .any(|known| words.contains(known))
}

fn silence(waited: Duration, answer: Duration) -> String {
    let seconds = waited.as_secs_f32();
    if waited == answer {
        format!("its registry did not answer within {seconds} s")
    } else {
        format!("the pull made no progress for {seconds} s")
    }
}

/// The reference with its tag spelt out: an engine asked to pull a name without a tag pulls all of its tags.
fn full_reference(image: &str) -> Result<String, EngineError> {
    // It becomes a part of a URL: nothing but what a reference is made of may get there.
    let harmless = image.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b));
    let whole = image.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if !harmless || !whole {
        return Err(EngineError::ImageNotFound {
            image: image.to_owned(),
            reason: "this is no image reference ([registry/]name[:tag] or name@digest)".to_owned(),
        });
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    Ok(if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_without_a_tag_means_latest() {
        for (given, full) in [
            ("debian", "debian:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("debian:12", "debian:12"),
            ("debian@sha256:00", "debian@sha256:00"),
        ] {
            assert_eq!(full_reference(given).expect("a reference"), full);
        }
    }

    #[test]
    fn a_registry_that_says_no_is_told_from_one_that_has_nothing() {
        for denied in [
            "pull access denied for x, repository does not exist or may require 'docker login'",
            "Head \"https://registry/v2/x/manifests/1\": unauthorized: authentication required",
            "initializing source docker://registry/x:1: reading manifest 1: StatusCode: 403, Forbidden",
        ] {
            assert!(is_denied(denied), "{denied}");
        }
        for other in ["manifest unknown", "dial unix /run/x.sock: connect: permission denied", "connection refused"] {
            assert!(!is_denied(other), "{other}");
        }
    }

    #[test]
    fn a_registry_that_did_not_answer_is_told_from_one_that_has_nothing() {
        for unavailable in [
            "Get \"https://localhost:1/v2/\": dial tcp [::1]:1: connect: connection refused",
            "pinging container registry localhost:1: Get \"https://localhost:1/v2/\": dial tcp: i/o timeout",
            "Get \"https://registry.invalid/v2/\": dial tcp: lookup registry.invalid: no such host",
            "Get \"https://x/v2/\": net/http: TLS handshake timeout",
            "received unexpected HTTP status: 503 Service Unavailable",
            "toomanyrequests: You have reached your pull rate limit",
            "Head \"https://x/v2/a/manifests/1\": EOF",
        ] {
            assert!(is_unavailable(unavailable), "{unavailable}");
        }
        for other in ["manifest for x:1 not found: manifest unknown: manifest unknown", "invalid reference format"] {
            assert!(!is_unavailable(other), "{other}");
        }
    }

    #[test]
    fn a_reference_that_is_a_path_or_a_query_is_refused() {
        for image in ["", "../containers/x", "a//b", "/a", "a?b=c", "a#b", "a b", "%2e%2e/x"] {
            let error = full_reference(image).expect_err("no reference").to_string();
            assert!(error.contains("no image reference"), "{error}");
        }
    }
}
