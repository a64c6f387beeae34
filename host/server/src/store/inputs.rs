//! Parameters and secrets of builds, sealed; and which build was given which.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::builds::{AskedBuild, read as read_build};
use super::{Store, damaged, sealed};
use crate::error::StoreError;
use crate::keys::Sealed;
use crate::origin::{BuildFacts, Origin};
use crate::pattern::Pattern;

/// What is kept for builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum InputKind {
    Param,
    Secret,
}

impl InputKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Param => "param",
            Self::Secret => "secret",
        }
    }
}

/// For which builds something is kept: those for which all of this is so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// The number of their repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<i64>,
    /// A label of their repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    /// A pattern of their branch, where that is known for sure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) branch: Option<Pattern>,
    /// Where they come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<Origin>,
}

impl Place {
    /// Whether a build is one of those.
    pub(crate) fn holds(&self, facts: &BuildFacts) -> bool {
        let Self { repository, label, branch, event } = self;
        repository.is_none_or(|repository| repository == facts.repository_id)
            && label.as_ref().is_none_or(|label| facts.labels.contains(label))
            && branch.as_ref().is_none_or(|branch| facts.branch.as_ref().is_some_and(|name| branch.matches(name)))
            && event.is_none_or(|event| event == facts.origin)
    }

    /// What counts first, of what is kept for one build under one name: what is kept for its repository, then for a label, then for all; of
    /// these, for its branch by name, then by a pattern, a longer one first, then for any; then for its origin. Two labels or patterns of one
    /// length count in the order of the alphabet, so that it is always the same.
    fn rank(&self) -> impl Ord {
        let Self { repository, label, branch, event } = self;
        let scope = match (repository, label) {
            (Some(_), _) => 0_u8,
            (None, Some(_)) => 1,
            (None, None) => 2,
        };
        let name = branch.as_ref().map(Pattern::as_str).unwrap_or_default();
        let precision = match branch {
            Some(branch) if branch.is_name() => 0_u8,
            Some(_) => 1,
            None => 2,
        };
        let event = event.is_none();
        (scope, precision, Reverse(name.len()), event, name.to_owned(), label.clone())
    }
}

/// Something that is kept; its value is in the database alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputRow {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) place: Place,
    /// Whether actions of scripts may read its bytes.
    pub(crate) reveal: bool,
    pub(crate) set_by: String,
    pub(crate) set_ms: u64,
    /// As it stands in the database: what is sealed is sealed for it.
    place_text: String,
    sealed: Sealed,
}

/// Something to be kept.
pub(crate) struct NewInput<'a> {
    pub(crate) kind: InputKind,
    pub(crate) name: &'a str,
    pub(crate) place: &'a Place,
    pub(crate) value: &'a [u8],
    pub(crate) reveal: bool,
    pub(crate) set_by: &'a str,
    pub(crate) set_ms: u64,
}

/// What comes of keeping something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    New,
    /// Something else was kept there before.
    Instead,
    /// As much is kept there as there may be.
    Full,
}

/// That a build was given something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) number: i64,
    pub(crate) build: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) place: Place,
    /// When it was set that was given.
    pub(crate) set_ms: u64,
}

/// What a value is sealed for.
pub(super) fn about_input(kind: &str, name: &str, place: &str) -> String {
    serde_json::json!([kind, name, place]).to_string()
}

fn place(text: &str) -> Result<Place, StoreError> {
    serde_json::from_str(text).map_err(|error| damaged("where something is kept", error))
}

fn read(row: &SqliteRow) -> Result<InputRow, StoreError> {
    let place_text: String = row.try_get("place")?;
    Ok(InputRow {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        name: row.try_get("name")?,
        place: place(&place_text)?,
        reveal: row.try_get("reveal")?,
        set_by: row.try_get("set_by")?,
        set_ms: row.try_get::<i64, _>("set_ms")?.unsigned_abs(),
        sealed: Sealed { data_key: row.try_get("data_key")?, value: row.try_get("sealed")? },
        place_text,
    })
}

/// Of what is kept under one name, what counts first.
pub(crate) fn chosen(mut rows: Vec<InputRow>, facts: &BuildFacts) -> Vec<InputRow> {
    rows.retain(|row| row.place.holds(facts));
    rows.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.place.rank().cmp(&b.place.rank())));
    rows.dedup_by(|later, first| later.name == first.name);
    rows
}

impl Store {
    /// Keeps something, in the place of what was kept there. Of a repository, and of all, so much may be kept, with what was replaced and builds
    /// still have.
    pub(crate) async fn set_input(&self, new: &NewInput<'_>, most: u32) -> Result<Kept, StoreError> {
        let kind = new.kind.as_str();
        let place = serde_json::to_string(new.place).map_err(|error| damaged(new.name, error))?;
        let value = self.key.seal(&about_input(kind, new.name, &place), new.value);
        let value = value.map_err(|error| sealed(new.name, error))?;
        let mut db = self.lease().await?;
        let mut transaction = sqlx::Connection::begin_with(&mut *db, "BEGIN IMMEDIATE").await?;
        let replaced = go(&mut transaction, (kind, new.name, &place), new.set_ms).await?;
        purge(&mut transaction).await?;
        let there: i64 = sqlx::query_scalar("SELECT count(*) FROM inputs WHERE repository IS ?")
            .bind(new.place.repository)
            .fetch_one(&mut *transaction)
            .await?;
        if there >= i64::from(most) {
            transaction.rollback().await?;
            db.done();
            return Ok(Kept::Full);
        }
        sqlx::query(
            "INSERT INTO inputs (kind, name, repository, place, reveal, data_key, sealed, set_by, set_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(kind)
        .bind(new.name)
        .bind(new.place.repository)
        .bind(place)
        .bind(new.reveal)
        .bind(value.data_key)
        .bind(value.value)
        .bind(new.set_by)
        .bind(new.set_ms as i64)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        db.done();
        Ok(if replaced { Kept::Instead } else { Kept::New })
    }

    /// Gives no further build what is kept there; false if nothing is. It is gone when no build that was given it goes on.
    pub(crate) async fn remove_input(
        &self,
        kind: InputKind,
        name: &str,
        place: &Place,
        now_ms: u64,
    ) -> Result<bool, StoreError> {
        let place = serde_json::to_string(place).map_err(|error| damaged(name, error))?;
        let mut db = self.lease().await?;
        let mut transaction = sqlx::Connection::begin_with(&mut *db, "BEGIN IMMEDIATE").await?;
        let is_gone = go(&mut transaction, (kind.as_str(), name, &place), now_ms).await?;
        purge(&mut transaction).await?;
        transaction.commit().await?;
        db.done();
        Ok(is_gone)
    }

    /// What is kept for one repository's builds alone, or for those of all, by name.
    pub(crate) async fn inputs(&self, kind: InputKind, repository: Option<i64>) -> Result<Vec<InputRow>, StoreError> {
        let mut db = self.lease().await?;
        let rows = sqlx::query(
            "SELECT * FROM inputs WHERE gone_ms IS NULL AND kind = ? AND repository IS ? ORDER BY name, place",
        )
        .bind(kind.as_str())
        .bind(repository)
        .fetch_all(&mut *db)
        .await?;
        db.done();
        rows.iter().map(read).collect()
    }

    /// What is kept that builds of a repository may be given.
    pub(crate) async fn inputs_for(&self, kind: InputKind, repository: i64) -> Result<Vec<InputRow>, StoreError> {
        let mut db = self.lease().await?;
        let rows = sqlx::query(
            "SELECT * FROM inputs WHERE gone_ms IS NULL AND kind = ? AND (repository IS NULL OR repository = ?)",
        )
        .bind(kind.as_str())
        .bind(repository)
        .fetch_all(&mut *db)
        .await?;
        db.done();
        rows.iter().map(read).collect()
    }

    /// The value of something that is kept.
    pub(crate) fn value(&self, row: &InputRow) -> Result<Vec<u8>, StoreError> {
        let about = about_input(&row.kind, &row.name, &row.place_text);
        self.key.open(&about, &row.sealed).map_err(|error| sealed(&format!("the {} {:?}", row.kind, row.name), error))
    }

    /// Writes down that a build is given this, unless something stands there already; returns what it is given.
    pub(crate) async fn give(&self, build: &str, rows: Vec<InputRow>) -> Result<Vec<InputRow>, StoreError> {
        let mut db = self.lease().await?;
        let mut transaction = sqlx::Connection::begin_with(&mut *db, "BEGIN IMMEDIATE").await?;
        let mut given = Vec::new();
        for row in rows {
            // It may have been removed since it was read.
            let written = sqlx::query(
                "INSERT OR IGNORE INTO uses (build, input, kind, name, place, set_ms)
                 SELECT ?1, id, kind, name, place, set_ms FROM inputs WHERE id = ?2",
            );
            let written = written.bind(build).bind(row.id).execute(&mut *transaction).await?;
            if written.rows_affected() > 0 {
                given.push(row);
            }
        }
        transaction.commit().await?;
        db.done();
        Ok(given)
    }

    /// What a build was given.
    pub(crate) async fn given(&self, kind: InputKind, build: &str) -> Result<Vec<InputRow>, StoreError> {
        let mut db = self.lease().await?;
        let rows = sqlx::query(
            "SELECT inputs.* FROM inputs JOIN uses ON uses.input = inputs.id
             WHERE uses.build = ? AND inputs.kind = ? ORDER BY inputs.name",
        )
        .bind(build)
        .bind(kind.as_str())
        .fetch_all(&mut *db)
        .await?;
        db.done();
        rows.iter().map(read).collect()
    }

    /// Which builds were given what, the last one first: of a build, of a repository, or of all.
    pub(crate) async fn uses(
        &self,
        (build, repository, name): (Option<&str>, Option<i64>, Option<&str>),
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Use>, StoreError> {
        let mut db = self.lease().await?;
        let rows = sqlx::query(
            "SELECT uses.number, uses.build, kind, name, place, set_ms FROM uses JOIN builds ON builds.build = uses.build
             WHERE (?1 IS NULL OR uses.build = ?1) AND (?2 IS NULL OR builds.repository = ?2)
                AND (?3 IS NULL OR uses.name = ?3) AND (?4 IS NULL OR uses.number < ?4)
             ORDER BY uses.number DESC LIMIT ?5",
        )
        .bind(build)
        .bind(repository)
        .bind(name)
        .bind(before)
        .bind(limit)
        .fetch_all(&mut *db)
        .await?;
        db.done();
        let read = |row: &SqliteRow| {
            Ok(Use {
                number: row.try_get("number")?,
                build: row.try_get("build")?,
                kind: row.try_get("kind")?,
                name: row.try_get("name")?,
                place: place(&row.try_get::<String, _>("place")?)?,
                set_ms: row.try_get::<i64, _>("set_ms")?.unsigned_abs(),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Builds that nobody knows to be over, and that hold something which was replaced or removed.
    pub(crate) async fn holding(&self, limit: u32) -> Result<Vec<AskedBuild>, StoreError> {
        let mut db = self.lease().await?;
        let rows = sqlx::query(
            "SELECT builds.*, repositories.name AS repository_name
             FROM builds JOIN repositories ON repositories.id = builds.repository
             WHERE builds.state = 'begun' AND builds.ended IS NULL AND builds.build IN (
                SELECT uses.build FROM uses JOIN inputs ON inputs.id = uses.input WHERE inputs.gone_ms IS NOT NULL)
             LIMIT ?",
        )
        .bind(limit)
        .fetch_all(&mut *db)
        .await?;
        db.done();
        rows.iter().map(read_build).collect()
    }
}

/// Takes what is kept there from builds to come; false if nothing is.
async fn go(
    db: &mut SqliteConnection,
    (kind, name, place): (&str, &str, &str),
    now_ms: u64,
) -> Result<bool, StoreError> {
    let gone =
        sqlx::query("UPDATE inputs SET gone_ms = ? WHERE gone_ms IS NULL AND kind = ? AND name = ? AND place = ?");
    let gone = gone.bind(now_ms as i64).bind(kind).bind(name).bind(place).execute(db).await?;
    Ok(gone.rows_affected() > 0)
}

/// Removes what was replaced or removed and no build has that goes on.
async fn purge(db: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM inputs WHERE gone_ms IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM uses JOIN builds ON builds.build = uses.build
            WHERE uses.input = inputs.id
                AND (builds.state = 'waiting' OR (builds.state = 'begun' AND builds.ended IS NULL)))",
    )
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, place: Place) -> InputRow {
        InputRow {
            id: 0,
            kind: "secret".to_owned(),
            name: name.to_owned(),
            place,
            reveal: false,
            set_by: String::new(),
            set_ms: 0,
            place_text: String::new(),
            sealed: Sealed { data_key: Vec::new(), value: Vec::new() },
        }
    }

    fn place(repository: Option<i64>, label: Option<&str>, branch: Option<&str>, event: Option<Origin>) -> Place {
        let branch = branch.map(|branch| branch.parse().expect("a pattern"));
        Place { repository, label: label.map(str::to_owned), branch, event }
    }

    fn facts() -> BuildFacts {
        let mut facts = BuildFacts::new("own", Origin::Push);
        facts.repository_id = 1;
        facts.labels = vec!["web".to_owned(), "app".to_owned()];
        facts.branch = Some("release/1".to_owned());
        facts
    }

    #[test]
    fn what_is_nearest_to_the_build_counts_and_the_order_is_always_the_same() {
        // Each counts before all that follow.
        let order = [
            place(Some(1), None, Some("release/1"), Some(Origin::Push)),
            place(Some(1), None, Some("release/1"), None),
            place(Some(1), None, Some("release/*"), None),
            place(Some(1), None, Some("re*"), Some(Origin::Push)),
            place(Some(1), None, Some("re*"), None),
            place(Some(1), None, None, Some(Origin::Push)),
            place(Some(1), None, None, None),
            place(None, Some("app"), Some("release/1"), None),
            place(None, Some("app"), None, None),
            place(None, Some("web"), None, None),
            place(None, None, Some("*"), Some(Origin::Push)),
            place(None, None, None, None),
        ];
        for (at, first) in order.iter().enumerate() {
            for later in &order[at + 1..] {
                for rows in [[first, later], [later, first]] {
                    let rows = rows.into_iter().map(|place| row("a", place.clone())).collect();
                    let chosen = chosen(rows, &facts());
                    assert_eq!((chosen.len(), &chosen[0].place), (1, first), "before {later:?}");
                }
            }
        }
        // Each name has its own.
        let rows = vec![row("b", order[11].clone()), row("a", order[11].clone()), row("a", order[6].clone())];
        let chosen: Vec<_> = chosen(rows, &facts()).into_iter().map(|row| (row.name, row.place)).collect();
        assert_eq!(chosen, [("a".to_owned(), order[6].clone()), ("b".to_owned(), order[11].clone())]);
    }

    #[test]
    fn what_is_kept_for_others_is_not_given_and_who_is_of_no_branch_is_of_none_that_has_a_pattern() {
        for other in [
            place(Some(2), None, None, None),
            place(None, Some("db"), None, None),
            place(None, None, Some("main"), None),
            place(None, None, None, Some(Origin::Api)),
        ] {
            assert!(!other.holds(&facts()), "{other:?}");
        }
        let mut of_none = facts();
        of_none.branch = None;
        assert!(!place(None, None, Some("*"), None).holds(&of_none) && place(None, None, None, None).holds(&of_none));
    }
}
