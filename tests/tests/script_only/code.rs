//! The code that is built: a working tree, or a clone.

use monkeyci_tests::host::{Host, Running};
use monkeyci_tests::https::{GitServer, Manners};
use monkeyci_tests::place;
use monkeyci_tests::repository::Repository;

#[test]
fn a_working_tree_tells_its_branch_and_commit() {
    let repository = Repository::default();
    let commit = repository.git(&["rev-parse", "HEAD"]);
    let ended = Host::default().run("build-info", &["--dir", repository.path().to_str().expect("text")]);
    let told = format!("told: cli main - {commit} the second commit Ada <ada@example.org> main\n");
    assert_eq!(ended.log(None), told);
}

#[test]
fn a_script_is_told_which_files_changed() {
    let (host, repository) = (Host::default(), Repository::default());
    let dir = repository.path().to_str().expect("text").to_owned();
    let changes = |arguments: &[&str]| {
        let ended = host.run("changes", arguments);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        ended.log(None)
    };
    // The main branch: what its last commit brought.
    let second = "added: second\nmodified: \nremoved: \nrenamed: []\n*: [true, true, false, false]\n\
        src/**: [false, false, false, false]\n**/*.rs: [false, false, false, false]\n\
        doc/**: [false, false, false, false]\nmain: true false false\n";
    assert_eq!(changes(&["--git", &repository.url()]), second);
    assert_eq!(changes(&["--dir", &dir]), second);

    // A branch, with changes that are committed and some that are not.
    repository.write("src/old.rs", &"a line of code\n".repeat(20));
    repository.write("second", "2, in other words");
    repository.commit("the third commit");
    repository.git(&["checkout", "--quiet", "-b", "tonic"]);
    repository.git(&["mv", "src/old.rs", "src/new.rs"]);
    repository.write("first", "1, in other words");
    repository.write(".gitignore", "target\n");
    repository.commit("on the branch");
    let committed = "added: .gitignore\nmodified: first\nremoved: \n\
        renamed: [(\"src/old.rs\", \"src/new.rs\")]\n*: [true, true, true, false]\n\
        src/**: [true, false, false, false]\n**/*.rs: [true, false, false, false]\n\
        doc/**: [false, false, false, false]\nmain: false true false\n";
    // A clone takes the branch that is checked out here for the main branch.
    repository.git(&["checkout", "--quiet", "main"]);
    assert_eq!(changes(&["--git", &repository.url(), "--ref", "tonic"]), committed);
    repository.git(&["checkout", "--quiet", "tonic"]);
    repository.write("doc/new.md", "new");
    repository.write("target/huge", "ignored");
    std::fs::remove_file(repository.path().join("second")).expect("removed");
    let all = "added: .gitignore doc/new.md\nmodified: first\nremoved: second\n\
        renamed: [(\"src/old.rs\", \"src/new.rs\")]\n*: [true, true, true, true]\n\
        src/**: [true, false, false, false]\n**/*.rs: [true, false, false, false]\n\
        doc/**: [true, true, false, false]\nmain: false true false\n";
    assert_eq!(changes(&["--dir", &dir]), all);

    // A tag on the first commit; and no repository, where everything counts as changed.
    let tag = changes(&["--git", &repository.url(), "--ref", "v1"]);
    assert!(tag.starts_with("added: first\n") && tag.ends_with("main: false false true\n"), "{tag}");
    let unknown = changes(&["--dir", host.home().to_str().expect("text")]);
    assert!(unknown.starts_with("not known\n*: [true, true, true, true]\n"), "{unknown}");
}

#[test]
fn what_is_said_of_the_code_is_told_to_the_script_and_that_it_was_said_to_everybody() {
    let (host, repository) = (Host::default(), Repository::default());
    let dir = repository.path().to_str().expect("text").to_owned();
    let commit = repository.git(&["rev-parse", "HEAD"]);
    let said = host.run("build-info", &["--dir", &dir, "--trigger", "webhook/push", "--tag", "v2"]);
    assert_eq!(
        said.log(None),
        format!("told: webhook/push - v2 {commit} the second commit Ada <ada@example.org> main\n")
    );
    let source = said.of_type("build/checked-out").next().expect("the code")["source"].clone();
    assert_eq!(
        (&source["given"], &source["git_ref"]),
        (&serde_json::json!(["trigger", "tag"]), &"refs/tags/v2".into())
    );
    let warned = said.of_type("build/warned").next().expect("a warning")["message"].to_string();
    assert!(warned.contains("trigger, tag: the script is told what was given"), "{warned}");
    let shown = host.command(&["show"]).output().expect("the host runs").stdout;
    assert!(
        String::from_utf8_lossy(&shown).contains("v2 at")
            && String::from_utf8_lossy(&shown).contains("(given: trigger, tag)")
    );

    let event = host.home().join("event.json");
    std::fs::write(&event, r#"{"ref": "refs/heads/tonic", "commits": [{"added": ["src/a.rs"], "removed": ["b"]}]}"#)
        .expect("written");
    let event = event.to_str().expect("text");
    let told = "added: src/a.rs\nmodified: \nremoved: b\nrenamed: []\n*: [true, false, false, true]\n\
        src/**: [true, true, false, false]\n**/*.rs: [true, true, false, false]\n\
        doc/**: [false, false, false, false]\nmain: false true false\n";
    assert_eq!(host.run("changes", &["--dir", &dir, "--event", event]).log(None), told);
    // So is who runs it again.
    let again = Running::spawn(&mut host.command(&["rerun", "--all", "--progress", "json"])).end();
    assert_eq!(again.log(None), told);
    let changed = host.run("changes", &["--dir", &dir, "--changed", "doc/x", "second"]).log(None);
    assert!(
        changed.starts_with("added: \nmodified: doc/x second\n") && changed.ends_with("main: true false false\n"),
        "{changed}"
    );
    let mut check =
        host.command(&["check", "--json", "--dir", &dir, "--param", "case=changes", "--changed", "../outside"]);
    let refused = check.arg("--").arg(place::script("probe_script")).output().expect("the host runs");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("\"../outside\" is no path of a file"), "{refused:?}");
}

#[test]
fn a_branch_a_tag_and_a_commit_can_be_built() {
    let (host, repository) = (Host::default(), Repository::default());
    let id = |name: &str| repository.git(&["rev-parse", name]);
    let (main, v1, topic) = (id("main"), id("v1"), id("topic"));
    let author = "Ada <ada@example.org> main\n";
    for (reference, told) in [
        (None, format!("told: cli main - {main} the second commit {author}")),
        (Some("topic"), format!("told: cli topic - {topic} on topic {author}")),
        (Some("refs/heads/topic"), format!("told: cli topic - {topic} on topic {author}")),
        (Some("v1"), format!("told: cli - v1 {v1} the first commit {author}")),
        (Some(v1.as_str()), format!("told: cli - - {v1} the first commit {author}")),
        (Some(&topic[..10]), format!("told: cli - - {topic} on topic {author}")),
    ] {
        let url = repository.url();
        let mut arguments = vec!["--git", &url];
        arguments.extend(reference.into_iter().flat_map(|reference| ["--ref", reference]));
        let ended = host.run("build-info", &arguments);
        assert_eq!(ended.log(None), told, "{reference:?}: {ended:#?}");
    }
}

#[test]
fn a_repository_is_cloned_over_https_if_its_certificate_is_trusted() {
    let (host, repository) = (Host::default(), Repository::default());
    let server = GitServer::serve(repository.path());
    let build = |trusted: bool| {
        let mut command = host.command(&["run", "--progress", "json", "--param", "case=build-info"]);
        command.arg(place::script("probe_script")).args(["--git", &server.url(), "--ref", "v1"]);
        if trusted {
            command.env("SSL_CERT_FILE", server.ca_file());
        }
        Running::spawn(&mut command).end()
    };
    let ended = build(true);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.log(None).contains(&repository.git(&["rev-parse", "v1"])), "{ended:#?}");
    assert!(ended.events[0]["build"].as_str().is_some_and(|id| id.starts_with("team/repo/")), "{ended:#?}");
    let ended = build(false);
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(ended.failure().contains("certificate"), "{}", ended.failure());
}

#[test]
fn a_login_and_a_proxy_are_used_for_git_and_a_redirect_without_https_is_refused() {
    let (host, repository) = (Host::default(), Repository::default());
    let build = |url: &str, variables: &[(&str, &str)]| {
        let mut command = host.command(&["run", "--progress", "json", "--param", "case=build-info"]);
        command.arg(place::script("probe_script")).args(["--git", url]).envs(variables.iter().copied());
        let ended = Running::spawn(&mut command).end();
        let all = format!("{ended:?}");
        assert!(!["p%2Fw", "p/w", "s3cret"].iter().any(|secret| all.contains(secret)), "{all}");
        ended
    };
    let commit = repository.git(&["rev-parse", "main"]);

    let closed = GitServer::with(repository.path(), Manners { login: true, ..Manners::default() });
    let ca_file = closed.ca_file();
    let trusted = [("SSL_CERT_FILE", ca_file.to_str().expect("text"))];
    let ended = build(&closed.url_with_login("ada:p%2Fw@"), &trusted);
    assert!(ended.log(None).contains(&commit), "{ended:#?}");
    let ended = build(&closed.url_with_login("ada:s3cret@"), &trusted);
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(ended.failure().contains("refuses the login in the URL"), "{}", ended.failure());

    let plain = GitServer::with(repository.path(), Manners { plain: true, ..Manners::default() });
    let proxy = [("http_proxy", plain.origin())];
    let proxy = proxy.each_ref().map(|(name, value)| (*name, value.as_str()));
    let ended = build("http://elsewhere.invalid/team/repo.git?access_token=s3cret", &proxy);
    assert!(ended.log(None).contains(&commit), "{ended:#?}");
    assert!(ended.events[0]["build"].as_str().is_some_and(|id| id.starts_with("team/repo/")), "{ended:#?}");
    assert!(plain.requests()[0].starts_with("GET http://elsewhere.invalid/team/repo.git/info/refs"));

    let manners = Manners { elsewhere: Some(plain.origin()), ..Manners::default() };
    let (redirects, before) = (GitServer::with(repository.path(), manners), plain.requests().len());
    let ca_file = redirects.ca_file();
    let ended = build(&redirects.url(), &[("SSL_CERT_FILE", ca_file.to_str().expect("text"))]);
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(ended.failure().contains("without HTTPS"), "{}", ended.failure());
    assert_eq!(plain.requests().len(), before);
}

#[test]
fn a_file_of_logins_opens_a_closed_repository_and_nothing_of_it_is_shown() {
    let (host, repository) = (Host::default(), Repository::default());
    let closed = GitServer::with(repository.path(), Manners { login: true, ..Manners::default() });
    let logins = host.home().join("logins");
    std::fs::write(&logins, format!("{}\n", closed.url_with_login("ada:p%2Fw@"))).expect("written");
    let build = |logins: &[&str]| {
        let mut command = host.command(&["run", "--progress", "json", "--param", "case=build-info"]);
        command.arg(place::script("probe_script")).args(["--git", &closed.url()]).args(logins);
        Running::spawn(command.env("SSL_CERT_FILE", closed.ca_file())).end()
    };
    let ended = build(&["--git-auth", logins.to_str().expect("text")]);
    assert!(ended.log(None).contains(&repository.git(&["rev-parse", "main"])), "{ended:#?}");
    let all = format!("{ended:?}");
    assert!(!["p%2Fw", "p/w", "ada:"].iter().any(|secret| all.contains(secret)), "{all}");
    let ended = build(&[]);
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(ended.failure().contains("wants a login") && ended.failure().contains("--git-auth"), "{ended:#?}");
}

#[test]
fn what_is_missing_of_the_code_stands_in_the_result_of_the_build() {
    let (host, repository) = (Host::default(), Repository::default());
    repository.write(".gitattributes", "*.bin filter=lfs\n");
    repository.write("big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n");
    // Without the program git-lfs, which would be asked what is to be kept.
    repository.git(&["-c", "filter.lfs.clean=cat", "-c", "filter.lfs.required=false", "add", "--all"]);
    repository.git(&[
        "-c",
        "filter.lfs.clean=cat",
        "-c",
        "filter.lfs.required=false",
        "commit",
        "--quiet",
        "-m",
        "a pointer",
    ]);
    let (dir, url) = (repository.path().to_str().expect("text").to_owned(), repository.url());
    for (option, from) in [("--dir", &dir), ("--git", &url)] {
        let mut command = host.command(&["run", "--progress", "plain", "--param", "case=build-info", option, from]);
        let output = command.arg(place::script("probe_script")).output().expect("the host runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let result: Vec<&str> = text.lines().rev().take(3).collect();
        assert!(result[0].starts_with("build succeeded"), "{text}");
        let told =
            result.iter().any(|line| line.starts_with("  warning: 1 file (\"big.bin\") of the code lie in Git LFS"));
        assert!(told, "{option}: {text}");
    }
}

#[test]
fn code_that_is_not_there_exits_with_4_and_says_what_to_check() {
    let (host, repository) = (Host::default(), Repository::default());
    let ended = host.run("nothing", &["--git", &repository.url(), "--ref", "no-such-branch"]);
    assert_eq!(ended.code, Some(4));
    assert!(ended.failure().contains("no-such-branch"), "{}", ended.failure());
    let ended = host.run("nothing", &["--git", "file:///no/such/repository"]);
    assert_eq!(ended.code, Some(4));
    assert!(ended.failure().contains("/no/such/repository"), "{}", ended.failure());
    let ended = host.run("nothing", &["--git", "https://user:secret@localhost:1/x/y.git"]);
    assert_eq!(ended.code, Some(4));
    assert!(!ended.failure().contains("secret"), "{}", ended.failure());
}
