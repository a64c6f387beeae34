//! The statements that write appends. None of them needs the answer of another one: each looks for itself whether a journal ends as its append
//! has it. So SQLite is handed all of them at once, and one thread waits for another once for each durable write, not once for each statement.

use std::collections::HashSet;

use sqlx::{ColumnIndex, Database, Decode, Encode, Executor, IntoArguments, QueryBuilder, Row, Type};

use super::statements::{Statements, owner_bytes};
use super::{Append, Head, JournalError, Piece, Record};

/// A statement, for some of the appends.
pub(super) enum Step<'a> {
    /// Makes journals.
    Begin(Vec<&'a Append>),
    /// Moves the ends of journals that are as their appends have them.
    Move(Vec<&'a Append>),
    /// Says of builds whether they are over, where that is news: SQLite writes an index anew for each value that it is told, the same or not.
    Status(Vec<&'a Append>),
    /// Says which record tells the code.
    Code(&'a Append),
    /// Keeps a large value.
    Content(&'a Append, &'a Piece),
    /// Says that a build refers to it.
    Use(&'a Append, &'a Piece),
    /// Writes records.
    Records(Vec<(&'a Append, &'a Record)>),
}

impl<'a> Step<'a> {
    /// What is to be done for appends, in this order. One statement has so many rows at most.
    pub(super) fn of(appends: &'a [Append], rows: usize) -> Vec<Self> {
        let (begin, go_on): (Vec<_>, Vec<_>) = appends.iter().partition(|append| append.begins());
        let chunks = |appends: &[&'a Append], step: fn(Vec<&'a Append>) -> Self| {
            appends.chunks(rows).map(|chunk| step(chunk.to_vec())).collect::<Vec<_>>()
        };
        let mut steps = chunks(&begin, Self::Begin);
        steps.extend(chunks(&go_on, Self::Move));
        steps.extend(chunks(&go_on, Self::Status));
        for append in appends {
            steps.extend(append.index.code().map(|_| Self::Code(append)));
            for piece in &append.pieces {
                steps.extend([Self::Content(append, piece), Self::Use(append, piece)]);
            }
        }
        let records: Vec<_> =
            appends.iter().flat_map(|append| append.records.iter().map(move |record| (append, record))).collect();
        steps.extend(records.chunks(rows).map(|records| Self::Records(records.to_vec())));
        steps
    }
}

/// That a row of `builds` is the end of a journal, as the columns of `new` from this one on have it: build, owner, epoch, last, checksum.
fn ends_as_new(first: usize) -> String {
    let columns = ["build", "owner", "epoch", "last", "checksum"].into_iter().zip(first..);
    let equal: Vec<_> = columns.map(|(name, number)| format!("builds.{name} = new.column{number}")).collect();
    equal.join(" AND ")
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
    /// Adds a step's statement. Those that begin or move a journal answer with the rows that they wrote, as [`Self::verdicts`] reads them; the
    /// others with none.
    pub(super) fn write(query: &mut QueryBuilder<DB>, step: &Step<'_>) {
        match step {
            Step::Begin(appends) => {
                query.push("INSERT INTO builds (build, owner, epoch, last, checksum, status) ");
                query.push_values(appends, |mut row, append| {
                    Self::bind_end(&mut row, append, &append.head());
                    row.push_bind(append.index.status().to_owned());
                });
                query.push(" ON CONFLICT (build) DO NOTHING RETURNING owner, epoch, last, checksum, build");
            }
            Step::Move(appends) => {
                query.push("UPDATE builds SET last = new.column6, checksum = new.column7 FROM (");
                query.push_values(appends, |mut row, append| {
                    Self::bind_end(&mut row, append, &append.before());
                    let head = append.head();
                    row.push_bind(head.last as i64).push_bind(head.checksum.0.to_vec());
                });
                query.push(") AS new WHERE ").push(ends_as_new(1));
                query.push(" RETURNING owner, epoch, last, checksum, build");
            }
            Step::Status(appends) => {
                query.push("UPDATE builds SET status = new.column6 FROM (");
                query.push_values(appends, |mut row, append| {
                    Self::bind_end(&mut row, append, &append.head());
                    row.push_bind(append.index.status().to_owned());
                });
                query.push(") AS new WHERE ").push(ends_as_new(1)).push(" AND builds.status != new.column6");
            }
            Step::Code(append) => {
                let Some((number, branch)) = append.index.code() else { return };
                query.push("UPDATE builds SET code = ").push_bind(*number as i64);
                // No branch has an empty name.
                query.push(", branch = NULLIF(").push_bind(branch.clone().unwrap_or_default()).push(", '')");
                Self::at_end(query, append);
            }
            Step::Content(append, piece) => {
                query.push("INSERT INTO contents (digest, text) SELECT ").push_bind(piece.digest.0.to_vec());
                query.push(", ").push_bind(piece.text.clone()).push(" FROM builds");
                Self::at_end(query, append);
                query.push(" ON CONFLICT DO NOTHING");
            }
            Step::Use(append, piece) => {
                query.push("INSERT INTO content_uses (build, digest) SELECT id, ").push_bind(piece.digest.0.to_vec());
                query.push(" FROM builds");
                Self::at_end(query, append);
                query.push(" ON CONFLICT DO NOTHING");
            }
            Step::Records(records) => {
                query.push(
                    "INSERT INTO records (build, number, epoch, time_ms, split, size, checksum, body)
                     SELECT builds.id, new.column6, new.column7, new.column8, new.column9, new.column10, new.column11, new.column12 FROM (",
                );
                query.push_values(records, |mut row, (append, record)| {
                    Self::bind_end(&mut row, append, &append.head());
                    row.push_bind(record.number as i64).push_bind(record.epoch as i64);
                    row.push_bind(record.time_ms as i64).push_bind(record.split).push_bind(record.size as i64);
                    row.push_bind(record.checksum.0.to_vec()).push_bind(record.body.clone());
                });
                query.push(") AS new JOIN builds ON ").push(ends_as_new(1));
                // An append whose answer was lost is made again, and its records are there. Others at their numbers are a fault.
                query.push(
                    " WHERE NOT EXISTS (SELECT 1 FROM records AS old WHERE old.build = builds.id AND old.number = new.column6
                     AND old.checksum = new.column11)",
                );
            }
        }
    }

    /// What became of each append, by what the statements answered. The one of two owners whose append was taken is known by where the journal
    /// ends now; where none was, `connection` tells why.
    pub(super) async fn verdicts(
        connection: &mut DB::Connection,
        appends: &[Append],
        written: &[DB::Row],
    ) -> Result<Vec<Result<(), JournalError>>, sqlx::Error> {
        let mut taken = HashSet::new();
        for row in written {
            taken.insert((row.try_get::<String, _>(4)?, Self::head_of(row)?));
        }
        let mut verdicts = Vec::with_capacity(appends.len());
        for append in appends {
            verdicts.push(match taken.contains(&(append.build.to_string(), append.head())) {
                true => Ok(()),
                false => append.verdict(Self::head(connection, &append.build).await?.as_ref()),
            });
        }
        Ok(verdicts)
    }

    fn bind_end(row: &mut sqlx::query_builder::Separated<'_, DB, &'static str>, append: &Append, end: &Head) {
        row.push_bind(append.build.to_string()).push_bind(owner_bytes(end.owner)).push_bind(end.epoch as i64);
        row.push_bind(end.last as i64).push_bind(end.checksum.0.to_vec());
    }

    /// That the row of `builds` is the append's, which was taken.
    fn at_end(query: &mut QueryBuilder<DB>, append: &Append) {
        let head = append.head();
        query.push(" WHERE build = ").push_bind(append.build.to_string());
        query.push(" AND owner = ").push_bind(owner_bytes(head.owner));
        query.push(" AND epoch = ").push_bind(head.epoch as i64).push(" AND last = ").push_bind(head.last as i64);
        query.push(" AND checksum = ").push_bind(head.checksum.0.to_vec());
    }
}
