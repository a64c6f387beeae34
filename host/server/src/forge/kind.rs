//! The forges: how each signs its webhooks, and how it says which one this is and what it is about.

use hmac::{Hmac, Mac};
use http::HeaderMap;
use sha2::{Digest, Sha256};

use super::Happened;
use super::{bitbucket, github, gitlab};
use crate::forge::ForgeEventError;
use crate::tokens::same;

/// A forge that sends webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Forge {
    GitHub,
    GitLab,
    Gitea,
    Forgejo,
    Bitbucket,
}

/// How a forge shows that a webhook is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// `sha256=`, and an HMAC-SHA256 of the body in hexadecimal, in this header.
    Prefixed(&'static str),
    /// The same without what is before it.
    Bare(&'static str),
    /// The secret itself, in this header.
    Secret(&'static str),
}

/// What a webhook shows, before anything of its body is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Signature(Vec<u8>),
    /// Of a secret: its digest, so that it is compared in a time that tells nothing of it.
    Digest([u8; 32]),
}

impl Forge {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 5] = [Self::GitHub, Self::GitLab, Self::Gitea, Self::Forgejo, Self::Bitbucket];

    /// What it is called in keys of builds and to people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::Bitbucket => "bitbucket",
        }
    }

    fn proof(self) -> Proof {
        match self {
            Self::GitHub => Proof::Prefixed("x-hub-signature-256"),
            Self::GitLab => Proof::Secret("x-gitlab-token"),
            Self::Gitea => Proof::Bare("x-gitea-signature"),
            Self::Forgejo => Proof::Bare("x-forgejo-signature"),
            Self::Bitbucket => Proof::Prefixed("x-hub-signature"),
        }
    }

    /// The header in which it shows that.
    pub(crate) fn proof_header(self) -> &'static str {
        match self.proof() {
            Proof::Prefixed(header) | Proof::Bare(header) | Proof::Secret(header) => header,
        }
    }

    /// The headers that tell this delivery from others: the first that is there counts.
    pub(crate) fn delivery_headers(self) -> &'static [&'static str] {
        match self {
            Self::GitHub => &["x-github-delivery"],
            // The first is the same when it tries again; older versions have the second alone.
            Self::GitLab => &["idempotency-key", "x-gitlab-event-uuid"],
            Self::Gitea => &["x-gitea-delivery"],
            Self::Forgejo => &["x-forgejo-delivery"],
            Self::Bitbucket => &["x-request-uuid"],
        }
    }

    /// The header that says what it is about.
    pub(crate) fn event_header(self) -> &'static str {
        match self {
            Self::GitHub => "x-github-event",
            Self::GitLab => "x-gitlab-event",
            Self::Gitea => "x-gitea-event",
            Self::Forgejo => "x-forgejo-event",
            Self::Bitbucket => "x-event-key",
        }
    }

    /// What a webhook shows of itself; `None` if that can't be a proof.
    pub(crate) fn shown(self, headers: &HeaderMap) -> Option<Shown> {
        let text = headers.get(self.proof_header())?.to_str().ok()?;
        let signature = |text: &str| unhex(text).filter(|signature| signature.len() == 32).map(Shown::Signature);
        match self.proof() {
            Proof::Prefixed(_) => signature(text.strip_prefix("sha256=")?),
            Proof::Bare(_) => signature(text),
            Proof::Secret(_) => (!text.is_empty()).then(|| Shown::Digest(Sha256::digest(text).into())),
        }
    }

    /// What has happened, as the body of a webhook says it.
    pub(crate) fn happened(self, event: &str, body: &[u8]) -> Result<Happened, ForgeEventError> {
        match (self, event) {
            (Self::GitHub | Self::Gitea | Self::Forgejo, "push") => github::push(self, body),
            (Self::GitHub | Self::Gitea | Self::Forgejo, "pull_request" | "pull_request_sync") => {
                github::pull_request(body)
            }
            (Self::GitHub, "ping") => Ok(Happened::nothing("the forge asks whether somebody answers")),
            (Self::GitLab, "Push Hook" | "Tag Push Hook") => gitlab::push(body),
            (Self::GitLab, "Merge Request Hook") => gitlab::merge_request(body),
            (Self::Bitbucket, "repo:push") => bitbucket::push(body),
            (Self::Bitbucket, "pullrequest:created" | "pullrequest:updated") => bitbucket::pull_request(body),
            _ => Ok(Happened::nothing(format!("events {} start no build", shortened(event)))),
        }
    }
}

impl Shown {
    /// Whether it is so of a body and a secret. What is compared takes a time that tells nothing of where it differs.
    pub(crate) fn is_good(&self, secret: &[u8], body: &[u8]) -> bool {
        match self {
            Self::Signature(signature) => {
                let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
                mac.update(body);
                mac.verify_slice(signature).is_ok()
            }
            Self::Digest(digest) => same(digest, &Sha256::digest(secret)),
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// The name of an event, for the list.
pub(crate) fn shortened(event: &str) -> &str {
    event.get(..event.floor_char_boundary(64)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(forge: Forge, text: &str) -> Option<Shown> {
        let mut headers = HeaderMap::new();
        headers.insert(forge.proof_header(), text.parse().expect("a value"));
        forge.shown(&headers)
    }

    #[test]
    fn the_signature_that_github_documents_is_good_and_none_other_is() {
        // From "Validating webhook deliveries" of GitHub's docs.
        let (secret, body) = (b"It's a Secret to Everybody", b"Hello, World!");
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let upper = good.to_uppercase().replace("SHA256", "sha256");
        for forge in [Forge::GitHub, Forge::Bitbucket] {
            for good in [good, &upper] {
                assert!(shown(forge, good).is_some_and(|shown| shown.is_good(secret, body)), "{forge:?}");
            }
            for wrong in ["", "sha256=", &good[..69], &good[7..], "sha256=zz"] {
                assert_eq!(shown(forge, wrong), None, "{forge:?} {wrong:?}");
            }
            let shown = shown(forge, good).expect("a signature");
            assert!(!shown.is_good(b"another", body) && !shown.is_good(secret, b"Hello, World?"));
        }
        for forge in [Forge::Gitea, Forge::Forgejo] {
            assert!(shown(forge, &good[7..]).is_some_and(|shown| shown.is_good(secret, body)), "{forge:?}");
            assert!(shown(forge, good).is_none() && shown(forge, &good[9..]).is_none());
        }
    }

    #[test]
    fn gitlab_shows_the_secret_itself_and_no_other_text_is_it() {
        let is_good = |text: &str| shown(Forge::GitLab, text).is_some_and(|shown| shown.is_good(b"the secret", b"any"));
        assert!(is_good("the secret"));
        for wrong in ["", "the secre", "the secret ", "the secret2", "The secret"] {
            assert!(!is_good(wrong), "{wrong:?}");
        }
        for forge in Forge::ALL {
            assert_eq!(forge.shown(&HeaderMap::new()), None, "{forge:?}");
        }
    }
}
