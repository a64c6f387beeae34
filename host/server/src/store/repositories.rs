//! The repositories that the server builds.

use monkeyci_api::Hidden;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row};

use super::{Store, damaged, sealed};
use crate::error::StoreError;
use crate::keys::{MasterKey, Sealed};

/// The rows of repositories, as [`Store::repository_of`] reads them; what follows says which.
macro_rules! rows {
    ($which:literal) => {
        concat!(
            "SELECT id, name, url, script_path, script IS NOT NULL AS stored, hook_key, hook_sealed, labels, added_ms FROM repositories ",
            $which
        )
    };
}

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
    pub(crate) hook_secret: Hidden<String>,
    /// What it has in common with others.
    pub(crate) labels: Vec<String>,
    pub(crate) added_ms: u64,
}

/// A repository that is to be added.
pub(crate) struct NewRepository<'a> {
    pub(crate) name: &'a str,
    pub(crate) url: &'a str,
    pub(crate) script_path: Option<&'a str>,
    pub(crate) hook_secret: &'a str,
    pub(crate) labels: &'a [String],
    pub(crate) added_ms: u64,
}

/// What the secret of a repository's webhooks is sealed for.
pub(super) fn about_hook(name: &str) -> String {
    serde_json::json!(["webhooks", name]).to_string()
}

/// Seals the secrets of webhooks that an older version has left in the clear, and leaves no trace of them in the file.
pub(super) async fn seal_hooks(db: &mut SqliteConnection, key: &MasterKey) -> Result<(), StoreError> {
    let clear: Vec<(i64, String, String)> =
        sqlx::query_as("SELECT id, name, hook_secret FROM repositories WHERE hook_key IS NULL")
            .fetch_all(&mut *db)
            .await?;
    if clear.is_empty() {
        return Ok(());
    }
    let mut transaction = db.begin_with("BEGIN IMMEDIATE").await?;
    for (id, name, secret) in clear {
        let shut = key.seal(&about_hook(&name), secret.as_bytes()).map_err(|error| sealed(&name, error))?;
        sqlx::query("UPDATE repositories SET hook_key = ?, hook_sealed = ?, hook_secret = '' WHERE id = ?")
            .bind(shut.data_key)
            .bind(shut.value)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    sqlx::raw_sql("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").execute(db).await?;
    Ok(())
}

impl Store {
    fn repository_of(&self, row: &SqliteRow) -> Result<Repository, StoreError> {
        let (path, stored): (Option<String>, bool) = (row.try_get("script_path")?, row.try_get("stored")?);
        let script = if stored { Some(ScriptPlace::Stored) } else { path.map(ScriptPlace::Path) };
        let (name, labels): (String, String) = (row.try_get("name")?, row.try_get("labels")?);
        let shut = Sealed { data_key: row.try_get("hook_key")?, value: row.try_get("hook_sealed")? };
        let secret = self.key.open(&about_hook(&name), &shut);
        let secret = secret.map_err(|error| sealed(&format!("the webhook secret of {name:?}"), error))?;
        Ok(Repository {
            id: row.try_get("id")?,
            url: row.try_get("url")?,
            script,
            hook_secret: Hidden(String::from_utf8(secret).map_err(|_| damaged(&name, "a secret is no text"))?),
            labels: serde_json::from_str(&labels).map_err(|error| damaged(&name, error))?,
            added_ms: row.try_get::<i64, _>("added_ms")?.unsigned_abs(),
            name,
        })
    }

    /// Adds a repository; `None` if there is one of this name.
    pub(crate) async fn add_repository(&self, new: &NewRepository<'_>) -> Result<Option<Repository>, StoreError> {
        let shut = self.key.seal(&about_hook(new.name), new.hook_secret.as_bytes());
        let shut = shut.map_err(|error| sealed(new.name, error))?;
        let labels = serde_json::to_string(new.labels).map_err(|error| damaged(new.name, error))?;
        let mut db = self.lease().await?;
        let inserted = sqlx::query(
            "INSERT INTO repositories (name, url, script_path, hook_secret, hook_key, hook_sealed, labels, added_ms)
             VALUES (?, ?, ?, '', ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
        )
        .bind(new.name)
        .bind(new.url)
        .bind(new.script_path)
        .bind(shut.data_key)
        .bind(shut.value)
        .bind(labels)
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
        let found = sqlx::query(rows!("WHERE name = ?")).bind(name).fetch_optional(&mut *db).await?;
        db.done();
        found.as_ref().map(|row| self.repository_of(row)).transpose()
    }

    /// The repository of this number.
    pub(crate) async fn repository_by_id(&self, id: i64) -> Result<Option<Repository>, StoreError> {
        Ok(self.repositories(Some(id)).await?.pop())
    }

    /// All repositories, or the one of this number; by name.
    pub(crate) async fn repositories(&self, only: Option<i64>) -> Result<Vec<Repository>, StoreError> {
        let mut db = self.lease().await?;
        let rows =
            sqlx::query(rows!("WHERE ?1 IS NULL OR id = ?1 ORDER BY name")).bind(only).fetch_all(&mut *db).await?;
        db.done();
        rows.iter().map(|row| self.repository_of(row)).collect()
    }

    /// Sets the labels of a repository.
    pub(crate) async fn set_labels(&self, repository: i64, labels: &[String]) -> Result<(), StoreError> {
        let labels = serde_json::to_string(labels).map_err(|error| damaged("labels", error))?;
        let mut db = self.lease().await?;
        let update = sqlx::query("UPDATE repositories SET labels = ? WHERE id = ?").bind(labels).bind(repository);
        update.execute(&mut *db).await?;
        db.done();
        Ok(())
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
