//! Every kind of bearer at every route: what `monkeyci-host limits --scopes` prints. Made from the table of routes and the scopes
//! that are granted, and judged by the function that judges requests.

use serde::Serialize;

use crate::authorise::judge;
use crate::{AUDIENCE, Claims, Denied, ISSUER, ROUTES, Role, Route, Scope, Standing, grants};

/// The build of the bearers in the table.
pub const BUILD: &str = "org/repo/1";
/// Another one.
pub const OTHER_BUILD: &str = "org/repo/2";
/// The bearers' job, and the name of whatever else is theirs: their artifacts, their cache, the secret that they may read.
pub const OWN: &str = "own";
/// What is another job's.
pub const OTHER: &str = "other";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// The script's `define`.
    Define,
    /// The action of a job.
    Action,
    /// The sidecar of a job.
    Sidecar,
}

/// For what a bearer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// For what is its own.
    Own,
    /// The same, with the token of an attempt that is not the one that runs.
    OtherAttempt,
    /// For what is another job's.
    OtherJob,
    /// For the same in another build.
    OtherBuild,
}

/// When a bearer asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// While what its token is for runs.
    Live,
    /// After the end of that.
    Finished,
    /// After the end of the token.
    Expired,
}

/// What the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The request goes on to its handler.
    Allowed,
    /// 403: the token does not open this.
    Denied,
    /// 401: the token opens nothing.
    Invalid,
}

impl Who {
    /// All.
    pub const ALL: [Self; 3] = [Self::Define, Self::Action, Self::Sidecar];
}

impl Target {
    /// All.
    pub const ALL: [Self; 4] = [Self::Own, Self::OtherAttempt, Self::OtherJob, Self::OtherBuild];
}

impl When {
    /// All.
    pub const ALL: [Self; 3] = [Self::Live, Self::Finished, Self::Expired];
}

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Where.
    pub route: &'static Route,
    /// Who asks.
    pub who: Who,
    /// For what.
    pub target: Target,
    /// When.
    pub when: When,
}

impl Case {
    /// The whole table.
    pub fn all() -> impl Iterator<Item = Self> {
        ROUTES.iter().flat_map(|route| {
            Who::ALL.into_iter().flat_map(move |who| {
                Target::ALL
                    .into_iter()
                    .flat_map(move |target| When::ALL.into_iter().map(move |when| Self { route, who, target, when }))
            })
        })
    }

    /// The claims of the bearer's token: those that it gets from the host. The attempt that runs is 1, and 0 for `define`.
    pub fn claims(&self) -> Claims {
        let own = [OWN.to_owned()];
        let (role, attempt, scopes): (Role, u32, Vec<Scope>) = match self.who {
            Who::Define => (Role::Script { job: None }, 0, grants::define()),
            Who::Action => (Role::Script { job: Some(OWN.to_owned()) }, 1, grants::action(OWN, &own, &own)),
            Who::Sidecar => (Role::Sidecar { job: OWN.to_owned() }, 1, grants::sidecar(OWN, &own, &own, &own)),
        };
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: BUILD.to_owned(),
            iat: 0,
            exp: if self.when == When::Expired { 0 } else { u64::MAX },
            jti: "table".to_owned(),
            role,
            attempt: attempt + u32::from(self.target == Target::OtherAttempt),
            scopes,
        }
    }

    /// The build in the path, and the path below it.
    pub fn path(&self) -> (&'static str, String) {
        let build = if self.target == Target::OtherBuild { OTHER_BUILD } else { BUILD };
        (build, self.route.path_to(self.names()))
    }

    fn names(&self) -> [&'static str; 2] {
        [if self.target == Target::OtherJob { OTHER } else { OWN }, "file"]
    }

    /// Whether the token's time is now.
    pub fn standing(&self) -> Standing {
        match (self.when, self.target) {
            (When::Expired, _) => Standing::Expired,
            (When::Finished, _) | (_, Target::OtherAttempt) => Standing::Over,
            _ => Standing::Runs,
        }
    }

    /// Whether other claims open it.
    ///
    /// # Errors
    /// Says why not.
    pub fn admits(&self, claims: &Claims, standing: Standing) -> Result<(), Denied> {
        judge(claims, standing, self.path().0, self.route, self.names()[0])
    }

    /// What the answer is.
    pub fn verdict(&self) -> Verdict {
        match self.admits(&self.claims(), self.standing()) {
            Ok(()) => Verdict::Allowed,
            Err(denied) => Verdict::of(&denied),
        }
    }
}

impl Verdict {
    fn of(denied: &Denied) -> Self {
        if denied.is_invalid_token() { Self::Invalid } else { Self::Denied }
    }

    /// What the table shows: `+`, `-` (403), `x` (401).
    pub fn sign(self) -> char {
        match self {
            Self::Allowed => '+',
            Self::Denied => '-',
            Self::Invalid => 'x',
        }
    }
}
