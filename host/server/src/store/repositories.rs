//! The repositories that the server builds.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::Store;
use crate::error::StoreError;

/// Where the script of a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScriptPlace {
    /// At this path of the code that is built.
    Path(String),
    /// In the database.
    Stored,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repository {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) url: String,
    /// None where nobody has said it yet.
    pub(crate) script: Option<ScriptPlace>,
    pub(crate) hook_secret: String,
    pub(crate) added_ms: u64,
}

/// A repository that is to be added.
pub(crate) struct NewRepository<'a> {
    pub(crate) name: &'a str,
    pub(crate) url: &'a str,
    pub(crate) script_path: Option<&'a str>,
    pub(crate) hook_secret: &'a str,
    pub(crate) added_ms: u64,
}

fn read(row: &SqliteRow) -> Result<Repository, sqlx::Error> {
    let (path, stored): (Option<String>, bool) = (row.try_get("script_path")?, row.try_get("stored")?);
    let script = if stored { Some(ScriptPlace::Stored) } else { path.map(ScriptPlace::Path) };
    Ok(Repository {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        url: row.try_get("url")?,
        script,
        hook_secret: row.try_get("hook_secret")?,
        added_ms: row.try_get::<i64, _>("added_ms")? as u64,
    })
}

impl Store {
    /// Adds a repository; `None` if there is one of this name.
    pub(crate) async fn add_repository(&self, new: &NewRepository<'_>) -> Result<Option<Repository>, StoreError> {
        let mut db = self.lease().await?;
        let inserted = sqlx::query(
            "INSERT INTO repositories (name, url, script_path, hook_secret, added_ms) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(new.name)
        .bind(new.url)
        .bind(new.script_path)
        .bind(new.hook_secret)
        .bind(new.added_ms as i64)
        .execute(&mut *db)
        .await?;
        db.done();
        if inserted.rows_affected() == 0 {
            return Ok(None);
        }
        self.repository(new.name).await
    }

    /// The repository of this name.
    pub(crate) async fn repository(&self, name: &str) -> Result<Option<Repository>, StoreError> {
        let mut db = self.lease().await?;
        let found = sqlx::query(
            "SELECT id, name, url, script_path, script IS NOT NULL AS stored, hook_secret, added_ms FROM repositories
             WHERE name = ?",
        )
        .bind(name)
        .fetch_optional(&mut *db)
        .await?;
        db.done();
        Ok(found.as_ref().map(read).transpose()?)
    }

    /// The repository of this number.
    pub(crate) async fn repository_by_id(&self, id: i64) -> Result<Option<Repository>, StoreError> {
        Ok(self.repositories(Some(id)).await?.pop())
    }

    /// All repositories, or the one of this number; by name.
    pub(crate) async fn repositories(&self, only: Option<i64>) -> Result<Vec<Repository>, StoreError> {
        let mut db = self.lease().await?;
        let rows = sqlx::query(
            "SELECT id, name, url, script_path, script IS NOT NULL AS stored, hook_secret, added_ms FROM repositories
             WHERE ?1 IS NULL OR id = ?1 ORDER BY name",
        )
        .bind(only)
        .fetch_all(&mut *db)
        .await?;
        db.done();
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Stores the script of a repository.
    pub(crate) async fn store_script(&self, repository: i64, script: &[u8]) -> Result<(), StoreError> {
        let mut db = self.lease().await?;
        let update = sqlx::query("UPDATE repositories SET script = ? WHERE id = ?").bind(script).bind(repository);
        update.execute(&mut *db).await?;
        db.done();
        Ok(())
    }

    /// The script of a repository that was stored.
    pub(crate) async fn stored_script(&self, repository: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let mut db = self.lease().await?;
        let found = sqlx::query_scalar("SELECT script FROM repositories WHERE id = ?").bind(repository);
        let found: Option<Option<Vec<u8>>> = found.fetch_optional(&mut *db).await?;
        db.done();
        Ok(found.flatten())
    }

    /// Removes a repository, its tokens, the list of its builds and of its webhooks; false, and nothing is removed, if one of its builds waits,
    /// or nobody has seen its end.
    pub(crate) async fn remove_repository(&self, repository: i64) -> Result<bool, StoreError> {
        let mut db = self.lease().await?;
        // In one statement: a build that is accepted meanwhile is not removed with it.
        let removed = sqlx::query(
            "DELETE FROM repositories WHERE id = ?1 AND NOT EXISTS (
                SELECT 1 FROM builds
                WHERE repository = ?1 AND (state = 'waiting' OR (state = 'begun' AND ended IS NULL)))",
        )
        .bind(repository)
        .execute(&mut *db)
        .await?;
        db.done();
        Ok(removed.rows_affected() > 0)
    }
}
