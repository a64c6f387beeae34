//! What builds are looked up by: their branch, and how they ended. It stands in the row of each build, and is written in the transaction
//! that writes the event it comes from. A list reads records only of the builds that it shows.
//!
//! The journal is the truth: all of this can be made again from it, and [`Statements::index`] does that for a database that was made without.

use std::collections::BTreeSet;

use monkeyci_build::{BuildStatus, EventBody};
use sqlx::{ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, Row, Type};

use super::content::{Pieces, WHOLE_LIMIT, references};
use super::history::{joined, piece_value};
use super::statements::{Statements, digest};
use super::{Digest, Record};

/// So many builds are indexed at once.
const STEP: i64 = 256;

/// What layout 3 adds: to a row of `builds` the branch, the number of the record that tells the code, and how the build ended, empty for one
/// that is not over. A database's own index takes texts of some length and no longer.
pub(super) const ADDED: &str = "
    ALTER TABLE builds ADD COLUMN branch TEXT;
    ALTER TABLE builds ADD COLUMN code BIGINT;
    ALTER TABLE builds ADD COLUMN status TEXT NOT NULL DEFAULT '';
    CREATE INDEX builds_branch ON builds (substr(branch, 1, 200), id);
    CREATE INDEX builds_status ON builds (status, id);";

/// Which builds are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// Those of this branch; of all branches if `None`.
    pub branch: Option<String>,
    /// Those that ended so, or with `None` have not ended, as far as their last record says; all if it is empty.
    pub statuses: Vec<Option<BuildStatus>>,
}

/// What records tell of a build that it is looked up by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// The record of its code, if it is among them, and the branch.
    code: Option<(u64, Option<String>)>,
    /// How it ended; `None` if the last record is of something else.
    status: Option<BuildStatus>,
}

impl Index {
    /// Takes in the record that comes next.
    pub(super) fn add(&mut self, number: u64, body: &EventBody) {
        self.status = None;
        match body {
            EventBody::BuildCheckedOut { source } => {
                // No branch has a NUL, and PostgreSQL takes none in a text.
                let branch = source.branch.clone().filter(|branch| !branch.contains('\0'));
                self.code = Some((number, branch));
            }
            EventBody::BuildEnded { status, .. } => self.status = Some(*status),
            _ => {}
        }
    }

    /// Takes in what comes after.
    pub(super) fn then(&mut self, after: Self) {
        *self = Self { code: after.code.or(self.code.take()), status: after.status };
    }

    pub(super) fn code(&self) -> Option<&(u64, Option<String>)> {
        self.code.as_ref()
    }

    pub(super) fn status(&self) -> &'static str {
        in_words(self.status)
    }
}

/// A status, as it stands in a row.
pub(super) fn in_words(status: Option<BuildStatus>) -> &'static str {
    status.map_or("", BuildStatus::as_str)
}

impl<DB> Statements<DB>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
    usize: ColumnIndex<DB::Row>,
    bool: Type<DB> + for<'a> Encode<'a, DB> + for<'a> Decode<'a, DB>,
    i64: Type<DB> + for<'a> Encode<'a, DB> + for<'a> Decode<'a, DB>,
    String: Type<DB> + for<'a> Encode<'a, DB> + for<'a> Decode<'a, DB>,
    Vec<u8>: Type<DB> + for<'a> Encode<'a, DB> + for<'a> Decode<'a, DB>,
{
    /// Makes the index of all builds from their journals. A record that can't be read tells nothing: nor does it to a list, which says so.
    pub(super) async fn index(connection: &mut DB::Connection) -> Result<(), sqlx::Error> {
        // The type of an event is its first field, or of one that refers to large values its last. The first part of a record is read with it;
        // what stands further in is not, for all but a few.
        let kinds = r#"SELECT number, records.epoch, time_ms, split, size, records.checksum, body, records.build FROM records
            JOIN builds ON builds.id = records.build
            WHERE records.build > $1 AND records.build <= $2 AND (
                NOT split AND substr(body, 1, 27) = '{"type":"build/checked-out"'
                OR NOT split AND number = last AND substr(body, 1, 21) = '{"type":"build/ended"'
                OR split AND (body LIKE '%"type":"build/checked-out"}' OR number = last AND body LIKE '%"type":"build/ended"}'))
            ORDER BY records.build, number"#;
        let most: i64 = sqlx::query_scalar::<DB, i64>("SELECT coalesce(max(id), 0) FROM builds")
            .fetch_one(&mut *connection)
            .await?;
        let mut after = 0_i64;
        while after < most {
            let rows = sqlx::query::<DB>(kinds).bind(after).bind(after + STEP).fetch_all(&mut *connection).await?;
            after += STEP;
            for row in rows {
                let (record, build) = (Self::record(&row)?, row.try_get::<i64, _>(7)?);
                let mut told = Index::default();
                if let Some(body) = Self::whole(connection, &record).await? {
                    told.add(record.number, &body);
                }
                Self::write_code(connection, build, &told).await?;
                if told.status.is_some() {
                    sqlx::query::<DB>("UPDATE builds SET status = $1 WHERE id = $2")
                        .bind(told.status().to_owned())
                        .bind(build)
                        .execute(&mut *connection)
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// Writes what records tell of the code to the row of their build.
    pub(super) async fn write_code(
        connection: &mut DB::Connection,
        build: i64,
        told: &Index,
    ) -> Result<(), sqlx::Error> {
        let Some((number, branch)) = told.code() else { return Ok(()) };
        // No branch has an empty name.
        sqlx::query::<DB>("UPDATE builds SET code = $1, branch = NULLIF($2, '') WHERE id = $3")
            .bind(*number as i64)
            .bind(branch.clone().unwrap_or_default())
            .bind(build)
            .execute(connection)
            .await?;
        Ok(())
    }

    /// The event of a record; `None` if it can't be read.
    async fn whole(connection: &mut DB::Connection, record: &Record) -> Result<Option<EventBody>, sqlx::Error> {
        let (mut pieces, mut wanted) = (Pieces::new(), BTreeSet::new());
        if record.split {
            let Ok(body) = serde_json::from_str(&record.body) else { return Ok(None) };
            if references(&body, &mut wanted).is_err() {
                return Ok(None);
            }
        }
        let mut left = WHOLE_LIMIT;
        while let Some(next) = wanted.pop_first() {
            let row = sqlx::query::<DB>("SELECT digest, text FROM contents WHERE digest = $1")
                .bind(next.0.to_vec())
                .fetch_optional(&mut *connection)
                .await?;
            let Some(row) = row else { return Ok(None) };
            let (found, text): (Digest, String) = (digest(row.try_get(0)?)?, row.try_get(1)?);
            let Ok(value) = piece_value(found, &text) else { return Ok(None) };
            let fits = left.checked_sub(text.len() as u64);
            let (Some(less), Ok(())) = (fits, references(&value, &mut wanted)) else { return Ok(None) };
            left = less;
            pieces.insert(found, value);
            wanted.retain(|digest| !pieces.contains_key(digest));
        }
        Ok(joined("", record, &pieces, &mut WHOLE_LIMIT.clone()).ok().map(|event| event.body))
    }
}
