//! The statements that both databases understand: what decides whose appends are written stands here once.

use std::marker::PhantomData;

use sqlx::{ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, QueryBuilder, Row, Type};

use super::index::in_words;
use super::{Digest, Head, Owner, Record, Sought};

/// The records of a build (`$1`) after a number (`$2`), as [`Statements::record`] reads them; at most `$3`.
pub(super) const RECORDS: &str = "SELECT number, epoch, time_ms, split, size, checksum, body FROM records
    WHERE build = (SELECT id FROM builds WHERE build = $1) AND number > $2 ORDER BY number LIMIT $3";

/// The ids of all builds, oldest first.
pub(super) const BUILDS: &str = "SELECT build FROM builds ORDER BY id";

/// The ids of the builds whose last record does not say that they are over, oldest first. One whose last record is missing is not. A process of
/// an older version that still runs writes no status, so the record is looked at where there is none. The type of an event is its first field,
/// or of one that refers to large values its last: what stands further in, an output called `type` say, is something else.
pub(super) const OPEN: &str = r#"SELECT build FROM builds WHERE NOT EXISTS (SELECT 1 FROM records WHERE records.build = builds.id
    AND number = last AND (status != '' OR body LIKE '{"type":"build/ended"%' OR body LIKE '%"type":"build/ended"}')) ORDER BY id"#;

/// A few records of those builds that stand as `newest` before it: the columns of [`RECORDS`], and the build's id. These are three looks, each by
/// the key: whoever asks for all at once has all records read.
const OUTLINES: &str = "SELECT number, epoch, time_ms, split, size, checksum, body, named FROM (
    SELECT number, records.epoch, time_ms, split, size, checksum, body, named, id
        FROM newest JOIN records ON records.build = id AND number = 1 WHERE last > 1
    UNION ALL
    SELECT number, records.epoch, time_ms, split, size, checksum, body, named, id
        FROM newest JOIN records ON records.build = id AND number = code WHERE code > 1 AND code < last
    UNION ALL
    SELECT number, records.epoch, time_ms, split, size, checksum, body, named, id
        FROM newest JOIN records ON records.build = id AND number = last
    ) AS few ORDER BY id DESC, number";

/// The statements, on connections to this kind of database.
pub(super) struct Statements<DB>(PhantomData<DB>);

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
    /// Gives a journal to a new owner, if it is still as it was `seen`.
    pub(super) async fn take_over(
        connection: &mut DB::Connection,
        build: &str,
        seen: &Head,
        new: &Head,
    ) -> Result<bool, sqlx::Error> {
        let taken = sqlx::query::<DB>(
            "UPDATE builds SET status = CASE WHEN last = $3 THEN status ELSE '' END,
                 owner = $1, epoch = $2, last = $3, checksum = $4
             WHERE build = $5 AND owner = $6 AND epoch = $7 AND last = $8 AND checksum = $9 RETURNING id",
        )
        .bind(owner_bytes(new.owner))
        .bind(new.epoch as i64)
        .bind(new.last as i64)
        .bind(new.checksum.0.to_vec())
        .bind(build.to_owned())
        .bind(owner_bytes(seen.owner))
        .bind(seen.epoch as i64)
        .bind(seen.last as i64)
        .bind(seen.checksum.0.to_vec())
        .fetch_optional(connection)
        .await?;
        Ok(taken.is_some())
    }

    /// Where the journal of a build ends.
    pub(super) async fn head(connection: &mut DB::Connection, build: &str) -> Result<Option<Head>, sqlx::Error> {
        let row = sqlx::query::<DB>("SELECT owner, epoch, last, checksum FROM builds WHERE build = $1")
            .bind(build.to_owned())
            .fetch_optional(connection)
            .await?;
        row.as_ref().map(Self::head_of).transpose()
    }

    /// The head that the first four columns are.
    pub(super) fn head_of(row: &DB::Row) -> Result<Head, sqlx::Error> {
        Ok(Head {
            owner: owner(row.try_get(0)?)?,
            epoch: number(row.try_get(1)?)?,
            last: number(row.try_get(2)?)?,
            checksum: digest(row.try_get(3)?)?,
        })
    }

    /// A row of [`RECORDS`].
    pub(super) fn record(row: &DB::Row) -> Result<Record, sqlx::Error> {
        Ok(Record {
            number: number(row.try_get(0)?)?,
            epoch: number(row.try_get(1)?)?,
            time_ms: number(row.try_get(2)?)?,
            split: row.try_get(3)?,
            size: number(row.try_get(4)?)?,
            checksum: digest(row.try_get(5)?)?,
            body: row.try_get(6)?,
        })
    }

    /// The records that [`Journal::outlines`](super::Journal::outlines) gives.
    pub(super) async fn outlines(
        connection: &mut DB::Connection,
        of: &Sought,
        skip: usize,
        count: usize,
    ) -> Result<Vec<(String, Record)>, sqlx::Error> {
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let mut query: QueryBuilder<DB> =
            QueryBuilder::new("WITH newest AS (SELECT id, build AS named, last, code FROM builds");
        let mut before = " WHERE ";
        if let Some(branch) = &of.branch {
            query.push(before).push("substr(branch, 1, 200) = substr(").push_bind(branch.clone());
            query.push(", 1, 200) AND branch = ").push_bind(branch.clone());
            before = " AND ";
        }
        if !of.statuses.is_empty() {
            query.push(before).push("status IN (");
            let mut list = query.separated(", ");
            for status in &of.statuses {
                list.push_bind(in_words(*status).to_owned());
            }
            query.push(")");
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(number(count)).push(" OFFSET ").push_bind(number(skip));
        query.push(") ").push(OUTLINES);
        let rows = query.build().fetch_all(connection).await?;
        rows.iter().map(Self::outlined).collect()
    }

    /// A row of [`OUTLINES`].
    fn outlined(row: &DB::Row) -> Result<(String, Record), sqlx::Error> {
        Ok((row.try_get(7)?, Self::record(row)?))
    }
}

pub(super) fn owner_bytes(owner: Owner) -> Vec<u8> {
    owner.0.to_be_bytes().to_vec()
}

fn owner(bytes: Vec<u8>) -> Result<Owner, sqlx::Error> {
    bytes.try_into().map(|bytes| Owner(u128::from_be_bytes(bytes))).map_err(|_| damaged("an owner"))
}

fn number(number: i64) -> Result<u64, sqlx::Error> {
    u64::try_from(number).map_err(|_| damaged("a number"))
}

pub(super) fn digest(bytes: Vec<u8>) -> Result<Digest, sqlx::Error> {
    bytes.try_into().map(Digest).map_err(|_| damaged("a checksum"))
}

fn damaged(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what} in it is none: the database is damaged").into())
}
