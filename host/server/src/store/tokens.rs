//! The tokens of the public API.

use std::collections::BTreeSet;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::Store;
use crate::access::Scope;
use crate::error::StoreError;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenRow {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Of its secret.
    pub(crate) digest: Vec<u8>,
    pub(crate) scopes: BTreeSet<Scope>,
    /// The number and the name of the repository that it is for; all if `None`.
    pub(crate) repository: Option<(i64, String)>,
    pub(crate) made_ms: u64,
    pub(crate) ends_ms: Option<u64>,
}

impl TokenRow {
    /// Whether it is over.
    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        self.ends_ms.is_some_and(|ends| ends <= now_ms)
    }
}

fn read(row: &SqliteRow) -> Result<TokenRow, sqlx::Error> {
    let bits: i64 = row.try_get("scopes")?;
    let repository: Option<i64> = row.try_get("repository")?;
    let name: Option<String> = row.try_get("repository_name")?;
    Ok(TokenRow {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        digest: row.try_get("digest")?,
        scopes: Scope::ALL.into_iter().filter(|scope| bits & scope.bit() != 0).collect(),
        repository: repository.map(|id| (id, name.unwrap_or_default())),
        made_ms: row.try_get::<i64, _>("made_ms")? as u64,
        ends_ms: row.try_get::<Option<i64>, _>("ends_ms")?.map(|ms| ms as u64),
    })
}

impl Store {
    /// Adds a token.
    pub(crate) async fn add_token(&self, token: &TokenRow) -> Result<(), StoreError> {
        let mut db = self.lease().await?;
        sqlx::query(
            "INSERT INTO tokens (id, name, digest, scopes, repository, made_ms, ends_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&token.id)
        .bind(&token.name)
        .bind(&token.digest)
        .bind(token.scopes.iter().fold(0, |bits, scope| bits | scope.bit()))
        .bind(token.repository.as_ref().map(|(id, _)| *id))
        .bind(token.made_ms as i64)
        .bind(token.ends_ms.map(|ms| ms as i64))
        .execute(&mut *db)
        .await?;
        db.done();
        Ok(())
    }

    /// The token of this id; all if `None`, the oldest first.
    pub(crate) async fn tokens(&self, id: Option<&str>) -> Result<Vec<TokenRow>, StoreError> {
        let mut db = self.lease().await?;
        let rows = sqlx::query(
            "SELECT tokens.id, tokens.name, digest, scopes, repository, made_ms, ends_ms, repositories.name AS repository_name
             FROM tokens LEFT JOIN repositories ON repositories.id = repository
             WHERE ?1 IS NULL OR tokens.id = ?1 ORDER BY made_ms, tokens.id",
        )
        .bind(id)
        .fetch_all(&mut *db)
        .await?;
        db.done();
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Removes a token; false if there is none of this id.
    pub(crate) async fn remove_token(&self, id: &str) -> Result<bool, StoreError> {
        let mut db = self.lease().await?;
        let removed = sqlx::query("DELETE FROM tokens WHERE id = ?").bind(id).execute(&mut *db).await?;
        db.done();
        Ok(removed.rows_affected() > 0)
    }
}
