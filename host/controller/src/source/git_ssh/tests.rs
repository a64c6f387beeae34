//! With programs in the place of ssh.

use std::os::unix::fs::PermissionsExt;

use git2::{Repository, Signature};

use super::*;

#[test]
fn addresses_of_ssh_are_told_from_others_and_none_is_an_option() {
    let address = |user: Option<&str>, port, path: &str| {
        let (user, host) = (user.map(str::to_owned), "host".to_owned());
        Ok(Some(SshAddress { user, host, port, path: path.to_owned() }))
    };
    for (text, expected) in [
        ("git@host:team/repo.git", address(Some("git"), None, "team/repo.git")),
        ("host:/team/repo", address(None, None, "/team/repo")),
        ("ssh://git@host:2222/team/repo", address(Some("git"), Some(2222), "/team/repo")),
        ("ssh://host/~ada/repo", address(None, None, "~ada/repo")),
        ("https://host/repo", Ok(None)),
        ("file:///repo", Ok(None)),
        ("/a/b:c", Ok(None)),
        ("./a:b", Ok(None)),
        ("ssh://-oProxyCommand=x/repo", Err(SshError::Address)),
        ("-oProxyCommand=x:repo", Err(SshError::Address)),
        ("ssh://user:s3cret@host/repo", Err(SshError::Address)),
        ("ssh://host", Err(SshError::Address)),
    ] {
        assert_eq!(SshAddress::parse(text), expected, "{text}");
    }
}

/// A fetch with `script` in the place of ssh.
fn with(script: &str, path: &str, cancelled: &CancellationToken) -> (tempfile::TempDir, Arc<SshFetch>) {
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("ssh");
    // Written by another process: one of ours could hold it open for writing while it is run.
    let text = "printf '%s' \"$1\" >\"$2\" && chmod 755 \"$2\"";
    let written = Command::new("sh").args(["-c", text, "sh", &format!("#!/bin/sh\n{script}\n")]).arg(&program).status();
    assert!(written.expect("a shell").success());
    assert_eq!(program.metadata().expect("a file").permissions().mode() & 0o777, 0o755);
    let address = SshAddress::parse(&format!("git@host:{path}")).expect("an address").expect("ssh's");
    let (key, hosts) = (Some("/the/key".into()), Some("/the hosts".into()));
    let auth = GitAuth { ssh_key: key, known_hosts: hosts, ..GitAuth::default() };
    let mut fetch = SshFetch::new(address, auth, Duration::from_secs(60), cancelled.clone());
    fetch.program = program.display().to_string();
    (dir, Arc::new(fetch))
}

fn cloned(fetch: &Arc<SshFetch>, into: &std::path::Path) -> Result<Repository, git2::Error> {
    fetch.run(|url| Repository::clone(url, into)).expect("a transport")
}

#[test]
fn a_repository_is_cloned_with_ssh_as_git_would_call_it() {
    let from = tempfile::tempdir().expect("a directory");
    let repository = Repository::init(from.path()).expect("a repository");
    let tree = repository.treebuilder(None).expect("a tree").write().expect("written");
    let ada = Signature::now("Ada", "ada@example.org").expect("a signature");
    let tree = repository.find_tree(tree).expect("a tree");
    let commit = repository.commit(Some("HEAD"), &ada, &ada, "first", &tree, &[]).expect("a commit");
    let script = r#"echo "$@" >"$(dirname "$0")/called"; for last; do :; done; exec sh -c "$last""#;
    let (dir, fetch) = with(script, from.path().to_str().expect("text"), &CancellationToken::new());
    let into = tempfile::tempdir().expect("a directory");
    let clone = cloned(&fetch, into.path()).unwrap_or_else(|error| panic!("{error}: {:?}", fetch.error()));
    assert_eq!(clone.head().expect("a head").target(), Some(commit));
    let called = std::fs::read_to_string(dir.path().join("called")).expect("a file");
    let path = from.path().display();
    assert!(called.trim_end().ends_with(&format!("-- git@host git-upload-pack '{path}'")), "{called}");
    for option in [
        "-o BatchMode=yes",
        "-o IdentitiesOnly=yes -i /the/key",
        "-o UserKnownHostsFile=\"/the hosts\" -o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes",
    ] {
        assert!(called.contains(option), "{option} is not in {called}");
    }
}

#[test]
fn what_ssh_says_when_it_fails_is_told() {
    let script = "echo 'git@host: Permission denied (publickey).' >&2; exit 255";
    let (_dir, fetch) = with(script, "repo", &CancellationToken::new());
    let into = tempfile::tempdir().expect("a directory");
    cloned(&fetch, into.path()).err().expect("it fails");
    let said = "git@host: Permission denied (publickey).".to_owned();
    assert_eq!(fetch.error(), Some(SshError::Failed { host: "host".to_owned(), said }));
    assert!(fetch.error().expect("an error").to_string().contains("--git-auth ssh-key=FILE"));
}

#[test]
fn a_fetch_that_is_cancelled_does_not_wait_for_ssh() {
    let cancelled = CancellationToken::new();
    let (dir, fetch) = with(r#"touch "$(dirname "$0")/runs"; exec sleep 600"#, "repo", &cancelled);
    let into = tempfile::tempdir().expect("a directory");
    let runs = dir.path().join("runs");
    std::thread::spawn(move || {
        while !runs.exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        cancelled.cancel();
    });
    cloned(&fetch, into.path()).err().expect("it was cancelled");
}
