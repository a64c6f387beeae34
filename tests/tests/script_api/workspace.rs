use std::os::unix::fs::symlink;

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::Host;
use monkeyci_tests::repository::{Repository, git};

use crate::says;

#[test]
fn define_and_actions_read_the_workspace_and_see_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("sub")).expect("made");
    std::fs::write(dir.path().join("hello.txt"), "hello\n").expect("written");
    std::fs::write(dir.path().join("sub/other.txt"), "other").expect("written");
    let ended = Host::on(&Engine::docker()).run("workspace-read", &["--dir", dir.path().to_str().expect("text")]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let log = ended.log(None);
    assert!(log.contains(r#"define sees "hello\n""#) && log.contains("hello.txt sub/"), "{log}");
    says(&ended, "again", &[r#"the action sees the same, and reads 6 bytes: "hello\n""#]);
    says(&ended, "after", &["hello"]);
}

#[test]
fn a_job_has_what_git_tracks_and_knows_what_it_is_and_has_history_without_a_login_where_it_asks() {
    let repository = Repository::default();
    for (path, text) in [(".gitignore", "dist/\n"), ("dist/a.js", "a"), ("dist/b.js", "b")] {
        repository.write(path, text);
    }
    repository.git(&["add", "--force", "dist/a.js"]);
    repository.commit("a file that is ignored and tracked");
    repository.git(&["remote", "add", "origin", "https://ada:s3cr3t@localhost/team/repo.git"]);
    let commit = repository.git(&["rev-parse", "HEAD"]);
    let described = format!("v1-2-g{}", &commit[..7]);
    let (dir, url) = (repository.path().to_str().expect("text").to_owned(), repository.url());
    for (option, from, origin) in [("--dir", &dir, "https://localhost/team/repo.git"), ("--git", &url, &url)] {
        let ended = crate::run("workspace-of-git", &[option, from], 0);
        let told = format!("described as Some({described:?}), with .gitignore dist/a.js first second\n");
        assert_eq!(ended.log(None), told, "{option}");
        let build = ended.of_type("build/triggered").next().expect("a build")["build"].as_str().expect("an id");
        let repo = build.rsplit_once('/').expect("three parts").0;
        let expected = format!(
            "./.gitignore\n./dist/a.js\n./first\n./second\nCI=true\nMONKEYCI_ATTEMPT=1\nMONKEYCI_BRANCH=main\n\
             MONKEYCI_BUILD={build}\nMONKEYCI_COMMIT={commit}\nMONKEYCI_JOB=looks\nMONKEYCI_REF=refs/heads/main\n\
             MONKEYCI_REPO={repo}\n"
        );
        assert_eq!(ended.log(Some("looks")), expected, "{option}");

        let digits = ended.log(Some("with-git"));
        let archive: Vec<u8> =
            digits.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte")).collect();
        let copy = tempfile::tempdir().expect("a directory");
        tar::Archive::new(&archive[..]).unpack(copy.path()).expect("an archive");
        assert_eq!(git(copy.path(), &["describe", "--tags"]), described, "{option}");
        assert_eq!(git(copy.path(), &["log", "--format=%s"]).lines().count(), 3, "{option}");
        assert_eq!(git(copy.path(), &["rev-parse", "--symbolic-full-name", "HEAD"]), "refs/heads/main", "{option}");
        assert_eq!(git(copy.path(), &["status", "--porcelain"]), "", "{option}");
        assert_eq!(git(copy.path(), &["config", "remote.origin.url"]), origin, "{option}");
        assert!(!archive.windows(6).any(|window| window == b"s3cr3t"), "{option}: there is a login in it");
    }
    let tagged = crate::run("workspace-of-git", &["--git", &url, "--ref", "v1"], 0);
    says(&tagged, "looks", &["MONKEYCI_REF=refs/tags/v1", "MONKEYCI_TAG=v1"]);
}

#[test]
fn nothing_outside_the_workspace_is_read_or_written() {
    let outside = tempfile::tempdir().expect("a directory");
    std::fs::write(outside.path().join("secret"), "outside").expect("written");
    let dir = outside.path().join("workspace");
    std::fs::create_dir_all(dir.join("sub")).expect("made");
    std::fs::write(dir.join("hello.txt"), "hello").expect("written");
    symlink(outside.path().join("secret"), dir.join("link")).expect("linked");
    let ended = Host::default().run("workspace-escape", &["--dir", dir.to_str().expect("text")]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    says(&ended, "escape", &["nothing got out"]);
    assert!(!format!("{:?}", ended.events).contains("outside\""), "{ended:#?}");
    let names: Vec<_> = std::fs::read_dir(outside.path()).expect("read").flatten().map(|it| it.file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn a_hostile_workspace_is_read_without_harm() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path();
    std::fs::create_dir_all(path.join("sub")).expect("made");
    std::fs::write(path.join("hello.txt"), "hello\n").expect("written");
    std::fs::write(path.join("sub/other.txt"), "other").expect("written");
    rustix::fs::mknodat(rustix::fs::CWD, path.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a pipe");
    symlink("/", path.join("root")).expect("linked");
    symlink("loop", path.join("loop")).expect("linked");
    std::fs::create_dir(path.join("many")).expect("made");
    for number in 0..100_000 {
        std::fs::File::create(path.join(format!("many/{number}"))).expect("made");
    }
    let ended = Host::default().run("workspace-define", &["--dir", path.to_str().expect("text")]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let log = ended.log(None);
    assert!(log.contains("100002 files") && log.contains("pipe: refused") && log.contains("root: refused"), "{log}");
}

#[test]
fn a_hostile_workspace_reaches_a_container_without_what_is_no_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path();
    std::fs::write(path.join("hello.txt"), "hello\n").expect("written");
    rustix::fs::mknodat(rustix::fs::CWD, path.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a pipe");
    let _socket = std::os::unix::net::UnixListener::bind(path.join("socket")).expect("a socket");
    symlink("/etc/shadow", path.join("out")).expect("linked");
    let ended = Host::on(&Engine::docker()).run("workspace", &["--dir", path.to_str().expect("text")]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let warned: Vec<_> = ended.of_type("build/warned").map(|event| event["message"].as_str().expect("text")).collect();
    let said = "jobs don't get what is no file of the directory: 2 of sockets, pipes and devices";
    assert!(warned.contains(&said), "{warned:?}");
    // The link is a link, and leads nowhere but into the job's own container.
    assert_eq!(ended.log(Some("look")), "./hello.txt\n");
}

#[test]
fn a_file_that_may_not_be_read_is_a_clear_error() {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;

    // A home that another user gets has nothing of this one's.
    let (host, dir) = (Host::cold(), tempfile::tempdir().expect("a directory"));
    let closed = dir.path().join("closed.txt");
    std::fs::write(&closed, "closed").expect("written");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).expect("closed");
    // The user who runs it may have no way to where this project was built.
    let (program, script) = (host.home().join("monkeyci-host"), host.home().join("script.wasm"));
    std::fs::copy(monkeyci_tests::place::host(), &program).expect("copied");
    std::fs::copy(monkeyci_tests::place::script("probe_script"), &script).expect("copied");
    let mut command = host.command_of(&program, &["run", "--progress", "json", "--param", "case=workspace-unreadable"]);
    command.arg(&script).arg("--dir").arg(dir.path());
    if rustix::process::getuid().is_root() {
        // Nothing is closed to root.
        for path in [host.home(), dir.path(), &closed] {
            chown(path, Some(65534), Some(65534)).expect("given away");
        }
        command.uid(65534).gid(65534);
    }
    let ended = monkeyci_tests::host::Running::spawn(&mut command).end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let log = ended.log(None);
    assert!(log.contains("globbed closed.txt") && log.contains("reading a closed file was refused"), "{log}");
    assert!(log.contains(r#""closed.txt" can't be read: Permission denied"#), "{log}");
}
