//! Every example of the README and the guide is run: by the host, in containers of images that stand for those of a registry.

use std::cell::RefCell;
use std::collections::BTreeSet;

use monkeyci_tests::dockerd::Dockerd;
use monkeyci_tests::host::{Ended, Host, Running};
use monkeyci_tests::place;
use monkeyci_tests::repository::Repository;

/// The images that the examples name.
const IMAGES: [&str; 12] = [
    "alpine/git:2.49.1",
    "debian:12",
    "rust:1",
    "rust:1.95",
    "maven:3",
    "alpine:3",
    "postgres:17",
    "scanner:3",
    "builder:1",
    "debian:13",
    "node:22",
    "python:3.13",
];

/// What is in each of them: programs that say what they were asked to do, and make what the examples count on.
const PROGRAMS: [(&str, &str); 9] = [
    (
        "/tools/make",
        r#"echo "make $*"
case $1 in
test) mkdir -p reports; echo '<testsuite name="s" tests="1"><testcase name="good"/></testsuite>' >reports/r.xml;;
plan) echo changes=2 >>$MONKEYCI_OUTPUTS; echo image=debian:12 >>$MONKEYCI_OUTPUTS;;
manual) ls public;;
package) mkdir -p package;;
publish) test -z "$TOKEN_FILE" || test "$(cat $TOKEN_FILE)" = "$TOKEN";;
esac"#,
    ),
    ("/tools/cargo", "echo \"cargo $*\"; mkdir -p target/release .rustup; echo app >target/release/app"),
    (
        "/tools/mvn",
        "echo \"mvn $*\"; mkdir -p target/site target/logs; touch target/site/index.html target/a.jar target/logs/l",
    ),
    ("/tools/build", "echo \"build $*\""),
    ("/tools/git", "test -d .git || { echo 'no repository' >&2; exit 128; }; echo v1"),
    ("/tools/pg_isready", "exit 0"),
    ("/tools/postgres", "mkdir /www; exec httpd -f -p 5432 -h /www"),
    ("/scan", "echo \"scan $*\""),
    ("/bin/bash", "exec /bin/sh \"$@\""),
];

struct Guide {
    /// The examples that were run.
    run: RefCell<BTreeSet<String>>,
    dockerd: Dockerd,
    repository: Repository,
    secret: tempfile::NamedTempFile,
}

impl Guide {
    /// A branch of a repository with what the examples read.
    fn new() -> Self {
        let repository = Repository::default();
        for (path, text) in [
            ("VERSION", "1.2.3\n"),
            ("Cargo.lock", "# a lock\n"),
            ("shards", "one\ntwo\n"),
            ("app.wasm", "1234"),
            ("app/main", ""),
            ("doc/index", ""),
            ("manual/index", ""),
            ("images/web/Dockerfile", "FROM scratch\n"),
        ] {
            repository.write(path, text);
        }
        repository.commit("what the examples read");
        repository.git(&["checkout", "--quiet", "-b", "a-branch"]);
        repository.write("change", "");
        repository.commit("a change");
        let dockerd = Dockerd::start();
        dockerd.stand_in(&IMAGES, &["ENV PATH=/tools:/bin", "CMD [\"postgres\"]"], &PROGRAMS);
        let secret = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(secret.path(), "s3cr3t-t0ken").expect("written");
        Self { run: RefCell::default(), dockerd, repository, secret }
    }

    /// Those that there are.
    fn all() -> BTreeSet<String> {
        let mut command = Host::default().command(&["check"]);
        command.arg(place::script("guide_script")).args(["--dir", "/"]);
        let said = command.output().expect("the host runs");
        let said = [said.stdout, said.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        let (_, names) = said.split_once("there are: ").unwrap_or_else(|| panic!("it names no examples: {said}"));
        names.lines().next().unwrap_or_default().split(' ').map(str::to_owned).collect()
    }

    fn run(&self, example: &str, arguments: &[&str]) -> Ended {
        self.run.borrow_mut().insert(example.to_owned());
        let host = Host::default();
        let mut command = host.command(&["run", "--progress", "json", "--engine", &self.dockerd.engine().address]);
        command.arg(place::script("guide_script")).arg("--dir").arg(self.repository.path());
        command.args(["--param", &format!("example={example}")]).args(arguments);
        let ended = Running::spawn(&mut command).end();
        assert_eq!(ended.code, Some(0), "{example}: {ended:#?}");
        for job in ended.of_type("job/ended") {
            // What is to be looked at is no better than a failure: no example has anything of that kind.
            let cause = job["ending"]["cause"].as_str().expect("a cause");
            assert!(["succeeded", "not-needed"].contains(&cause), "{example}: {job}");
        }
        ended
    }
}

/// Checks that a job's log has this line.
fn says(ended: &Ended, job: &str, line: &str) {
    ended.says(job, &[line]);
}

fn jobs(ended: &Ended) -> BTreeSet<&str> {
    ended.of_type("job/ended").map(|event| event["job"].as_str().expect("a job")).collect()
}

#[test]
fn every_example_does_on_a_host_what_its_text_says() {
    let guide = Guide::new();
    let secret = |name: &str| format!("{name}={}", guide.secret.path().display());

    // On a branch, nobody gives the token: `publish` is removed, so nobody misses it.
    let readme = guide.run("a-script", &[]);
    assert_eq!(jobs(&readme), BTreeSet::from(["package", "report", "test"]));
    says(&readme, "test", "cargo test --locked");
    assert!(
        readme
            .of_type("script/report")
            .any(|it| it["message"].as_str().is_some_and(|it| it.starts_with("packaged in ")))
    );
    assert_eq!(readme.of_type("artifact/saved").next().expect("an artifact")["id"], "app");

    let begin = guide.run("begin", &[]);
    says(&begin, "test", "make test");
    let announced = guide.run("begin-2", &[]);
    let report = &announced.of_type("script/report").next().expect("a report")["message"];
    assert_eq!(report, "version 1.2.3 of the branch \"a-branch\"");

    let commands = guide.run("run-commands", &[]);
    for (job, line) in
        [("test", "cargo test --locked"), ("lint", "make lint"), ("docs", "make docs"), ("scan", "scan --all")]
    {
        says(&commands, job, line);
    }

    let ordered = guide.run("put-jobs-in-order", &[]);
    assert_eq!(jobs(&ordered), BTreeSet::from(["clean", "lint", "test"]), "nothing was deployed, so nothing is undone");

    let changed = guide.run("build-only-what-changed", &[]);
    let warned = changed.of_type("build/warned").next().expect("a warning")["message"].as_str().expect("text");
    assert!(warned.contains("the manual did not change") && warned.contains("runs at night"), "{warned}");

    let given = guide.run("take-parameters", &["--param", "version=1.10", "--param", "notes=x"]);
    says(&given, "test", "make debug WORKERS=4 VERSION=1.10");

    let read = guide.run("read-files", &[]);
    says(&read, "image-web", "build web 1.2.3");

    says(&guide.run("know-what-is-built", &[]), "package", "make package");
    says(&guide.run("know-what-is-built-2", &[]), "notes", "v1");

    let values = guide.run("hand-on-values", &[]).log_of("build", "stdout");
    let files = values.trim().strip_prefix("make VERSION=1.2.3 FILES=").expect("both values");
    assert!(files.parse::<u32>().is_ok_and(|files| files > 5), "{values}");

    let files = guide.run("hand-on-files", &[]);
    says(&files, "publish", "make publish");
    says(&files, "manual", "index.html");
    let saved: BTreeSet<_> = files.of_type("artifact/saved").map(|it| it["id"].as_str().expect("an id")).collect();
    assert_eq!(saved, BTreeSet::from(["jars", "logs", "notes", "site"]), "neither a crash nor a coverage");

    says(&guide.run("keep-files-for-the-next-build", &[]), "test", "cargo test --locked");
    let database = guide.run("have-a-database-beside-a-job", &["--secret", &secret("DB_PASSWORD")]);
    says(&database, "test", "make test HOST=db");

    let said = guide.run("say-what-came-out", &[]);
    assert_eq!(said.of_type("script/report").next().expect("a report")["message"], "1 tests, failed: ");

    says(&guide.run("decide-late", &[]), "apply", "make apply");
    let combinations = guide.run("build-every-combination", &[]);
    assert_eq!(jobs(&combinations).len(), 3);
    let added = guide.run("add-jobs-while-the-build-runs", &[]);
    assert_eq!(jobs(&added), BTreeSet::from(["announce-first", "fan-out", "shard-one", "shard-two"]));
    assert!(added.log(Some("announce-first")).ends_with(" is done\n"));
    says(&guide.run("simulate-a-build", &[]), "try-1", "make deploy");
    says(&guide.run("simulate-a-build-2", &[]), "package-mac", "make package");
    let told = guide.run("tell-others-and-listen", &[]);
    assert_eq!(told.of_type("script/report").next().expect("a report")["message"], "deployed: {\"to\": \"staging\"}");
    says(&guide.run("share-what-scripts-have-in-common", &[]), "test", "make test");

    // On the main branch, with the secret.
    guide.repository.git(&["checkout", "--quiet", "main"]);
    let published = guide.run("use-secrets", &["--secret", &secret("REGISTRY_TOKEN")]);
    says(&published, "publish", "make publish");
    assert!(!format!("{published:?}").contains("s3cr3t"));

    assert_eq!(*guide.run.borrow(), Guide::all(), "each of them is run");
}
