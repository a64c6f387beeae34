//! What whoever calls the server may take.

use std::num::NonZeroUsize;
use std::time::Duration;

use monkeyci_controller::HttpServer;
use monkeyci_limits::{Area, Limit, Per};

use crate::store::Most;

/// The largest body of a request in JSON.
pub(crate) const JSON: usize = 256 << 10;
/// The largest script.
pub(crate) const SCRIPT: usize = 64 << 20;
/// The largest webhook: what GitHub itself does not send more than.
pub(crate) const HOOK: usize = 25 << 20;
/// The most bytes of bodies of bearers of tokens that are in memory at a time.
pub(crate) const BODIES: usize = 128 << 20;
/// The most bytes of webhooks that are in memory at a time. Whoever sends them is nobody yet.
pub(crate) const HOOKS: usize = 64 << 20;
/// So many bytes of a body take nothing of these: there are only as many bodies as connections.
pub(crate) const FREE_BODY: usize = 64 << 10;
/// How long a body may take.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(30);
/// The most streams of events, logs and artifacts at a time, however many connections there may be.
const MAX_STREAMS: usize = 512;
/// The most entries of a page of a list.
pub(crate) const MAX_PAGE: u32 = 100;
/// The entries of a page, where nobody says how many.
pub(crate) const PAGE: u32 = 30;
/// The most builds that are being started at a time.
pub(crate) const MAX_STARTING: usize = 4;
/// The most builds of a repository that wait to be started.
const MAX_WAITING_OF_ONE: u32 = 10_000;
/// The same of all repositories.
const MAX_WAITING: u32 = 100_000;
/// The most builds that wait to be started.
pub(crate) const WAITING: Most = Most { of_repository: MAX_WAITING_OF_ONE, in_all: MAX_WAITING };
/// The builds that run at once for each processor, unless somebody says how many; and the least of that.
const BUILDS_PER_PROCESSOR: usize = 4;
const LEAST_BUILDS: usize = 8;
/// The webhooks of a repository that have started no build, and are kept.
pub(crate) const KEPT_DELIVERIES: u32 = 1_000;
/// The most files that a push may list as changed: of one that lists more, what has changed is found in the repository.
pub(crate) const MAX_CHANGED: usize = 10_000;
/// The most bytes of their paths.
pub(crate) const CHANGED_BYTES: usize = 1 << 20;
/// The most repositories.
pub(crate) const MAX_REPOSITORIES: u32 = 10_000;
/// The most tokens.
pub(crate) const MAX_TOKENS: u32 = 10_000;
/// The longest name of a repository or a token.
pub(crate) const LONGEST_NAME: usize = 64;
/// The longest URL of a repository, and the longest path in one.
pub(crate) const LONGEST_URL: usize = 2048;
/// The longest `Idempotency-Key`, and the longest id of a delivery.
pub(crate) const LONGEST_KEY: usize = 255;
/// The most labels of a repository.
pub(crate) const MAX_LABELS: usize = 32;
/// The most parameters and secrets that are kept for one repository, and the most that are kept for all.
pub(crate) const MAX_INPUTS: u32 = 500;
/// The longest value of one.
pub(crate) const LONGEST_VALUE: usize = 48 << 10;
/// The longest pattern of names.
pub(crate) const LONGEST_PATTERN: usize = 250;
/// Of the builds that hold what was replaced, so many are looked at when something is set.
pub(crate) const MAX_HOLDING: u32 = 100;
/// How long requests that are under way have when the server shuts down.
pub const CLOSING: Duration = Duration::from_secs(10);

/// How many builds run at once, unless somebody says it.
pub(crate) fn builds_at_once() -> NonZeroUsize {
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let builds = processors.saturating_mul(BUILDS_PER_PROCESSOR).max(LEAST_BUILDS);
    NonZeroUsize::new(builds).unwrap_or(NonZeroUsize::MIN)
}

/// The most streams at a time on this machine: whoever reads none has half of the connections.
pub(crate) fn streams() -> usize {
    MAX_STREAMS.min(HttpServer::connections() as usize / 2)
}

/// The limits of this crate.
pub fn limits() -> Area {
    let limits = vec![
        Limit::bytes("a request's body in JSON", Per::Call, JSON as u64, "parameters and names"),
        Limit::bytes("a script that is uploaded", Per::Call, SCRIPT as u64, "as large as a component may be"),
        Limit::bytes("a webhook", Per::Call, HOOK as u64, "GitHub sends none that is larger"),
        Limit::bytes("bodies of bearers of tokens, in memory", Per::Host, BODIES as u64, "two scripts at a time"),
        Limit::bytes(
            "webhooks, in memory",
            Per::Host,
            HOOKS as u64,
            "a signature is known when all is there; further ones are told to come again",
        ),
        Limit::bytes(
            "a body's first bytes, beside those",
            Per::Call,
            FREE_BODY as u64,
            "small ones are read also when large ones have all the memory",
        ),
        Limit::time("a request's body", Per::Call, BODY_TIME, "whoever sends nothing gives the memory to others"),
        Limit::count(
            "streams of events, logs and artifacts",
            Per::Host,
            streams() as u64,
            "each is an open connection; the others stay for short requests",
        )
        .by_machine("half of the connections to the host's socket, at most 512"),
        Limit::count("entries of a page", Per::Call, u64::from(MAX_PAGE), "more are on the next one"),
        Limit::count(
            "entries of a page, unless more are asked for",
            Per::Call,
            u64::from(PAGE),
            "what a person looks at",
        ),
        Limit::count(
            "builds that are being started",
            Per::Host,
            MAX_STARTING as u64,
            "each may clone a repository for its script",
        ),
        Limit::count(
            "builds that run at once, unless somebody says how many",
            Per::Host,
            builds_at_once().get() as u64,
            "the others wait in the database; those that wait for a person, and are parked, take no place",
        )
        .by_machine("four for each processor, at least 8"),
        Limit::count(
            "builds of a repository that wait to be started",
            Per::Host,
            u64::from(MAX_WAITING_OF_ONE),
            "whoever asks for more is told to come again; repositories take turns, so others do not wait for them",
        ),
        Limit::count(
            "builds that wait to be started",
            Per::Host,
            u64::from(MAX_WAITING),
            "a line of the database each",
        ),
        Limit::count(
            "webhooks of a repository that started no build, kept",
            Per::Host,
            u64::from(KEPT_DELIVERIES),
            "whoever looks why nothing was built looks at the last ones; older ones are removed",
        ),
        Limit::count(
            "changed files of a webhook",
            Per::Call,
            MAX_CHANGED as u64,
            "they are kept with the build; of a push with more, what has changed is found in the repository",
        ),
        Limit::bytes(
            "their paths",
            Per::Call,
            CHANGED_BYTES as u64,
            "they stand in the database; the repository knows them too",
        ),
        Limit::count("repositories", Per::Host, u64::from(MAX_REPOSITORIES), "a list of them is read at once"),
        Limit::count("tokens", Per::Host, u64::from(MAX_TOKENS), "a list of them is read at once"),
        Limit::bytes("the name of a repository or a token", Per::Call, LONGEST_NAME as u64, "people read it"),
        Limit::bytes("the URL of a repository, a path in it", Per::Call, LONGEST_URL as u64, "far above any"),
        Limit::bytes("an idempotency key, the id of a delivery", Per::Call, LONGEST_KEY as u64, "it is kept"),
        Limit::count("labels of a repository", Per::Call, MAX_LABELS as u64, "they tell groups of repositories apart"),
        Limit::count(
            "parameters and secrets that are kept for one repository, or for all",
            Per::Host,
            u64::from(MAX_INPUTS),
            "each build is looked up among them; what was replaced counts as long as builds have it",
        ),
        Limit::bytes("the value of one", Per::Call, LONGEST_VALUE as u64, "keys and certificates have a tenth"),
        Limit::bytes("a pattern of names", Per::Call, LONGEST_PATTERN as u64, "as long as a branch's name may be"),
        Limit::count(
            "builds that are looked at when a value is replaced",
            Per::Call,
            u64::from(MAX_HOLDING),
            "what was replaced goes when nobody has it; the others are looked at the next time",
        ),
        Limit::time("requests under way at the server's end", Per::Host, CLOSING, "then they are broken off"),
    ];
    Area { name: "public API", limits }
}
