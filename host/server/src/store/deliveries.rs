//! Webhooks that came, and what came of each.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::builds::{Most, NewBuild, Taken, take};
use super::{Store, damaged};
use crate::error::StoreError;

/// A webhook that has come with a good signature.
pub(crate) struct NewDelivery<'a> {
    pub(crate) repository: i64,
    /// Its id, as the forge says it.
    pub(crate) delivery: &'a str,
    /// Of its body: the signature is for that alone, so whoever has caught one can send it under another id.
    pub(crate) digest: &'a [u8],
    pub(crate) event: &'a str,
    /// What comes of it, in words, where it is no build.
    pub(crate) outcome: &'a str,
    /// The builds that it starts: each of a branch or a tag.
    pub(crate) builds: &'a [NewBuild],
    pub(crate) received_ms: u64,
}

/// What comes of a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// It is on disk, and the builds that it starts are.
    New,
    /// It, or one with the same body, has come before.
    Before,
    /// Too many builds wait, of the repository or in all; nothing of it is kept.
    Full {
        /// Whether they are all the repository's.
        of_repository: bool,
    },
}

/// A webhook that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) number: i64,
    pub(crate) delivery: String,
    pub(crate) event: String,
    pub(crate) outcome: String,
    pub(crate) build: Option<String>,
    pub(crate) received_ms: u64,
}

fn read(row: &SqliteRow) -> Result<Delivery, sqlx::Error> {
    Ok(Delivery {
        number: row.try_get("number")?,
        delivery: row.try_get("delivery")?,
        event: row.try_get("event")?,
        outcome: row.try_get("outcome")?,
        build: row.try_get("build")?,
        received_ms: row.try_get::<i64, _>("received_ms")? as u64,
    })
}

impl Store {
    /// Takes a webhook, and the builds that it starts: all or none. At most so many builds wait, and of the webhooks of the repository that have
    /// started none so many are kept.
    pub(crate) async fn take_delivery(
        &self,
        new: &NewDelivery<'_>,
        most: Most,
        kept: u32,
    ) -> Result<Delivered, StoreError> {
        let mut db = self.lease().await?;
        let mut transaction = sqlx::Connection::begin_with(&mut *db, "BEGIN IMMEDIATE").await?;
        let inserted = sqlx::query(
            "INSERT INTO deliveries (repository, delivery, digest, event, outcome, build, received_ms)
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(new.repository)
        .bind(new.delivery)
        .bind(new.digest)
        .bind(new.event)
        .bind(new.outcome)
        .bind(new.builds.first().map(|new| &new.build))
        .bind(new.received_ms as i64)
        .execute(&mut *transaction)
        .await?;
        let mut delivered = if inserted.rows_affected() == 0 { Delivered::Before } else { Delivered::New };
        for build in new.builds {
            if delivered == Delivered::New {
                delivered = match take(&mut transaction, (new.repository, build), new.received_ms, most).await? {
                    Taken::New => Delivered::New,
                    Taken::Full { of_repository } => Delivered::Full { of_repository },
                    Taken::Before(_) => Delivered::Before,
                };
            }
        }
        if delivered == Delivered::New && new.builds.is_empty() {
            sqlx::query(
                "DELETE FROM deliveries WHERE repository = ?1 AND build IS NULL AND number <= (
                    SELECT number FROM deliveries WHERE repository = ?1 AND build IS NULL
                    ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            )
            .bind(new.repository)
            .bind(kept)
            .execute(&mut *transaction)
            .await?;
        }
        match delivered {
            Delivered::New => transaction.commit().await?,
            Delivered::Before | Delivered::Full { .. } => transaction.rollback().await?,
        }
        db.done();
        Ok(delivered)
    }

    /// The webhooks of a repository that have come, the newest first; those before a number.
    pub(crate) async fn deliveries(
        &self,
        repository: i64,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut db = self.lease().await?;
        let rows = sqlx::query(
            "SELECT number, delivery, event, outcome, build, received_ms FROM deliveries
             WHERE repository = ?1 AND (?2 IS NULL OR number < ?2) ORDER BY number DESC LIMIT ?3",
        )
        .bind(repository)
        .bind(before)
        .bind(limit)
        .fetch_all(&mut *db)
        .await?;
        db.done();
        rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| damaged("a webhook", error))
    }
}
