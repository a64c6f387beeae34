//! Which builds share a cache: builds of one branch their own, and all may read those of the main branch. So what a branch
//! that nobody has reviewed puts into a cache reaches no build of the main branch.

use monkeyci_build::{CacheSpec, Caches, Source};
use object_store::path::Path;
use sha2::{Digest, Sha256};

use crate::blobs::{Blobs, hex};
use crate::names;
use crate::sealed::{self, Content, Sealed};

/// Where the caches of a build are.
pub struct CacheScope<'a> {
    build: &'a str,
    identity: &'a str,
    own: String,
    main: Option<String>,
}

/// A cache that was found.
pub struct Found {
    /// Whether it was found under its own key.
    pub exact: bool,
    /// The blob's name.
    pub name: Path,
    /// What is in it.
    pub content: Content,
}

impl<'a> CacheScope<'a> {
    /// The caches of a build of this code; `identity` tells repositories of the same name apart.
    pub fn new(build: &'a str, identity: &'a str, source: &Source) -> Self {
        let branch = |name: &String| scope("branch", name);
        // What is only said to be a branch or a tag has caches of its own: it reads what it may, and nobody reads what it writes.
        let is_said = source.given.iter().any(|fact| matches!(fact.as_str(), "branch" | "tag"));
        let own = match (&source.branch, &source.tag, &source.commit) {
            (Some(name), ..) | (None, Some(name), _) if is_said => scope("given", name),
            (Some(name), ..) => branch(name),
            (None, Some(tag), _) => scope("tag", tag),
            (None, None, Some(commit)) => scope("commit", commit),
            (None, None, None) => "none".to_owned(),
        };
        let main = source.main_branch.as_ref().map(branch);
        Self { build, identity, own, main }
    }

    /// The caches of a build that has not those of its branch.
    pub fn confined(self, caches: &Caches) -> Self {
        match caches {
            Caches::Own(name) => Self { own: scope("own", name), ..self },
            Caches::Apart(name) => Self { own: scope("apart", name), main: None, ..self },
        }
    }

    /// Where the build writes the cache.
    pub fn to_write(&self, cache: &CacheSpec) -> Path {
        names::cache(self.build, self.identity, &self.own, &cache.id, &cache.key)
    }

    /// Finds the cache: under its key, else the newest under the first fallback that has one; each in the build's own scope
    /// first, then in that of the main branch.
    pub async fn find(&self, blobs: &Blobs, cache: &CacheSpec) -> Result<Option<Found>, object_store::Error> {
        let main = self.main.as_ref().filter(|main| **main != self.own);
        let scopes = || [Some(&self.own), main].into_iter().flatten();
        for scope in scopes() {
            let name = names::cache(self.build, self.identity, scope, &cache.id, &cache.key);
            if let Some(content) = open(blobs, &name).await? {
                return Ok(Some(Found { exact: true, name, content }));
            }
        }
        for prefix in &cache.fallbacks {
            for scope in scopes() {
                let keys = names::cache_keys(self.build, self.identity, scope, &cache.id);
                let mut all = blobs.list(&keys).await?;
                all.retain(|(name, _)| names::cache_key(&keys, name).is_some_and(|key| key.starts_with(prefix)));
                all.sort_by_key(|(_, changed)| *changed);
                while let Some((name, _)) = all.pop() {
                    // It may have been removed meanwhile.
                    if let Some(content) = open(blobs, &name).await? {
                        return Ok(Some(Found { exact: false, name, content }));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// Opens a cache. One that was cut off is removed, and is none: without it a build is slower, and nothing else.
async fn open(blobs: &Blobs, name: &Path) -> Result<Option<Content>, object_store::Error> {
    match sealed::get(blobs, name).await? {
        Some(Sealed::Whole(content)) => Ok(Some(content)),
        Some(Sealed::Broken) => {
            tracing::warn!(%name, "a cache in the store has no end, and is removed");
            blobs.remove(name).await.map(|()| None)
        }
        None => Ok(None),
    }
}

/// A readable name that is unique by the digest, whatever characters the branch has.
fn scope(kind: &str, name: &str) -> String {
    let digest = hex(&Sha256::digest(name)[..6]);
    let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let short: String = name.chars().take(40).map(clean).collect();
    format!("{kind}-{short}-{digest}")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::{StreamExt, TryStreamExt};

    use super::*;

    async fn put(blobs: &Blobs, name: &Path, text: &'static str) {
        let bytes = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(text.as_bytes()))]);
        sealed::put(blobs, name, bytes.boxed()).await.expect("stored");
    }

    async fn text(found: Option<Found>) -> Option<(bool, String)> {
        let found = found?;
        let chunks: Vec<Bytes> = found.content.bytes.try_collect().await.expect("bytes");
        Some((found.exact, String::from_utf8(chunks.concat()).expect("text")))
    }

    fn on(branch: &str) -> Source {
        Source { branch: Some(branch.to_owned()), main_branch: Some("main".to_owned()), ..Source::default() }
    }

    fn cache(key: &str, fallbacks: &[&str]) -> CacheSpec {
        CacheSpec {
            id: "c".to_owned(),
            key: key.to_owned(),
            fallbacks: fallbacks.iter().map(|prefix| (*prefix).to_owned()).collect(),
            ..CacheSpec::default()
        }
    }

    #[tokio::test]
    async fn a_branch_reads_main_but_main_never_reads_a_branch() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::local(dir.path()).expect("a store");
        let (main, topic) = (on("main"), on("topic"));
        let (main, topic) = (CacheScope::new("o/r/1", "i", &main), CacheScope::new("o/r/2", "i", &topic));
        put(&blobs, &topic.to_write(&cache("", &[])), "poison").await;
        assert_eq!(text(main.find(&blobs, &cache("", &[""])).await.expect("found")).await, None);
        put(&blobs, &main.to_write(&cache("x", &[])), "good").await;
        assert_eq!(text(topic.find(&blobs, &cache("x", &[])).await.expect("found")).await, Some((true, "good".into())));
        let own = text(topic.find(&blobs, &cache("", &[])).await.expect("found")).await;
        assert_eq!(own, Some((true, "poison".into())));
    }

    #[tokio::test]
    async fn what_is_only_said_to_be_the_main_branch_writes_nothing_that_it_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::local(dir.path()).expect("a store");
        let (main, said) = (on("main"), Source { given: vec!["branch".to_owned()], ..on("main") });
        let (main, said) = (CacheScope::new("o/r/1", "i", &main), CacheScope::new("o/r/2", "i", &said));
        put(&blobs, &main.to_write(&cache("x", &[])), "good").await;
        assert_eq!(text(said.find(&blobs, &cache("x", &[])).await.expect("found")).await, Some((true, "good".into())));
        put(&blobs, &said.to_write(&cache("y", &[])), "poison").await;
        assert_eq!(text(main.find(&blobs, &cache("y", &[])).await.expect("found")).await, None);
    }

    #[tokio::test]
    async fn who_has_own_caches_reads_main_and_writes_what_nobody_else_reads_whatever_its_branch_is_called() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::local(dir.path()).expect("a store");
        let source = on("main");
        let scope = || CacheScope::new("o/r/1", "i", &source);
        let own = |name: &str| scope().confined(&Caches::Own(name.to_owned()));
        let apart = || scope().confined(&Caches::Apart("7".to_owned()));
        put(&blobs, &scope().to_write(&cache("x", &[])), "good").await;
        put(&blobs, &own("7").to_write(&cache("y", &[])), "poison").await;
        put(&blobs, &apart().to_write(&cache("z", &[])), "poison").await;
        let find = async |scope: CacheScope<'_>, key: &str| {
            text(scope.find(&blobs, &cache(key, &[])).await.expect("found")).await.map(|(_, text)| text)
        };
        let (good, poison) = (Some("good".to_owned()), Some("poison".to_owned()));
        assert_eq!((find(own("7"), "x").await, find(apart(), "x").await), (good, None));
        assert_eq!((find(own("7"), "y").await, find(apart(), "z").await), (poison.clone(), poison));
        for other in [scope(), own("8"), apart()] {
            assert_eq!(find(other, "y").await, None);
        }
        for other in [scope(), own("7")] {
            assert_eq!(find(other, "z").await, None);
        }
    }

    #[tokio::test]
    async fn the_newest_of_the_first_fallback_with_a_hit_is_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::local(dir.path()).expect("a store");
        let source = on("main");
        let scope = CacheScope::new("o/r/1", "i", &source);
        let long = "k".repeat(300);
        let saved = [("a-1", "old"), ("a-2", "new"), ("b-1", "other"), (long.as_str(), "long")];
        for ((key, content), second) in saved.into_iter().zip(1..) {
            let name = scope.to_write(&cache(key, &[]));
            put(&blobs, &name, content).await;
            let file = std::fs::File::options().write(true).open(dir.path().join(name.as_ref())).expect("a file");
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(second);
            file.set_modified(time).expect("a time can be set");
        }
        let find = async |key: &str, fallbacks: &[&str]| {
            text(scope.find(&blobs, &cache(key, fallbacks)).await.expect("found")).await
        };
        assert_eq!(find("a-3", &["a-", "b-"]).await, Some((false, "new".into())));
        assert_eq!(find("a-3", &["x", "b-"]).await, Some((false, "other".into())));
        assert_eq!(find("a-1", &["b-"]).await, Some((true, "old".into())));
        assert_eq!(find(&long, &[]).await, Some((true, "long".into())));
        assert_eq!(find("a-3", &[]).await, None);
    }

    #[tokio::test]
    async fn a_cache_that_was_cut_off_is_none_and_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let blobs = Blobs::local(dir.path()).expect("a store");
        let source = on("main");
        let scope = CacheScope::new("o/r/1", "i", &source);
        let name = scope.to_write(&cache("k", &[]));
        blobs.put_whole(&name, "half".into()).await.expect("stored");
        assert_eq!(text(scope.find(&blobs, &cache("k", &["k"])).await.expect("found")).await, None);
        assert!(blobs.get(&name).await.expect("a store").is_none());
    }
}
