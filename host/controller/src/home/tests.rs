//! Homes, and who they belong to.

use super::*;

#[test]
fn a_home_keeps_its_id_and_one_that_a_power_cut_has_emptied_gets_another() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("owner");
    let open = || Home::open(dir.path()).expect("a home").owner;
    let first = open();
    assert_eq!((first.len(), open()), (16, first.clone()));
    for emptied in [&b""[..], &[0; 16]] {
        fs::write(&path, emptied).expect("written");
        let hosts: Vec<_> = std::thread::scope(|scope| {
            let hosts: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            hosts.into_iter().map(|host| host.join().expect("opened")).collect()
        });
        assert!(hosts.iter().all(|owner| owner.len() == 16 && *owner == hosts[0]), "{hosts:?}");
        assert_ne!(hosts[0], first);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o777
}

#[test]
fn what_is_in_a_home_is_its_users_alone_also_where_the_home_was_there_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("home");
    fs::create_dir_all(root.join("blobs")).expect("made");
    fs::write(root.join("journal.db-wal"), "").expect("written");
    for (path, mode) in [("", 0o755), ("blobs", 0o755), ("journal.db-wal", 0o644)] {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).expect("set");
    }
    let home = Home::open(&root).expect("a home");
    home.build_dir("org/repo/1", "host").expect("a directory");
    assert_eq!([mode(&home.journal()), mode(&root.join("journal.db-wal")), mode(&root.join("owner"))], [0o600; 3]);
    assert_eq!([mode(&home.blobs()), mode(&home.run())], [0o700; 2]);
    let host = home.host_dir("a1".to_owned()).expect("a host");
    assert_eq!([mode(&root.join("hosts")), mode(&host.path), mode(&host.path.join("parked"))], [0o700; 3]);
    assert_eq!(mode(&root), 0o755, "who made it said so");
}

#[test]
fn who_looks_which_builds_run_is_in_nobodys_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = Home::open(dir.path()).expect("a home");
    let done = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(order) {
                    // Its directory may just have gone.
                    let _ = home.live_builds(false);
                }
            });
        }
        let taken =
            (0..500).filter(|_| home.take_build_dir("o/r/1", "host").is_ok_and(|taken| taken.is_some())).count();
        done.store(true, order);
        assert_eq!(taken, 500, "whoever looked counted as a host that goes on with the build");
    });
    let runs = home.take_build_dir("o/r/1", "host").expect("taken");
    assert!(home.take_build_dir("o/r/1", "host").expect("no error").is_none(), "one that runs is nobody else's");
    drop(runs);
}

#[test]
fn a_home_that_others_own_or_can_write_to_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).expect("set");
    let refused = |path: &Path| Home::open(path).expect_err("others can write to it").to_string();
    assert!(refused(dir.path()).contains("others can write to it (its mode is 770)"));
    if rustix::process::geteuid().is_root() {
        let other = dir.path().join("other");
        make_dir(&other).expect("made");
        std::os::unix::fs::chown(&other, Some(4711), None).expect("root may");
        assert!(refused(&other).contains("it belongs to the user 4711"));
    }
}
