//! `build-info`.

use super::world::with;
use crate::Changes;

pub fn id() -> String {
    with(|world| format!("{}/{}/{}", world.given.org, world.given.repo, world.given.build))
}

macro_rules! given {
    ($($name:ident: $type:ty;)*) => {
        $(pub fn $name() -> $type {
            with(|world| world.given.$name.clone())
        })*
    };
}

given! {
    org: String;
    repo: String;
    build: String;
    trigger: String;
    git_url: Option<String>;
    git_ref: Option<String>;
    branch: Option<String>;
    tag: Option<String>;
    commit: Option<String>;
    message: Option<String>;
    author: Option<String>;
    main_branch: Option<String>;
    base_commit: Option<String>;
    describe: Option<String>;
}

pub fn changes_known() -> bool {
    with(|world| world.given.changes.is_some())
}

pub fn added_files() -> Vec<String> {
    changes().added
}

pub fn modified_files() -> Vec<String> {
    changes().modified
}

pub fn removed_files() -> Vec<String> {
    changes().removed
}

pub fn renamed_files() -> Vec<(String, String)> {
    changes().renamed
}

fn changes() -> Changes {
    with(|world| world.given.changes.clone()).unwrap_or_default()
}
