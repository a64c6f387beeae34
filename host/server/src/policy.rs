//! What builds may have and do, by where they come from.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::origin::{BuildFacts, Origin};
use crate::pattern::Pattern;

/// The file of a policy, in the data directory.
pub(crate) const FILE: &str = "policy.toml";
/// The largest file of a policy: whoever runs the server writes it.
const LARGEST: u64 = 64 << 10;

/// Says what the builds of a server may have and do. A [`Policy`] is one, which a file says; a program of your own may have another.
///
/// It is asked when a build is asked for, and again when it begins; so it says the same of the same build.
pub trait BuildPolicy: fmt::Debug + Send + Sync + 'static {
    /// What a build may, of which this is known.
    fn rule(&self, build: &BuildFacts) -> Rule;
}

/// Whether a build runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Run {
    /// It does.
    Yes,
    /// When somebody has looked at its commit, and approves that. Until then nothing of it is fetched, and no script is asked.
    Approval,
    /// It does not.
    No,
}

/// Whose caches a build has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CacheRule {
    /// Those of its branch, and it reads those of the main branch.
    Branch,
    /// Its pull request's own: what it writes no other build reads. It reads those of the main branch.
    Own,
    /// None that another build has written, and none that another one reads.
    None,
}

/// What the jobs of a build reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NetworkRule {
    /// What they ask for: the internet, and of other networks what the engine permits.
    Asked,
    /// Their services, and nothing else.
    None,
}

/// What builds may have and do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// Whether they run.
    pub run: Run,
    /// The names of the secrets that they may hand to their jobs.
    pub secrets: Vec<Pattern>,
    /// The names of those whose bytes their scripts may read, if these are kept to be read.
    pub reveal: Vec<Pattern>,
    /// Whose caches they have.
    pub cache: CacheRule,
    /// What their jobs reach.
    pub network: NetworkRule,
}

impl Rule {
    /// For those whom the repository trusts: all that they ask for.
    pub fn trusted() -> Self {
        let all = || vec![Pattern::all()];
        Self { run: Run::Yes, secrets: all(), reveal: all(), cache: CacheRule::Branch, network: NetworkRule::Asked }
    }

    /// For those who may be anybody: when somebody has looked at it, and without what is secret.
    pub fn stranger() -> Self {
        let (secrets, reveal) = (Vec::new(), Vec::new());
        Self { run: Run::Approval, secrets, reveal, cache: CacheRule::Own, network: NetworkRule::Asked }
    }

    /// Whether a secret may be handed to jobs.
    pub(crate) fn gives(&self, secret: &str) -> bool {
        self.secrets.iter().any(|pattern| pattern.matches(secret))
    }

    /// Whether a secret may be read by scripts.
    pub(crate) fn reveals(&self, secret: &str) -> bool {
        self.gives(secret) && self.reveal.iter().any(|pattern| pattern.matches(secret))
    }
}

/// The builds that a table of a policy is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    TrustedBranch,
    Branch,
    Tag,
    PullRequest,
    Fork,
    Api,
}

impl Row {
    const ALL: [Self; 6] = [Self::TrustedBranch, Self::Branch, Self::Tag, Self::PullRequest, Self::Fork, Self::Api];

    fn as_str(self) -> &'static str {
        match self {
            Self::TrustedBranch => "trusted-branch",
            Self::Branch => "branch",
            Self::Tag => "tag",
            Self::PullRequest => "pull-request",
            Self::Fork => "fork",
            Self::Api => "api",
        }
    }

    fn default(self) -> Rule {
        match self {
            Self::Fork => Rule::stranger(),
            _ => Rule::trusted(),
        }
    }
}

/// A policy that a file says, `policy.toml` in the data directory. What it does not say is so:
///
/// - Whoever may push to a repository is trusted: pushes, tags, pull requests of the repository's own branches, and builds that somebody with a
///   token asks for, have all that they ask for.
/// - Pull requests of forks run when somebody has approved their commits, without secrets, and with caches of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    trusted_branches: Vec<Pattern>,
    rules: [Rule; Row::ALL.len()],
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Its file can't be read.
    #[error("the policy {} can't be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What it says can't be.
    #[error("the policy {}: {reason}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
}

/// What a file says of builds: what stands in it takes the place of what would be so.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Said {
    trusted_branches: Option<Vec<Pattern>>,
    trusted_branch: SaidRule,
    branch: SaidRule,
    tag: SaidRule,
    pull_request: SaidRule,
    fork: SaidRule,
    api: SaidRule,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct SaidRule {
    run: Option<Run>,
    secrets: Option<Vec<Pattern>>,
    reveal: Option<Vec<Pattern>>,
    cache: Option<CacheRule>,
    network: Option<NetworkRule>,
}

impl SaidRule {
    fn over(self, rule: Rule) -> Rule {
        Rule {
            run: self.run.unwrap_or(rule.run),
            secrets: self.secrets.unwrap_or(rule.secrets),
            reveal: self.reveal.unwrap_or(rule.reveal),
            cache: self.cache.unwrap_or(rule.cache),
            network: self.network.unwrap_or(rule.network),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { trusted_branches: vec![Pattern::all()], rules: Row::ALL.map(Row::default) }
    }
}

impl Policy {
    /// The policy of a data directory: that of its file, or the default where there is none.
    ///
    /// # Errors
    /// When there is a file that can't be read, or says what can't be.
    pub fn of_dir(dir: &Path) -> Result<Self, PolicyError> {
        let path = dir.join(FILE);
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            _ => Self::read(&path),
        }
    }

    /// The policy in a file.
    ///
    /// # Errors
    /// When it can't be read, or says what can't be.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let failed = |source| PolicyError::File { path: path.to_owned(), source };
        let wrong = |reason: String| PolicyError::Wrong { path: path.to_owned(), reason };
        if fs::metadata(path).map_err(failed)?.len() > LARGEST {
            return Err(wrong(format!("it has more than {LARGEST} bytes")));
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        Self::from_text(&text).map_err(wrong)
    }

    /// The policy that a text says, as it stands in a file.
    ///
    /// # Errors
    /// When it says what can't be: what, and where.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let said: Said = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let Said { trusted_branches, trusted_branch, branch, tag, pull_request, fork, api } = said;
        let mut said = [trusted_branch, branch, tag, pull_request, fork, api].into_iter();
        let rules = Row::ALL.map(|row| said.next().unwrap_or_default().over(row.default()));
        Ok(Self { trusted_branches: trusted_branches.unwrap_or_else(|| vec![Pattern::all()]), rules })
    }

    fn row(&self, build: &BuildFacts) -> Row {
        match build.origin {
            Origin::Push => {
                let is_trusted = |name: &String| self.trusted_branches.iter().any(|pattern| pattern.matches(name));
                if build.branch.as_ref().is_some_and(is_trusted) { Row::TrustedBranch } else { Row::Branch }
            }
            Origin::Tag => Row::Tag,
            Origin::PullRequest => Row::PullRequest,
            Origin::Fork => Row::Fork,
            Origin::Api => Row::Api,
        }
    }

    /// What is so of a build of which this is known, for a person: the table that counts, and what it says.
    pub fn explain(&self, build: &BuildFacts) -> String {
        let row = self.row(build);
        format!("{}\n{}", Table::HEAD, self.line(row))
    }

    fn line(&self, row: Row) -> String {
        let rule = &self.rules[row as usize];
        let listed = |patterns: &[Pattern]| {
            let names: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
            if names.is_empty() { "none".to_owned() } else { names.join(" ") }
        };
        let (run, cache, network) = (word(&rule.run), word(&rule.cache), word(&rule.network));
        Table::line([row.as_str(), &run, &listed(&rule.secrets), &listed(&rule.reveal), &cache, &network])
    }
}

impl BuildPolicy for Policy {
    fn rule(&self, build: &BuildFacts) -> Rule {
        self.rules[self.row(build) as usize].clone()
    }
}

/// All of it as a table, a line for each kind of builds.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trusted: Vec<&str> = self.trusted_branches.iter().map(Pattern::as_str).collect();
        writeln!(f, "trusted branches: {}", trusted.join(" "))?;
        write!(f, "{}", Table::HEAD)?;
        Row::ALL.into_iter().try_for_each(|row| write!(f, "\n{}", self.line(row)))
    }
}

struct Table;

impl Table {
    const HEAD: &str = "builds of        runs       secrets          revealed         cache    network";

    fn line(cells: [&str; 6]) -> String {
        let [row, run, secrets, reveal, cache, network] = cells;
        format!("{row:<15}  {run:<9}  {secrets:<15}  {reveal:<15}  {cache:<7}  {network}")
    }
}

/// The word that stands in a file for something.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(origin: Origin, branch: Option<&str>) -> BuildFacts {
        let mut facts = BuildFacts::new("app", origin);
        facts.branch = branch.map(str::to_owned);
        facts
    }

    #[test]
    fn by_default_forks_wait_for_approval_and_have_no_secrets_and_own_caches_and_all_others_are_trusted() {
        let policy = Policy::default();
        for origin in Origin::ALL {
            let rule = policy.rule(&facts(origin, Some("main")));
            assert_eq!(rule, if origin == Origin::Fork { Rule::stranger() } else { Rule::trusted() }, "{origin}");
        }
        let fork = policy.rule(&facts(Origin::Fork, None));
        assert!(fork.run == Run::Approval && fork.cache == CacheRule::Own);
        assert!(!fork.gives("any") && !fork.reveals("any"));
        let shown = "trusted branches: *\n\
            builds of        runs       secrets          revealed         cache    network\n\
            trusted-branch   yes        *                *                branch   asked\n\
            branch           yes        *                *                branch   asked\n\
            tag              yes        *                *                branch   asked\n\
            pull-request     yes        *                *                branch   asked\n\
            fork             approval   none             none             own      asked\n\
            api              yes        *                *                branch   asked";
        assert_eq!(policy.to_string(), shown);
    }

    #[test]
    fn what_a_file_says_takes_the_place_of_the_default_and_nothing_else_changes() {
        let policy = Policy::from_text(
            r#"
            trusted-branches = ["main", "release/*"]
            [branch]
            secrets = ["test-*"]
            [fork]
            run = "no"
            network = "none"
            cache = "none"
            "#,
        )
        .expect("a policy");
        assert_eq!(policy.rule(&facts(Origin::Push, Some("release/1"))), Rule::trusted());
        for branch in [Some("topic"), None] {
            let rule = policy.rule(&facts(Origin::Push, branch));
            assert!(rule.gives("test-db") && !rule.gives("deploy-key") && rule.run == Run::Yes, "{branch:?}");
            // What jobs may not have, scripts may not read.
            assert!(rule.reveals("test-db") && !rule.reveals("deploy-key"));
        }
        let fork = policy.rule(&facts(Origin::Fork, None));
        assert_eq!((fork.run, fork.network, fork.cache), (Run::No, NetworkRule::None, CacheRule::None));
        assert!(fork.secrets.is_empty());
        let explained = policy.explain(&facts(Origin::Fork, None));
        assert_eq!(
            explained.lines().nth(1),
            Some("fork             no         none             none             none     none")
        );
        assert_eq!(Policy::from_text("").expect("nothing is said"), Policy::default());
        for (wrong, at) in [
            ("[forks]", "line 1"),
            ("[fork]\nrun = \"maybe\"", "line 2"),
            ("[fork]\nsecret = []", "line 2"),
            ("[tag]\nsecrets = [\"a b\"]", "a b"),
            ("trusted-branches = \"main\"", "line 1"),
        ] {
            let error = Policy::from_text(wrong).expect_err("it can't be");
            assert!(error.contains(at), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_directory_without_the_file_has_the_default_and_one_that_can_not_be_read_is_no_default() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(Policy::of_dir(dir.path()).expect("the default"), Policy::default());
        fs::write(dir.path().join(FILE), "[fork]\nrun = 1").expect("written");
        assert!(matches!(Policy::of_dir(dir.path()), Err(PolicyError::Wrong { .. })));
        fs::remove_file(dir.path().join(FILE)).expect("removed");
        fs::create_dir(dir.path().join(FILE)).expect("made");
        assert!(matches!(Policy::of_dir(dir.path()), Err(PolicyError::File { .. })));
    }
}
