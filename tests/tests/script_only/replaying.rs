//! Builds that are carried elsewhere, and replayed: `export`, `import` of a bundle, and `replay`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use monkeyci_tests::host::Host;
use monkeyci_tests::place;
use serde_json::Value;

/// What a command prints, and says beside that.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn said(host: &Host, arguments: &[&str]) -> Said {
    let Output { status, stdout, stderr } = host.command(arguments).output().expect("the host runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// What `replay` says of a build or a bundle, as programs read it.
fn replayed(host: &Host, what: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let said = said(host, &[&["replay", what, "--json"], arguments].concat());
    let json = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    (said.code, json)
}

/// Code with a file that is large.
fn code() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let line = "a line of some length, so that there are not too many of them\n";
    fs::write(dir.path().join("large.txt"), line.repeat(3000)).expect("written");
    dir
}

/// Runs a case to its end, and writes it into a bundle.
fn bundle(host: &Host, case: &str, arguments: &[&str]) -> (String, PathBuf) {
    let ended = host.run(case, arguments);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let build = ended.events[0]["build"].as_str().expect("an id").to_owned();
    let path = host.home().join(format!("{case}.bundle"));
    let exported = said(host, &["export", &build, "-o", path.to_str().expect("text")]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    (build, path)
}

/// The probe script with a text of it in other words, of the same length.
fn changed(host: &Host, from: &str, to: &str) -> PathBuf {
    assert_eq!(from.len(), to.len());
    let mut script = fs::read(place::script("probe_script")).expect("read");
    let mut found = 0;
    for at in 0..script.len() - from.len() {
        if script[at..].starts_with(from.as_bytes()) {
            script[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "{from:?} does not stand in the script");
    let path = host.home().join(format!("{}.wasm", to.replace([' ', '/'], "-")));
    fs::write(&path, script).expect("written");
    path
}

#[test]
fn a_build_is_replayed_from_its_home_and_from_its_bundle_elsewhere_with_the_same_digest() {
    let (host, elsewhere, code) = (Host::default(), Host::default(), code());
    let dir = code.path().to_str().expect("text");
    for case in ["resume", "resume-acting"] {
        let (build, path) = bundle(&host, case, &["--dir", dir]);
        let (at_home, told) = replayed(&host, &build, &[]);
        assert_eq!(
            (at_home, told["class"].as_str(), told["same_script"].as_bool()),
            (Some(0), Some("same"), Some(true))
        );
        assert!(told["same"].as_u64() > Some(10) && told["same"] == told["recorded"], "{told:#}");
        // What a bundle has is enough: neither the code nor the home is there.
        let path = path.to_str().expect("text");
        let (code, there) = replayed(&elsewhere, path, &[]);
        assert_eq!((code, &there["digest"], &there["same"]), (Some(0), &told["digest"], &told["same"]), "{there:#}");
    }
    let every = said(&host, &["replay", "latest", "--verbose"]);
    let report = every.out.lines().find(|line| line.contains("events.report(\"it has begun\")"));
    assert!(report.is_some_and(|line| line.contains("  acts  ") && line.ends_with("  null")), "{every:?}");
    // A call has the same number whatever is left out.
    let first =
        every.out.lines().find(|line| line.contains("  last  ")).and_then(|line| line.split_whitespace().next());
    let (code, one) = replayed(&host, "latest", &["--job", "last", "--until", first.expect("a number")]);
    let instances = one["instances"].as_array().expect("a list").iter();
    let of: Vec<_> = instances.map(|one| (one["job"].as_str(), one["stopped"]["why"].as_str())).collect();
    assert_eq!((code, of), (Some(0), vec![(None, None), (Some("last"), Some("until"))]), "{one:#}");
    let none = said(&host, &["replay", "latest", "--job", "nobody"]);
    assert!(none.code == Some(2) && none.err.contains("it has acts, first, last"), "{none:?}");
}

#[test]
fn a_build_that_was_imported_is_looked_at_as_any_other_and_has_no_logs() {
    let (host, elsewhere) = (Host::default(), Host::cold());
    let (build, path) = bundle(&host, "resume", &[]);
    let path = path.to_str().expect("text");
    let imported = said(&elsewhere, &["import", path, "--json"]);
    let json: Value = serde_json::from_str(&imported.out).unwrap_or_else(|error| panic!("{error}: {imported:?}"));
    assert_eq!((json["build"].as_str(), json["was_there"].as_bool()), (Some(build.as_str()), Some(false)));
    for command in [&["list", "--json"][..], &["show", "latest", "--json"], &["events", "latest", "--json"]] {
        let (here, there) = (said(&host, command), said(&elsewhere, command));
        assert_eq!((here.code, here.out), (there.code, there.out), "{command:?}: {}", there.err);
    }
    for command in [&["logs", "latest", "last"][..], &["logs"]] {
        let logs = said(&elsewhere, command);
        assert!(logs.code == Some(0) && logs.err.contains("its logs are in the home where it ran"), "{logs:?}");
    }
    let (code, told) = replayed(&elsewhere, "latest", &[]);
    assert_eq!((code, &told["class"]), (Some(0), &Value::from("same")));
    // Again it is no other build; and nobody would go on with it.
    let again = said(&elsewhere, &["import", path]);
    assert!(again.code == Some(0) && again.out.contains("has ") && again.out.contains("already"), "{again:?}");
    assert!(said(&elsewhere, &["resume"]).out.contains("no build of this home has lost its host"));
    let other = said(&host, &["export", "latest", "-o", path]);
    assert!(other.code == Some(2) && other.err.contains("name another file with -o"), "{other:?}");
}

#[test]
fn a_changed_script_is_told_with_the_call_where_it_parts_and_one_that_only_words_differ_of_is_not() {
    let (host, code) = (Host::default(), code());
    let (build, _) = bundle(&host, "resume-acting", &["--dir", code.path().to_str().expect("text")]);
    let words = changed(&host, "it has begun", "it had begun");
    let (code, told) = replayed(&host, &build, &["--script", words.to_str().expect("text")]);
    let differences = |told: &Value| -> Vec<Value> {
        let instances = told["instances"].as_array().expect("a list").iter();
        instances.flat_map(|one| one["differences"].as_array().expect("a list").clone()).collect()
    };
    assert_eq!((code, told["class"].as_str()), (Some(0), Some("cosmetic")), "{told:#}");
    let [difference] = &differences(&told)[..] else { panic!("{told:#}") };
    assert_eq!(difference["recorded"], "events.report(\"it has begun\")");
    assert_eq!(difference["now"], "events.report(\"it had begun\")");

    let event = changed(&host, "acts/began", "acts/begin");
    let event = event.to_str().expect("text");
    let (code, told) = replayed(&host, &build, &["--script", event]);
    assert_eq!(
        (code, told["class"].as_str(), told["same_script"].as_bool()),
        (Some(3), Some("divergent"), Some(false))
    );
    let [difference] = &differences(&told)[..] else { panic!("{told:#}") };
    let call = difference["call"].as_u64().expect("a number");
    assert_eq!((difference["job"].as_str(), difference["class"].as_str()), (Some("acts"), Some("divergent")));
    assert!(difference["recorded"].as_str().is_some_and(|call| call.starts_with("events.publish(\"acts/began\"")));
    assert!(difference["now"].as_str().is_some_and(|call| call.starts_with("events.publish(\"acts/begin\"")));
    // It is the call that a replay of the recorded script has at this number.
    let (_, recorded) = replayed(&host, &build, &["--job", "acts", "--until", &call.to_string()]);
    let calls = recorded["instances"].as_array().and_then(|all| all.last()).expect("an instance")["calls"].clone();
    let last = calls.as_array().and_then(|calls| calls.last()).expect("a call").clone();
    assert_eq!((last["call"].as_u64(), &last["request"]), (Some(call), &difference["recorded"]));
    let text = said(&host, &["replay", &build, "--script", event]);
    assert!(text.code == Some(3) && text.out.contains(&format!("call {call} of acts differs")), "{text:?}");
    assert!(text.out.contains("a build that has begun goes on with the script"), "{text:?}");

    let other = place::script("quickstart");
    let (code, told) = replayed(&host, &build, &["--script", other.to_str().expect("text")]);
    let [difference] = &differences(&told)[..] else { panic!("{told:#}") };
    // Both ask for an image first.
    assert_eq!((code, difference["call"].as_u64(), &difference["job"]), (Some(3), Some(2), &Value::Null));
}

#[test]
fn a_bundle_has_no_secret_and_a_replay_stops_where_the_script_reads_one() {
    let (host, elsewhere, code) = (Host::default(), Host::default(), code());
    let secret = host.home().join("token");
    fs::write(&secret, "sw0rdfish").expect("written");
    let secret = format!("token={}", secret.display());
    let dir = code.path().to_str().expect("text");
    let (build, path) = bundle(&host, "resume-acting", &["--dir", dir, "--secret", &secret, "--reveal", "token"]);
    let key = fs::read(host.home().join("digest-key")).expect("a key");
    for (name, content) in files(&path) {
        for secret in [&b"sw0rdfish"[..], &key] {
            assert!(!content.windows(secret.len()).any(|bytes| bytes == secret), "{name} has a secret, or the key");
        }
    }
    for (host, what) in [(&host, build.as_str()), (&elsewhere, path.to_str().expect("text"))] {
        let stops = said(host, &["replay", what]);
        assert_eq!(stops.code, Some(2), "{stops:?}");
        assert!(
            stops.out.contains("acts stops at call ") && stops.out.contains("reads the secret \"token\""),
            "{stops:?}"
        );
        assert!(stops.err.contains("go on with --secret token=FILE"), "{stops:?}");
        let (code, told) = replayed(host, what, &["--secret", &secret]);
        assert_eq!((code, told["class"].as_str()), (Some(0), Some("same")), "{told:#}");
        assert_eq!(told["same"], told["recorded"], "{told:#}");
    }
    // At home another secret is known; elsewhere there is no key, and that is said.
    let wrong = host.home().join("wrong");
    fs::write(&wrong, "sw0rdfi5h").expect("written");
    let (code, told) = replayed(&host, &build, &["--secret", &format!("token={}", wrong.display())]);
    assert_eq!((code, told["class"].as_str()), (Some(3), Some("divergent")), "{told:#}");
    let keyless = said(&elsewhere, &["replay", path.to_str().expect("text"), "--secret", &secret]);
    assert!(keyless.out.contains("compared without the digests in them"), "{keyless:?}");
    // Nor does a home that took it in believe its own key to be that of the build.
    fs::write(elsewhere.home().join("digest-key"), "0".repeat(64)).expect("written");
    assert_eq!(said(&elsewhere, &["import", path.to_str().expect("text")]).code, Some(0));
    let (code, told) = replayed(&elsewhere, "latest", &["--secret", &secret]);
    assert_eq!(told["class"].as_str(), Some("same"), "{code:?} {told:#}");
}

/// The files of a bundle.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let archive = zstd::stream::read::Decoder::new(fs::File::open(path).expect("a file")).expect("zstd");
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("a tar").map(|entry| {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").display().to_string();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).expect("read");
        (name, content)
    });
    entries.collect()
}

#[test]
fn what_is_no_bundle_and_what_was_tampered_with_is_refused_and_leaves_nothing() {
    let (host, elsewhere) = (Host::default(), Host::cold());
    let (_, path) = bundle(&host, "resume", &[]);
    let bytes = fs::read(&path).expect("read");
    let file = elsewhere.home().join("file");
    let mut tampered = bytes.clone();
    tampered[bytes.len() / 2] ^= 1;
    for content in [&tampered[..], &bytes[..bytes.len() - 1], b"not a bundle", b""] {
        fs::write(&file, content).expect("written");
        for command in ["import", "replay"] {
            let refused = said(&elsewhere, &[command, file.to_str().expect("text")]);
            assert!(refused.code == Some(2) && refused.err.contains("is not used"), "{command}: {refused:?}");
        }
    }
    assert_eq!(said(&elsewhere, &["import", "/no/such/file"]).code, Some(2));
    let listed = said(&elsewhere, &["list"]);
    assert!(listed.code == Some(2), "no home was made: {listed:?}");
}

#[test]
fn no_trick_shows_a_script_the_time_chance_or_that_it_is_replayed() {
    let host = Host::default();
    let (build, path) = bundle(&host, "tricks", &[]);
    let shown: Value = serde_json::from_str(&said(&host, &["show", &build, "--json"]).out).expect("JSON");
    let tries = shown["jobs"].as_array().expect("a list").iter().find(|job| job["job"] == "tries").expect("a job");
    let tricks = tries["results"]["outputs"].as_object().expect("outputs").len();
    assert!(tricks >= 28, "{tricks} tricks");
    let (code, first) = replayed(&host, &build, &[]);
    assert_eq!((code, first["class"].as_str()), (Some(0), Some("same")), "{first:#}");
    let (code, second) = replayed(&Host::default(), path.to_str().expect("text"), &[]);
    assert_eq!((code, &second["digest"]), (Some(0), &first["digest"]), "{second:#}");
}

#[test]
fn a_bundle_of_every_layout_replays_to_the_digest_that_it_has_always_had() {
    let host = Host::cold();
    let bundles = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bundles");
    let known = [("layout-1.bundle", "f82fd713cf8cba368d2eb8c10c5ca28c117aa18c980180cf0dc90dc7a66335ad")];
    assert_eq!(fs::read_dir(&bundles).expect("a directory").count(), known.len(), "all of them are here");
    for (file, digest) in known {
        let (code, told) = replayed(&host, bundles.join(file).to_str().expect("text"), &[]);
        assert_eq!((code, told["class"].as_str(), told["digest"].as_str()), (Some(0), Some("same"), Some(digest)));
        assert_eq!(told["same"], told["recorded"]);
    }
}

#[test]
fn the_build_of_every_sample_replays_the_same() {
    let (host, code, token) = (Host::default(), code(), tempfile::NamedTempFile::new().expect("a file"));
    for file in ["Cargo.lock", "Cargo.toml"] {
        fs::write(code.path().join(file), "version = 4\n").expect("written");
    }
    fs::write(token.path(), "no real token").expect("written");
    let token = format!("PUBLISH_TOKEN={}", token.path().display());
    for sample in ["quickstart", "release", "self_check"] {
        let mut command = host.command(&["run", "--progress", "plain", "--engine", "unix:///no/such/engine"]);
        command.arg(place::script(sample)).arg("--dir").arg(code.path()).args(["--secret", &token]);
        let ran = command.output().expect("the host runs");
        // What needs containers fails: that is what its actions were told.
        assert_ne!(ran.status.code(), Some(3), "{sample}: {ran:?}");
        let (code, told) = replayed(&host, "latest", &["--secret", &token]);
        assert_eq!((code, told["class"].as_str()), (Some(0), Some("same")), "{sample}: {told:#}");
        assert!(told["same"].as_u64() > Some(0) && told["same"] == told["recorded"], "{sample}: {told:#}");
    }
}
