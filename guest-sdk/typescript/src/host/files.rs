//! The workspace and artifacts.

use rquickjs::{Exception, Object, Result};

use super::held::{Held, close, hold, with};
use super::{Answer, Call, Refused, number};
use crate::bindings::monkeyci::script::{artifacts, workspace};

pub fn answer<'js>(call: &Call<'js>, name: &str) -> Answer<'js> {
    match name {
        "read-file" => call.of_bytes(workspace::read_file(&call.text(1)?)?),
        "read-dir" => call.value(workspace::read_dir(&call.text(1)?)?),
        "glob" => call.value(workspace::glob(&call.get::<Vec<String>>(1)?)?),
        "hash-files" => call.value(workspace::hash_files(&call.get::<Vec<String>>(1)?)?),
        "write-file" => call.value(workspace::write_file(&call.text(1)?, &call.bytes(2)?)?),
        "append-file" => call.value(workspace::append_file(&call.text(1)?, &call.bytes(2)?)?),
        "stat" => {
            let Some(it) = workspace::stat(&call.text(1)?)? else { return call.value(()) };
            let known = Object::new(call.ctx.clone())?;
            known.set("kind", it.kind())?;
            known.set("size", number(it.size()))?;
            known.set("executable", it.executable())?;
            Ok(known.into_value())
        }
        "open" => hold(call, Held::Reader(workspace::open(&call.text(1)?)?)),
        "artifact-open" => hold(call, Held::Reader(artifacts::open(&call.text(1)?, &call.text(2)?)?)),
        "reader-size" => call.value(with(call, |held| match held {
            Held::Reader(it) => Some(number(it.size())),
            _ => None,
        })?),
        "reader-read" => {
            let most = call.get(2)?;
            let read = with(call, |held| match held {
                Held::Reader(it) => Some(it.read(most)),
                _ => None,
            })?;
            call.of_bytes(read?)
        }
        "drop" => call.value(close(call)?),
        "artifacts" => {
            let all = artifacts::list()?;
            call.value(all.iter().map(|it| artifact(call, it)).collect::<Result<Vec<_>>>()?)
        }
        "artifact-files" => call.value(artifacts::file_names(&call.text(1)?)?),
        "artifact-create" => hold(call, Held::Writer(artifacts::create(&call.text(1)?, &call.text(2)?)?)),
        "artifact-save" => call.value(artifact(call, &artifacts::save(&call.text(1)?, &call.text(2)?)?)?),
        "writer-write" => {
            let bytes = call.bytes(2)?;
            let written = with(call, |held| match held {
                Held::Writer(it) => Some(it.write(&bytes)),
                _ => None,
            })?;
            call.value(written?)
        }
        "writer-finish" => {
            let saved = with(call, |held| match held {
                Held::Writer(it) => Some(it.finish()),
                _ => None,
            })??;
            close(call)?;
            call.value(artifact(call, &saved)?)
        }
        other => {
            let message = format!("the interpreter has no call {other}");
            Err(Refused::Engine(Exception::throw_internal(&call.ctx, &message)))
        }
    }
}

fn artifact<'js>(call: &Call<'js>, it: &artifacts::Artifact) -> Result<Object<'js>> {
    let told = Object::new(call.ctx.clone())?;
    told.set("id", it.id())?;
    told.set("job", it.job())?;
    told.set("size", number(it.size()))?;
    told.set("digest", it.digest())?;
    Ok(told)
}
