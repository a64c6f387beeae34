//! Repositories: added, shown, removed; their scripts, and the webhooks that came for them.

use axum::response::{IntoResponse, Json, Response};
use http::StatusCode;
use monkeyci_controller::SourceRequest;
use serde::Deserialize;

use super::wire::{AddedRepository, Deliveries, DeliveryBody, LabelsBody, NewRepository, Repositories, RepositoryBody};
use super::{Call, Paged};
use crate::Server;
use crate::budget::{LONGEST_NAME, LONGEST_URL, MAX_LABELS, MAX_REPOSITORIES};
use crate::refusal::Refusal;
use crate::store::{self, Repository, ScriptPlace, State};
use crate::webhooks;

/// The shortest secret of webhooks that somebody may choose.
const SHORTEST_SECRET: usize = 16;

pub(super) async fn list(server: &Server, call: &Call) -> Result<Response, Refusal> {
    let repositories = server.0.store.repositories(call.grant()?.repository).await?;
    Ok(Json(Repositories { repositories: repositories.into_iter().map(body).collect() }).into_response())
}

pub(super) fn show(call: &Call) -> Result<Response, Refusal> {
    Ok(Json(body(call.repository()?.clone())).into_response())
}

pub(super) async fn add(server: &Server, call: &Call) -> Result<Response, Refusal> {
    let NewRepository { name, url, script_path, webhook_secret, labels } = call.hidden_json()?;
    let labels = checked(labels)?;
    check_url(&url).map_err(|reason| Refusal::invalid(format_args!("the URL {url:?} {reason}")))?;
    let name = name.unwrap_or_else(|| last_part(&url).to_owned());
    check_name("repository", &name)?;
    if let Some(path) = script_path.as_ref().filter(|path| !is_path(path)) {
        return Err(Refusal::invalid(format_args!("{path:?} is no path inside of a repository")));
    }
    if webhook_secret.as_ref().is_some_and(|secret| !(SHORTEST_SECRET..=LONGEST_URL).contains(&secret.len())) {
        let short = format!(
            "a secret of webhooks has {SHORTEST_SECRET} to {LONGEST_URL} bytes; leave it out to have one drawn"
        );
        return Err(Refusal::invalid(short));
    }
    if server.0.store.repositories(None).await?.len() >= MAX_REPOSITORIES as usize {
        return Err(Refusal::conflict(format_args!(
            "there are {MAX_REPOSITORIES} repositories, as many as there may be"
        )));
    }
    let webhook_secret = webhook_secret.unwrap_or_else(webhooks::secret);
    let new = store::NewRepository {
        name: &name,
        url: &url,
        script_path: script_path.as_deref(),
        hook_secret: &webhook_secret,
        labels: &labels,
        added_ms: server.0.host.day_ms(),
    };
    let Some(added) = server.0.store.add_repository(&new).await? else {
        return Err(Refusal::conflict(format_args!("there is a repository {name:?}; give this one another name")));
    };
    Ok((StatusCode::CREATED, Json(AddedRepository { repository: body(added), webhook_secret })).into_response())
}

pub(super) async fn remove(server: &Server, call: &Call) -> Result<Response, Refusal> {
    let repository = call.repository()?;
    let mut ended = Vec::new();
    for build in server.0.store.open_builds(repository.id).await? {
        let how = match build.state {
            State::Waiting => None,
            _ => super::builds::ended(server, &build).await?,
        };
        let goes_on = || Refusal::conflict(format_args!("the build {} goes on: cancel it first", build.build));
        ended.push((build.number, how.ok_or_else(goes_on)?));
    }
    // Also of those that can't be read: nobody looks at them any more.
    for (number, how) in ended {
        server.0.store.build_ended(number, &how).await?;
    }
    match server.0.store.remove_repository(repository.id).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Refusal::conflict("a build was asked for meanwhile: cancel it first")),
    }
}

pub(super) async fn store_script(server: &Server, call: &Call) -> Result<Response, Refusal> {
    if !call.body.starts_with(b"\0asm") {
        return Err(Refusal::invalid("the body is no WebAssembly component"));
    }
    server.0.store.store_script(call.repository()?.id, &call.body).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn set_labels(server: &Server, call: &Call) -> Result<Response, Refusal> {
    let LabelsBody { labels } = call.json()?;
    server.0.store.set_labels(call.repository()?.id, &checked(labels)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Labels, each once.
fn checked(mut labels: Vec<String>) -> Result<Vec<String>, Refusal> {
    labels.iter().try_for_each(|label| check_label(label))?;
    labels.sort();
    labels.dedup();
    if labels.len() > MAX_LABELS {
        return Err(Refusal::invalid(format_args!("a repository has at most {MAX_LABELS} labels")));
    }
    Ok(labels)
}

/// A label of repositories.
pub(super) fn check_label(label: &str) -> Result<(), Refusal> {
    check_name("label", label)
}

pub(super) async fn deliveries(server: &Server, call: &Call) -> Result<Response, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        cursor: Option<String>,
        limit: Option<u32>,
    }
    let Asked { cursor, limit } = call.query()?;
    let (before, limit) = Paged { cursor, limit }.read()?;
    let found = server.0.store.deliveries(call.repository()?.id, before, limit).await?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|last| last.number.to_string());
    let body = |one: store::Delivery| {
        let store::Delivery { number: _, delivery, event, outcome, build, received_ms } = one;
        DeliveryBody { delivery, event, outcome, build, received_ms }
    };
    Ok(Json(Deliveries { deliveries: found.into_iter().map(body).collect(), next }).into_response())
}

fn body(repository: Repository) -> RepositoryBody {
    let Repository { name, url, script, labels, added_ms, .. } = repository;
    let (script, script_path) = match script {
        None => (None, None),
        Some(ScriptPlace::Stored) => (Some("stored"), None),
        Some(ScriptPlace::Path(path)) => (Some("in-code"), Some(path)),
    };
    RepositoryBody { name, url, script, script_path, labels, added_ms }
}

/// A name of a repository or a token.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), Refusal> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let begins = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if begins && name.len() <= LONGEST_NAME && name.chars().all(fits) {
        return Ok(());
    }
    Err(Refusal::invalid(format_args!(
        "{name:?} can't be the name of a {what}: that has at most {LONGEST_NAME} letters, digits, `.`, `_` and `-`, and begins with one of the first two"
    )))
}

fn last_part(url: &str) -> &str {
    let url = url.trim_end_matches('/').trim_end_matches(".git");
    url.rsplit(['/', ':']).next().unwrap_or_default()
}

/// What is wrong with the URL of a repository, if something is. It is kept, and shown, so no login is in it.
fn check_url(url: &str) -> Result<(), String> {
    if url.is_empty() || url.len() > LONGEST_URL || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!("is empty, has more than {LONGEST_URL} bytes, or has spaces in it"));
    }
    let login =
        "has a login in it, or a query where some servers take one, which would be shown; give the server `--git-auth`";
    if SourceRequest::shows_login(url) {
        return Err(login.to_owned());
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        let user = rest.split('/').next().unwrap_or_default().rsplit_once('@').map(|(user, _)| user);
        return match (scheme, user) {
            ("file", _) if rest.starts_with('/') => Ok(()),
            ("https", None) if !rest.starts_with('/') => Ok(()),
            ("https", Some(_)) => Err(login.to_owned()),
            ("ssh", Some(user)) if user.contains(':') => Err(login.to_owned()),
            ("ssh", _) if !rest.starts_with('/') => Ok(()),
            _ => Err("is none of file:///…, https://… and ssh://…".to_owned()),
        };
    }
    // As ssh has it: user@host:path.
    match url.split_once(':') {
        Some((host, path))
            if host.contains('@') && !host.contains('/') && !path.is_empty() && !path.starts_with(':') =>
        {
            Ok(())
        }
        _ => Err("is none of file:///…, https://…, ssh://… and user@host:path".to_owned()),
    }
}

fn is_path(path: &str) -> bool {
    path.len() <= LONGEST_URL && path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_can_be_cloned_are_taken_and_none_with_a_login_or_another_scheme() {
        for good in
            ["file:///srv/app.git", "https://host/a/b", "ssh://git@host:22/a/b", "git@host:a/b.git", "ssh://host/a"]
        {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for wrong in [
            "",
            "/a/app",
            "app",
            "file://host/x",
            "http://host/a",
            "ext::sh -c x",
            "ext::x",
            "git://host/a",
            "https:///a",
            "https://user:pw@host/a",
            "https://token@host/a",
            "ssh://u:pw@host/a",
            "https://host/a b",
            "a@b::c",
            "./a@b:c",
            "https://host/a?private_token=x",
            "https://host/a#x",
            "https://user:s3/cret@host/a",
            "ssh://host/a?x",
        ] {
            assert!(check_url(wrong).is_err(), "{wrong}");
        }
        assert_eq!(["https://h/a/b.git", "git@h:b", "file:///x/b/"].map(last_part), ["b"; 3]);
        assert!(is_path(".monkeyci/ci.wasm") && !["", "/a", "../a", "a//b", "a/."].into_iter().any(is_path));
    }
}
