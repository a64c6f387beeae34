//! The master key of a database: which one it is sealed with, and how it is sealed with another one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::inputs::about_input;
use super::repositories::about_hook;
use super::sealed;
use crate::error::{ServerError, StoreError};
use crate::keys::{KeyError, MasterKey, Sealed};

/// What the database has sealed, to know its key again.
const CHECK: &str = "the master key of this database";

/// Which key the database is to be sealed with.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyChoice {
    /// This one; if `None`, that of the file `server.key` beside the database, which is drawn where there is none.
    pub(crate) given: Option<MasterKey>,
    /// The one that it may still be sealed with.
    pub(crate) before: Option<MasterKey>,
    /// Whether another one is drawn for the file.
    pub(crate) rotate: bool,
}

/// The files of keys beside the database.
struct Files {
    key: PathBuf,
    /// One that the database is about to be sealed with.
    next: PathBuf,
}

/// Finds the key that the database is sealed with, and seals it with another one where that is asked for.
///
/// # Errors
/// When it is sealed with none of the keys that are there.
pub(super) async fn settle(
    db: &mut SqliteConnection,
    dir: &Path,
    choice: &KeyChoice,
) -> Result<MasterKey, ServerError> {
    let known = known(db).await?;
    let files = Files { key: dir.join("server.key"), next: dir.join("server.key.next") };
    let wanted = match &choice.given {
        Some(key) => key.clone(),
        None => of_files(&files, known.as_ref().map(|(name, _)| name.as_str()))?,
    };
    let Some((name, check)) = known else {
        write_known(db, &wanted).await?;
        return Ok(wanted);
    };
    let mut key = wanted;
    if key.name() != name {
        let before = choice.before.clone().into_iter().chain(read(&files.key)?).find(|before| before.name() == name);
        let Some(before) = before else {
            return Err(ServerError::WrongKey { from: key.from().to_owned(), found: key.name(), wanted: name });
        };
        opens(&before, &check)?;
        reseal(db, &before, &key).await?;
    } else {
        opens(&key, &check)?;
    }
    if choice.rotate && choice.given.is_none() {
        let next = MasterKey::draw(from(&files.key));
        // Whoever dies between two of these finds one of both files to be the key.
        write(&files.next, &next)?;
        reseal(db, &key, &next).await?;
        fs::rename(&files.next, &files.key).map_err(|source| KeyError::File { path: files.key.clone(), source })?;
        key = next;
    }
    Ok(key)
}

fn opens(key: &MasterKey, check: &Sealed) -> Result<(), StoreError> {
    key.open(CHECK, check).map(drop).map_err(|error| sealed("what tells its master key", error))
}

/// The key in the files: the one by which the database calls it, if it does.
fn of_files(files: &Files, known: Option<&str>) -> Result<MasterKey, ServerError> {
    let key = read(&files.key)?;
    let Some(known) = known else {
        return match key {
            Some(key) => Ok(key),
            None => {
                let key = MasterKey::draw(from(&files.key));
                write(&files.key, &key)?;
                Ok(key)
            }
        };
    };
    if key.as_ref().is_some_and(|key| key.name() == known) {
        return key.ok_or_else(|| no_key(files));
    }
    match read(&files.next)? {
        Some(next) if next.name() == known => {
            fs::rename(&files.next, &files.key).map_err(|source| KeyError::File { path: files.key.clone(), source })?;
            Ok(next)
        }
        _ => key.ok_or_else(|| no_key(files)),
    }
}

fn no_key(files: &Files) -> ServerError {
    ServerError::NoKey { path: files.key.clone() }
}

fn from(path: &Path) -> String {
    format!("the file {}", path.display())
}

fn read(path: &Path) -> Result<Option<MasterKey>, KeyError> {
    match MasterKey::read(path) {
        Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Writes a key to a file: whole and on disk, or not at all.
fn write(path: &Path, key: &MasterKey) -> Result<(), KeyError> {
    let written = (|| {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let new = PathBuf::from(name);
        let _ = fs::remove_file(&new);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(key.text().0.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    })();
    written.map_err(|source| KeyError::File { path: path.to_owned(), source })
}

/// The name of the key that the database is sealed with, and what opens with it.
async fn known(db: &mut SqliteConnection) -> Result<Option<(String, Sealed)>, StoreError> {
    let row: Option<(String, Vec<u8>, Vec<u8>)> =
        sqlx::query_as("SELECT name, data_key, sealed FROM master_key").fetch_optional(db).await?;
    Ok(row.map(|(name, data_key, value)| (name, Sealed { data_key, value })))
}

async fn write_known(db: &mut SqliteConnection, key: &MasterKey) -> Result<(), StoreError> {
    let check = key.seal(CHECK, CHECK.as_bytes()).map_err(|error| sealed("what tells its master key", error))?;
    sqlx::query("INSERT OR REPLACE INTO master_key (id, name, data_key, sealed) VALUES (1, ?, ?, ?)")
        .bind(key.name())
        .bind(check.data_key)
        .bind(check.value)
        .execute(db)
        .await?;
    Ok(())
}

/// Seals all data keys with another master key: all, or none.
async fn reseal(db: &mut SqliteConnection, before: &MasterKey, key: &MasterKey) -> Result<(), StoreError> {
    let mut transaction = db.begin_with("BEGIN IMMEDIATE").await?;
    let inputs: Vec<(i64, String, String, String, Vec<u8>)> =
        sqlx::query_as("SELECT id, kind, name, place, data_key FROM inputs").fetch_all(&mut *transaction).await?;
    for (id, kind, name, place, data_key) in inputs {
        let data_key = before.reseal(&about_input(&kind, &name, &place), &data_key, key);
        let data_key = data_key.map_err(|error| sealed(&format!("the {kind} {name:?}"), error))?;
        let update = sqlx::query("UPDATE inputs SET data_key = ? WHERE id = ?").bind(data_key).bind(id);
        update.execute(&mut *transaction).await?;
    }
    let hooks: Vec<(i64, String, Vec<u8>)> =
        sqlx::query_as("SELECT id, name, hook_key FROM repositories WHERE hook_key IS NOT NULL")
            .fetch_all(&mut *transaction)
            .await?;
    for (id, name, data_key) in hooks {
        let data_key = before.reseal(&about_hook(&name), &data_key, key);
        let data_key = data_key.map_err(|error| sealed(&format!("the webhook secret of {name:?}"), error))?;
        let update = sqlx::query("UPDATE repositories SET hook_key = ? WHERE id = ?").bind(data_key).bind(id);
        update.execute(&mut *transaction).await?;
    }
    write_known(&mut transaction, key).await?;
    transaction.commit().await?;
    tracing::info!(before = before.name(), now = key.name(), "all values are sealed with another master key");
    Ok(())
}
