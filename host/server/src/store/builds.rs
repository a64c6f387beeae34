//! The builds that the server was asked for. What becomes of each is in its journal; what is here comes before there is one.

use std::collections::{BTreeMap, HashMap};

use monkeyci_build::Given;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{Store, damaged};
use crate::error::StoreError;
use crate::origin::Origin;
use crate::queue::First;

/// The rows of builds, as [`read`] reads them; what follows says which.
macro_rules! rows {
    ($which:literal) => {
        concat!(
            "SELECT builds.*, repositories.name AS repository_name FROM builds JOIN repositories ON repositories.id = repository ",
            $which
        )
    };
}

/// What somebody has asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// What tells it from others of the repository; its build's id follows from it.
    pub(crate) key: String,
    /// What started it.
    pub(crate) trigger: String,
    /// The full name of a ref, or a commit; the main branch if `None`.
    pub(crate) reference: Option<String>,
    pub(crate) params: BTreeMap<String, String>,
    /// What is said of the code.
    pub(crate) given: Given,
    /// Where it comes from, where the rest does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Origin>,
}

impl Asked {
    /// Where it comes from.
    pub(crate) fn origin(&self) -> Origin {
        self.origin.unwrap_or(match (self.trigger.as_str(), &self.given.tag) {
            ("webhook/push", None) => Origin::Push,
            ("webhook/push", Some(_)) => Origin::Tag,
            _ => Origin::Api,
        })
    }

    /// The branch that was named, if one was.
    pub(crate) fn branch(&self) -> Option<&str> {
        let named = || self.reference.as_deref()?.strip_prefix("refs/heads/");
        self.given.branch.as_deref().or_else(named)
    }

    /// The tag that was named, if one was.
    pub(crate) fn tag(&self) -> Option<&str> {
        let named = || self.reference.as_deref()?.strip_prefix("refs/tags/");
        self.given.tag.as_deref().or_else(named)
    }
}

/// What has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits until it is started.
    Waiting,
    /// The host has it: its journal says more.
    Begun,
    /// It can't be run.
    Refused,
    /// The server could not start it.
    Error,
    /// Somebody stopped it before it began.
    Cancelled,
}

impl State {
    const ALL: [Self; 5] = [Self::Waiting, Self::Begun, Self::Refused, Self::Error, Self::Cancelled];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Begun => "begun",
            Self::Refused => "refused",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A build that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AskedBuild {
    /// It only grows.
    pub(crate) number: i64,
    pub(crate) build: String,
    pub(crate) repository: i64,
    pub(crate) repository_name: String,
    pub(crate) asked: Asked,
    pub(crate) state: State,
    /// Why it did not begin.
    pub(crate) reason: Option<String>,
    /// The commit, once it is known.
    pub(crate) commit: Option<String>,
    /// The branch, if it is known.
    pub(crate) branch: Option<String>,
    /// How it ended, once somebody has looked.
    pub(crate) ended: Option<String>,
    pub(crate) accepted_ms: u64,
}

/// Which builds are wanted, the newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct BuildFilter {
    pub(crate) repository: Option<i64>,
    pub(crate) branch: Option<String>,
    /// Those with a smaller number than this.
    pub(crate) before: Option<i64>,
    pub(crate) limit: u32,
}

/// The most builds that wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) of_repository: u32,
    pub(crate) in_all: u32,
}

/// What comes of asking for a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is on disk that it was asked for.
    New,
    /// It was asked for before, and this was asked for then.
    Before(Box<AskedBuild>),
    /// Too many wait, of the repository or in all.
    Full {
        /// Whether they are all the repository's.
        of_repository: bool,
    },
}

pub(super) fn read(row: &SqliteRow) -> Result<AskedBuild, StoreError> {
    let (asked, state): (String, String) = (row.try_get("asked")?, row.try_get("state")?);
    let build: String = row.try_get("build")?;
    let known = State::ALL.into_iter().find(|known| known.as_str() == state);
    Ok(AskedBuild {
        number: row.try_get("number")?,
        repository: row.try_get("repository")?,
        repository_name: row.try_get("repository_name")?,
        asked: serde_json::from_str(&asked).map_err(|error| damaged(&build, error))?,
        state: known.ok_or_else(|| damaged(&build, format_args!("there is no state {state:?}")))?,
        build,
        reason: row.try_get("reason")?,
        commit: row.try_get("commit_id")?,
        branch: row.try_get("branch")?,
        ended: row.try_get("ended")?,
        accepted_ms: row.try_get::<i64, _>("accepted_ms")? as u64,
    })
}

/// Writes down that a build was asked for, unless it was before, or `most` wait.
pub(super) async fn take(
    db: &mut SqliteConnection,
    (repository, build, asked): (i64, &str, &Asked),
    now_ms: u64,
    most: Most,
) -> Result<Taken, StoreError> {
    if let Some(before) = one(db, build).await? {
        return Ok(Taken::Before(Box::new(before)));
    }
    // Not counted further than it matters: this is done for each.
    let waiting = "SELECT count(*) FROM (SELECT 1 FROM builds WHERE state = 'waiting' AND repository = ? LIMIT ?)";
    let waiting: i64 =
        sqlx::query_scalar(waiting).bind(repository).bind(most.of_repository).fetch_one(&mut *db).await?;
    if waiting >= i64::from(most.of_repository) {
        return Ok(Taken::Full { of_repository: true });
    }
    let waiting = "SELECT count(*) FROM (SELECT 1 FROM builds WHERE state = 'waiting' LIMIT ?)";
    let waiting: i64 = sqlx::query_scalar(waiting).bind(most.in_all).fetch_one(&mut *db).await?;
    if waiting >= i64::from(most.in_all) {
        return Ok(Taken::Full { of_repository: false });
    }
    let text = serde_json::to_string(asked).map_err(|error| damaged(build, error))?;
    sqlx::query(
        "INSERT INTO builds (build, repository, asked, state, branch, accepted_ms) VALUES (?, ?, ?, 'waiting', ?, ?)",
    )
    .bind(build)
    .bind(repository)
    .bind(text)
    .bind(asked.branch())
    .bind(now_ms as i64)
    .execute(db)
    .await?;
    Ok(Taken::New)
}

async fn one(db: &mut SqliteConnection, build: &str) -> Result<Option<AskedBuild>, StoreError> {
    let row = sqlx::query(rows!("WHERE build = ?")).bind(build).fetch_optional(db).await?;
    row.as_ref().map(read).transpose()
}

impl Store {
    /// Takes a build that somebody asks for.
    pub(crate) async fn take_build(
        &self,
        asked: (i64, &str, &Asked),
        now_ms: u64,
        most: Most,
    ) -> Result<Taken, StoreError> {
        let mut db = self.lease().await?;
        let mut transaction = sqlx::Connection::begin_with(&mut *db, "BEGIN IMMEDIATE").await?;
        let taken = take(&mut transaction, asked, now_ms, most).await?;
        transaction.commit().await?;
        db.done();
        Ok(taken)
    }

    /// The build of this id.
    pub(crate) async fn build(&self, build: &str) -> Result<Option<AskedBuild>, StoreError> {
        let mut db = self.lease().await?;
        let found = one(&mut db, build).await?;
        db.done();
        Ok(found)
    }

    /// The builds that are wanted, the newest first.
    pub(crate) async fn builds(&self, filter: &BuildFilter) -> Result<Vec<AskedBuild>, StoreError> {
        let mut db = self.lease().await?;
        let rows = sqlx::query(rows!(
            "WHERE (?1 IS NULL OR repository = ?1) AND (?2 IS NULL OR branch = ?2) AND (?3 IS NULL OR number < ?3)
             ORDER BY number DESC LIMIT ?4"
        ))
        .bind(filter.repository)
        .bind(&filter.branch)
        .bind(filter.before)
        .bind(filter.limit)
        .fetch_all(&mut *db)
        .await?;
        db.done();
        rows.iter().map(read).collect()
    }

    /// The build of this number.
    pub(crate) async fn build_by_number(&self, number: i64) -> Result<Option<AskedBuild>, StoreError> {
        let mut db = self.lease().await?;
        let row = sqlx::query(rows!("WHERE number = ?")).bind(number).fetch_optional(&mut *db).await?;
        db.done();
        row.as_ref().map(read).transpose()
    }

    /// Of each repository the first build that waits, but for those that are passed over.
    pub(crate) async fn first_waiting(&self, passed_over: &[i64]) -> Result<Vec<First>, StoreError> {
        let mut db = self.lease().await?;
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT repository, min(number) FROM builds
             WHERE state = 'waiting' AND number NOT IN (SELECT value FROM json_each(?)) GROUP BY repository",
        )
        .bind(json(passed_over)?)
        .fetch_all(&mut *db)
        .await?;
        db.done();
        Ok(rows.into_iter().map(|(repository, number)| First { repository, number }).collect())
    }

    /// How many of these builds each repository has.
    pub(crate) async fn counted(&self, builds: &[String]) -> Result<HashMap<i64, u64>, StoreError> {
        let mut db = self.lease().await?;
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT repository, count(*) FROM builds WHERE build IN (SELECT value FROM json_each(?)) GROUP BY repository",
        )
        .bind(json(builds)?)
        .fetch_all(&mut *db)
        .await?;
        db.done();
        Ok(rows.into_iter().map(|(repository, count)| (repository, count.unsigned_abs())).collect())
    }

    /// How many builds of its repository wait that were asked for before this one.
    pub(crate) async fn waiting_before(&self, build: &AskedBuild) -> Result<u64, StoreError> {
        let mut db = self.lease().await?;
        let before = "SELECT count(*) FROM builds WHERE state = 'waiting' AND repository = ? AND number < ?";
        let before: i64 =
            sqlx::query_scalar(before).bind(build.repository).bind(build.number).fetch_one(&mut *db).await?;
        db.done();
        Ok(before.unsigned_abs())
    }

    /// Notes of which commit a build is that waits: whoever starts it again takes the same.
    pub(crate) async fn pin_build(&self, number: i64, commit: &str, branch: Option<&str>) -> Result<(), StoreError> {
        let mut db = self.lease().await?;
        sqlx::query("UPDATE builds SET commit_id = ?, branch = coalesce(branch, ?) WHERE number = ?")
            .bind(commit)
            .bind(branch)
            .bind(number)
            .execute(&mut *db)
            .await?;
        db.done();
        Ok(())
    }

    /// Says what has become of a build that waits; false if it does not wait any more.
    pub(crate) async fn settle_build(
        &self,
        number: i64,
        state: State,
        reason: Option<&str>,
    ) -> Result<bool, StoreError> {
        let mut db = self.lease().await?;
        let settled = sqlx::query("UPDATE builds SET state = ?, reason = ? WHERE number = ? AND state = 'waiting'")
            .bind(state.as_str())
            .bind(reason)
            .bind(number)
            .execute(&mut *db)
            .await?;
        db.done();
        Ok(settled.rows_affected() > 0)
    }

    /// Notes how a build ended, so that nobody reads its journal for that again.
    pub(crate) async fn build_ended(&self, number: i64, ended: &str) -> Result<(), StoreError> {
        let mut db = self.lease().await?;
        sqlx::query("UPDATE builds SET ended = ? WHERE number = ?").bind(ended).bind(number).execute(&mut *db).await?;
        db.done();
        Ok(())
    }

    /// The builds of a repository of which nobody has seen the end.
    pub(crate) async fn open_builds(&self, repository: i64) -> Result<Vec<AskedBuild>, StoreError> {
        let mut db = self.lease().await?;
        let rows = sqlx::query(rows!(
            "WHERE repository = ? AND (state = 'waiting' OR (state = 'begun' AND ended IS NULL)) ORDER BY number"
        ))
        .bind(repository)
        .fetch_all(&mut *db)
        .await?;
        db.done();
        rows.iter().map(read).collect()
    }
}

fn json(values: &[impl Serialize]) -> Result<String, StoreError> {
    serde_json::to_string(values).map_err(|error| damaged("a list", error))
}
