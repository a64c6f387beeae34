//! Scripts that break a rule, take too much, or lie: each is told in words of its own why it goes no further.

use monkeyci_host::{BuildStatus, DiskLimits, Limits};
use monkeyci_tests::hang_guard::HANGS;

use crate::bench::{Bench, assert_no_two_alike, resident, said, under_cap};
use crate::components::components;

/// A script: what it is called, what it does, and what it is told.
type Row = (&'static str, &'static str, &'static str);

/// Programs of calls, in the words of `tests/call-script`.
const PROGRAMS: &[Row] = &[
    // What it declares.
    ("an id with a slash", "action a/b", "job \"a/b\", id: the id"),
    ("two jobs of one name", "x 2 action a", "a job that was declared earlier has the same id; give each"),
    ("a need of nobody", "action a\nneeds nobody", "job \"a\", needs: there is no job \"nobody\""),
    ("a need of itself", "action a\nneeds a", "the job needs itself"),
    ("a cycle", "action a\nneeds b\naction b\nneeds a", "the needs go in a cycle"),
    ("a condition that there is not", "action a\nrun-when maybe", "run-when: \"maybe\" means nothing here"),
    ("too many attempts", "action a\nretry 1000", "retry: is 1000; a job runs again 1 to 10 times"),
    (
        "a cause to retry that there is not",
        "action a\nretry 1\nretry-on weather",
        "retry-on: \"weather\" means nothing here",
    ),
    ("a job without a time", "action a\ntimeout 0", "timeout: is 0"),
    ("a container without an image", "container a\nargv true", "there is no image; name one"),
    ("a container without a command", "container a\nimage busybox", "the job is empty: it has no command"),
    (
        "a container with two commands",
        "container a\nimage busybox\nargv true\nshell true",
        "a command in argv and another in shell",
    ),
    (
        "an image with an option",
        "container a\nimage --privileged\nargv true",
        "\"--privileged\" is not the name of an image",
    ),
    (
        "an argument with a zero byte",
        "container a\nimage i\nargv a\\0b",
        "contains a NUL character, which no program can be given",
    ),
    (
        "an argument that Linux does not take",
        "container a\nimage i\nargv 140000*a",
        "has 140000 bytes, and a program can be given at most 131071",
    ),
    (
        "a variable without a name",
        "container a\nimage i\nargv true\nenv '' x",
        "can't be the name of an environment variable",
    ),
    (
        "a network that there is not",
        "container a\nimage i\nargv true\nnetwork host",
        "network: \"host\" means nothing here",
    ),
    (
        "a working directory outside",
        "container a\nimage i\nargv true\nwork-dir ../..",
        "work-dir: the path \"../..\" contains \"..\"",
    ),
    (
        "an absolute working directory",
        "container a\nimage i\nargv true\nwork-dir /etc",
        "the path \"/etc\" is absolute",
    ),
    ("too little memory", "container a\nimage i\nargv true\nmemory 1", "1 bytes are too little to start a container"),
    ("no processor", "container a\nimage i\nargv true\ncpu 0", "cpu: is 0"),
    (
        "a policy that there is not",
        "container a\nimage i\nargv true\npull sometimes",
        "pull: \"sometimes\" means nothing here",
    ),
    (
        "an artifact outside",
        "container a\nimage i\nargv true\nsave-artifact x ../../etc",
        "save-artifact(x): the path \"../../etc\"",
    ),
    (
        "an artifact with a bad name",
        "container a\nimage i\nargv true\nsave-artifact ../x y",
        "save-artifact(#1): the id",
    ),
    (
        "an artifact of two jobs",
        "container a\nimage i\nargv true\nsave-artifact x y\ncontainer b\nimage i\nargv true\nsave-artifact x y",
        "is saved by the job \"a\" already",
    ),
    (
        "files of an artifact that is not saved",
        "container a\nimage i\nargv true\nonly-files x *",
        "the job saves no artifact \"x\"",
    ),
    (
        "a restored artifact that nobody saves",
        "container a\nimage i\nargv true\nrestore-artifact x y",
        "no job saves an artifact \"x\"",
    ),
    ("a cache without a directory", "container a\nimage i\nargv true\ncache x ''", "cache(x): the path is empty"),
    (
        "a key that is too long",
        "container a\nimage i\nargv true\ncache x y\ncache-key x 600*k",
        "the key has 600 bytes, and may have 512",
    ),
    (
        "a way to save that there is not",
        "container a\nimage i\nargv true\ncache x y\ncache-save x maybe",
        "cache-save(x): \"maybe\" means nothing here",
    ),
    (
        "a shell without a program",
        "container a\nimage i\nshell true\nshell-program",
        "shell-program: the command is empty",
    ),
    (
        "an output of nobody",
        "container a\nimage i\nargv true\noutput-env X nobody y",
        "output-env(X): there is no job \"nobody\"",
    ),
    (
        "a parameter of nobody",
        "container a\nimage i\nargv true\nparam-file X nobody",
        "the job can't be given X: there is no parameter \"nobody\"",
    ),
    ("a service without a name", "container a\nimage i\nargv true\nservice '' i\nwith-service", "can't be a host name"),
    (
        "a service that is ready at no port",
        "container a\nimage i\nargv true\nservice s i\nready-port 0\nwith-service",
        "service(s).ready-port: is 0",
    ),
    ("a label without a name", "action a\nlabel '' x", "label(#1): is empty"),
    ("an action in an image", "action a\nimage i", "image: action jobs have no such property"),
    (
        "a container that calls",
        "container a\nimage i\nargv true\ncalls h x",
        "calls: container jobs have no such property",
    ),
    ("a parameter without a name", "param ''\naction a", "can't be the name of a parameter"),
    (
        "a parameter of a kind that there is not",
        "param p\nkind colour\naction a",
        "kind: \"colour\" means nothing here",
    ),
    ("a choice of nothing", "param p\nkind choice\naction a", "there is nothing to choose from"),
    ("a default that is no number", "param p\nkind integer\ndefault x\naction a", "\"x\" is not a whole number"),
    ("a parameter that nobody gives", "param p\nrequired\naction a", "nobody gave a value, and there has to be one"),
    // What it does while it declares.
    ("a panic", "panic first", "the script trapped: panicked at"),
    ("an end of its own", "exit-status 7\npanic x", "ended itself with exit status 7"),
    ("recursion", "recurse", "mostly: a function that calls itself too often"),
    ("memory beyond its own limit", "x 300 allocate 1", "it reached its memory limit"),
    ("an error with a line of ours", "fail x\\n[deploy]\\ssuccess", "could not declare its jobs: x\n[deploy] success"),
    ("an effect while it declares", "write-file a b", "denied: only an action may do this, while it runs"),
    ("a job that is looked up while it declares", "look-up a", "no job has run yet"),
    ("a subscription while it declares", "subscribe\nnext 1", "only an action may subscribe to events"),
    ("an event without a name", "publish '' 1", "an event's name has 1 to 128 characters"),
    ("an event that is no JSON", "publish a {", "is not JSON: EOF while parsing an object"),
    ("a long event", "publish a 70000*1", "an event's payload has at most 65536 bytes"),
    ("a long report", "report 70000*a", "a report's message has at most 65536 bytes"),
    (
        "more events than a build may have",
        "x 300 publish a 60000*1",
        "the build's events and reports have reached their limit of 16 MiB",
    ),
    // What an action does.
    (
        "a file outside",
        "action a\nact a\nread-file ../../etc/passwd",
        "\"../../etc/passwd\" does not name a file of the workspace",
    ),
    (
        "an absolute file",
        "action a\nact a\nread-file /etc/passwd",
        "\"/etc/passwd\" does not name a file of the workspace",
    ),
    (
        "git's own directory",
        "action a\nact a\nread-file .git/config",
        "\".git/config\" does not name a file of the workspace",
    ),
    ("a file that is not there", "action a\nact a\nopen nothing", "not found: there is no \"nothing\""),
    ("a directory in the place of a file", "action a\nact a\nwrite-file d/x y\nwrite-file d y", "Is a directory"),
    ("globs that are too large", "action a\nact a\nglob 30000*[a-z]?*", "they are too long together"),
    (
        "an artifact that is not its own",
        "action a\nact a\ncreate x y",
        "the job has not declared that it creates the artifact \"x\"",
    ),
    ("an artifact that is not there", "action a\nact a\nopen-artifact x y", "artifact \"x\" has not been saved"),
    (
        "an artifact that is saved twice",
        "action a\ncreates-artifact x\nact a\nwrite-file f 1\nx 2 save x f",
        "is saved already; an artifact never changes",
    ),
    (
        "an artifact of no file",
        "action a\ncreates-artifact x\nact a\nsave x nothing",
        "the output area has no \"nothing\"",
    ),
    (
        "a promise that is not kept",
        "action a\ncreates-artifact x\nact a\nprint x",
        "the action said that it creates it, and did not",
    ),
    ("an output with a bad name", "action a\nact a\noutput a/b c", "is no name of an output"),
    ("a large output", "action a\nact a\noutput a 65537*b", "at most 65536 bytes are allowed; this has 65537"),
    ("many outputs", "action a\nact a\nx 1001 output a# b", "a job has at most 1000 outputs"),
    ("many large outputs", "action a\nact a\nx 20 output a# 65000*b", "an action may say 1048576 bytes of its result"),
    ("a link that is no address", "action a\nact a\nlink a javascript:x", "is no address of the web"),
    ("a coverage beyond all", "action a\nact a\ncoverage 101", "101 is no percentage"),
    ("tests that are no tests", "action a\nact a\nhand-in-tests <x", "this is no JUnit XML: syntax error"),
    ("deep tests", "action a\nact a\nhand-in-tests 200*<testsuite>", "elements are nested deeper than 100"),
    ("a job that is not there", "action a\nact a\nlook-up b", "the build has no job \"b\""),
    ("a wait for nothing", "action a\nact a\nwait-any 1", "there is no job to wait for"),
    ("a wait for itself", "action a\nact a\nwait-any 1 a", "\"a\" would wait for itself"),
    (
        "a submitted job that is there",
        "action a\nact a\naction a\nsubmit",
        "an action that is submitted needs a handler",
    ),
    (
        "one handle submitted twice",
        "action a\nact a\naction b\nsubmit-same 2",
        "a job is among the submitted ones twice",
    ),
    ("a secret that is not there", "action a\nact a\nget-secret s", "there is no secret \"s\""),
    ("more handles than it may have", "action a\nact a\nx 6000 action b#", "it reached its limit of 5000 handles"),
    (
        "more calls than it may make",
        "action a\nact a\nx 20001 coverage 1",
        "it reached its limit of 20000 calls to the host",
    ),
    ("one call with too much", "action a\nact a\nwrite-file a 5000000*a", "handed the host more than 4 MiB at once"),
    ("an action that loops", "action a\ntimeout 300\nact a\nloop", "reached its time limit of 0.3 s"),
    (
        "an action that sleeps for ever",
        "action a\ntimeout 200\nact a\nsleep 99999999",
        "reached its time limit of 0.2 s",
    ),
];

#[test]
fn every_hostile_script_is_told_in_words_of_its_own_and_disturbs_no_neighbour() {
    under_cap("guests::every_hostile_script_is_told_in_words_of_its_own_and_disturbs_no_neighbour", 1200, async || {
        // What is to be told is told also where the machine is busy; one of them is to reach the limit of time itself.
        let limits = Limits { define_time: HANGS, calls: 20_000, handles: 5_000, ..Limits::default() };
        let loops = Limits { define_time: std::time::Duration::from_secs(3), ..limits.clone() };
        let bench = Bench::with(limits, DiskLimits::default()).await;
        let bench_of_loops = Bench::with(loops, DiskLimits::default()).await;
        std::fs::write(bench.code().join("file"), "content").expect("written");
        bench.neighbour_is_well().await;
        let quiet = resident(true);
        let mut wrong = Vec::new();
        let programs = PROGRAMS.iter().map(|(name, program, told)| (*name, bench.start(program), *told));
        let components = components().into_iter().map(|(name, text, told)| {
            let bytes = wat::parse_str(&text).unwrap_or_else(|_| text.into_bytes());
            let bench = if name == "a start that loops" { &bench_of_loops } else { &bench };
            (name, bench.start_script(bytes.into(), &[]), told)
        });
        for (number, (name, running, told)) in programs.chain(components).enumerate() {
            let report = running.end().await;
            let says = said(&report);
            if report.status == BuildStatus::Success || !says.contains(told) {
                wrong.push(format!("{name}: {says:?} has no {told:?}"));
            }
            if number % 20 == 0 {
                bench.neighbour_is_well().await;
            }
        }
        bench.neighbour_is_well().await;
        println!("at most {} MiB more than when it was quiet ({quiet} MiB)", resident(false) - quiet);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(resident(false) - quiet <= 600, "{} MiB", resident(false) - quiet);
        assert_eq!(bench.host.usage().memory, 0);
    });
}

#[test]
fn the_corpus_of_scripts_is_large_and_no_two_have_one_cause() {
    let programs = PROGRAMS.iter().map(|(name, _, told)| (*name, *told));
    let components = components();
    assert_no_two_alike(programs.chain(components.iter().map(|(name, _, told)| (*name, *told))), 80);
}
