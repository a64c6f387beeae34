use std::os::unix::fs::symlink;

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::Host;

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
