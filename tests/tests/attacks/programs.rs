//! Programs of jobs that attack what they run in, what takes their results, and the machine: in real containers, beside an honest build.

use std::path::Path;

use futures::TryStreamExt;
use monkeyci_host::{Build, BuildReport, BuildStatus, DiskLimits, Ending};
use monkeyci_testbed::compiled;
use monkeyci_tests::engine::Engine;
use monkeyci_tests::place;

use crate::bench::{Bench, Running, assert_no_two_alike, resident, under_cap};

/// A job: its name, what it has beside its image, its shell lines, and what is told of what it tries: by its ending or its log.
struct Job {
    name: &'static str,
    has: &'static str,
    lines: &'static [&'static str],
    /// The beginning of its ending.
    ends: &'static str,
    told: &'static [&'static str],
}

const fn job(
    name: &'static str,
    has: &'static str,
    lines: &'static [&'static str],
    ends: &'static str,
    told: &'static [&'static str],
) -> Job {
    Job { name, has, lines, ends, told }
}

/// They run in one build.
const JOBS: &[Job] = &[
    // What a process can take.
    job(
        "fork-bomb",
        "memory 268435456",
        &[
            "bomb() { test $1 -gt 7 && sleep 1000; bomb $(($1 + 1)) & bomb $(($1 + 1)); }",
            "bomb 0 & sleep 1; echo 'the bomb has gone off'",
        ],
        "succeeded",
        &["the bomb has gone off"],
    ),
    job("memory", "memory 67108864", &["tail /dev/zero"], "ran out of memory", &["ran out of memory (limit 64 MiB)"]),
    job(
        "shm",
        "",
        &["dd if=/dev/zero of=/dev/shm/x bs=1M count=100"],
        "exited with code 1",
        &["No space left on device"],
    ),
    job(
        "no-end",
        "timeout 5000",
        &["trap '' TERM INT; while true; do sleep 1000; done"],
        "reached its time limit",
        &["limit of 5 s"],
    ),
    job(
        "left-behind",
        "",
        &["for i in $(seq 50); do setsid sh -c 'trap \"\" TERM; sleep 1000' & done; echo 'the parent goes'"],
        "succeeded",
        &["the parent goes"],
    ),
    job(
        "pid-1",
        "",
        &["kill -9 1; kill -STOP 1; sleep 0.1; echo \"PID 1 lives: $(test -d /proc/1 && echo yes)\""],
        "succeeded",
        &["PID 1 lives: yes"],
    ),
    job("everybody", "", &["sleep 1000 & kill -9 -1; wait $!"], "exited with code 137", &["exited with code 137"]),
    // What it can reach.
    job(
        "kernel",
        "",
        &["./attacker"],
        "succeeded",
        &[
            "a vsock: Address family not supported",
            "a raw socket: Operation not permitted",
            "a packet socket: Address family not supported",
            "io_uring: Function not implemented",
            "looking into the launcher: Operation not permitted",
            "reading the launcher's memory: Operation not permitted",
            "a descriptor of the launcher: Operation not permitted",
            "a namespace of users: Operation not permitted",
            "a namespace of mounts: Operation not permitted",
            "a mount: Operation not permitted",
            "a mount in the new way: Operation not permitted",
            "the end of a mount: Operation not permitted",
            "a disk's device: Operation not permitted",
            "another name for the machine: Operation not permitted",
            "a swap file: Operation not permitted",
            "a file by its number: Operation not permitted",
            "the first turn: Permission denied",
        ],
    ),
    job(
        "files",
        "",
        &[
            "try() { \"$@\" 2>&1 || true; }",
            "try sh -c 'echo forged >/proc/1/fd/1'",
            "try cat /dev/mem",
            "try cat /run/monkeyci/config.json",
            "try sh -c ': >>$(find /sys/fs/cgroup -name cgroup.procs | head -n 1)'",
            "try sh -c ': >>/proc/sys/kernel/core_pattern'",
            "try sh -c ': >>/proc/sysrq-trigger'",
            "try sh -c 'echo x >/monkeyci-launcher'",
            "try cat /proc/1/environ",
            "try sh -c 'ls /proc/1/root/'",
            "try ip link add d0 type dummy",
            "try rm -rf /monkeyci/launcher.sock",
            "try ln /etc/passwd out",
        ],
        "succeeded",
        &[
            "can't create /proc/1/fd/1: Permission denied",
            "can't open '/dev/mem': No such file",
            "can't open '/run/monkeyci/config.json': No such file",
            "/cgroup.procs: Read-only file system",
            "can't create /proc/sys/kernel/core_pattern: Read-only file system",
            "can't create /proc/sysrq-trigger: ",
            "can't create /monkeyci-launcher: Read-only file system",
            "can't open '/proc/1/environ': Permission denied",
            "ls: /proc/1/root/: Permission denied",
            "RTNETLINK answers: Operation not permitted",
            "Invalid cross-device link",
        ],
    ),
    // What it prints.
    job("log-flood", "", &["yes 'a line that comes again and again' | head -c 60000000"], "succeeded", &["left out"]),
    job(
        "no-text",
        "",
        &["printf '\\377\\376\\300'; head -c 10 /dev/zero; echo ' is no text'"],
        "succeeded",
        &[" is no text"],
    ),
    job(
        "long-line",
        "",
        &["head -c 3000000 /dev/zero | tr '\\000' a; echo ' ends at last'"],
        "succeeded",
        &["aaaa ends at last"],
    ),
    job("closed", "", &["exec >&- 2>&-; echo nobody hears; true"], "exited with code", &["exited with code 1"]),
    // What it hands in.
    job("outputs-binary", "", &["head -c 1000 /dev/urandom >$MONKEYCI_OUTPUTS"], "", &["outputs are not reported"]),
    job(
        "outputs-huge",
        "",
        &["truncate -s 1099511627776 $MONKEYCI_OUTPUTS"],
        "",
        &["they are more than 1048576 bytes"],
    ),
    job("outputs-fifo", "", &["rm $MONKEYCI_OUTPUTS; mkfifo $MONKEYCI_OUTPUTS"], "", &["not a regular file"]),
    job(
        "outputs-many",
        "",
        &["for i in $(seq 2000); do echo \"n$i=v\"; done >>$MONKEYCI_OUTPUTS"],
        "",
        &["at most 1000 outputs"],
    ),
    job(
        "outputs-large",
        "",
        &["{ printf 'a='; head -c 70000 /dev/zero | tr '\\000' b; } >>$MONKEYCI_OUTPUTS"],
        "",
        &["the value has 70000 bytes"],
    ),
    job(
        "reports-bomb",
        "test-report *.xml",
        &[
            "printf '<!DOCTYPE a [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><testsuite name=\"&b;\"><testcase name=\"t\"/></testsuite>' >a.xml",
        ],
        "",
        &["reported the tests of 1 file"],
    ),
    job(
        "reports-deep",
        "test-report *.xml",
        &["for i in $(seq 200); do printf '<testsuite>'; done >a.xml"],
        "",
        &["nested deeper than 100"],
    ),
    job(
        "reports-many",
        "test-report *.xml",
        &["for i in $(seq 1100); do echo '<testsuite/>' >$i.xml; done"],
        "",
        &["only the first 1000 count"],
    ),
    job("artifact-link", "save-artifact link out", &["ln -s /etc out"], "artifact", &["a path led outside"]),
    job("artifact-fifo", "save-artifact fifo out", &["mkfifo out"], "artifact", &["is neither a file nor a directory"]),
    job(
        "artifact-hole",
        "save-artifact hole out",
        &["truncate -s 1099511627776 out"],
        "artifact",
        &["the archive is too large: "],
    ),
    job(
        "artifact-deep",
        "save-artifact deep out",
        &[
            "mkdir out; cd out; d=$(head -c 200 /dev/zero | tr '\\000' d); for i in $(seq 30); do mkdir $d; cd -P $d || exit 0; done",
        ],
        "artifact",
        &["File name too long"],
    ),
    job(
        "artifact-small",
        "save-artifact small out",
        &["mkdir out; i=0; while test $i -lt 20000; do : >out/$i; i=$((i + 1)); done"],
        "",
        &["saved artifact small"],
    ),
    job(
        "artifact-names",
        "save-artifact names out",
        &[
            "mkdir out; n=$(head -c 255 /dev/zero | tr '\\000' n); : >out/$n; : >\"out/$(printf 'a\\012[deploy] success')\"; : >\"out/$(printf '\\377')\"",
        ],
        "",
        &["saved artifact names"],
    ),
    job(
        "artifact-setuid",
        "save-artifact setuid out",
        &["cp /bin/busybox out; chmod 6755 out"],
        "",
        &["saved artifact setuid"],
    ),
    job(
        "artifact-setuid-there",
        "needs artifact-setuid\nrestore-artifact setuid out",
        &["ls -l out"],
        "",
        &["-rwxr-xr-x"],
    ),
    job(
        "artifact-hard",
        "save-artifact hard out",
        &["mkdir out; head -c 65536 /dev/urandom >out/0; for i in $(seq 300); do ln out/0 out/$i; done"],
        "",
        &["saved artifact hard"],
    ),
    job(
        "moved",
        "save-artifact moved out",
        &["echo x >out; mv /monkeyci/work /monkeyci/elsewhere; ln -s /etc /monkeyci/work"],
        "succeeded",
        &["saved artifact moved (2 bytes)"],
    ),
    job("cache-link", "cache kept kept", &["ln -s /etc kept"], "", &["cache kept"]),
];

/// It has a build of its own: its disk is used up.
const HOG: Job = job(
    "disk",
    "save-artifact disk out",
    &["head -c 300000000 /dev/urandom >out"],
    "a limit of the build is reached",
    &["the build's disk, "],
);

/// What the honest build beside it does.
const HONEST: Job = job(
    "works",
    "save-artifact kept kept",
    &["echo kept >kept; echo answer=42 >>$MONKEYCI_OUTPUTS"],
    "succeeded",
    &["saved artifact kept (5 bytes)"],
);

impl Job {
    /// As a program for `call_script`, in whose words no line of a shell can stand: they are in a file of the code.
    fn program(&self) -> String {
        let Self { name, has, .. } = self;
        format!("container {name}\nimage {}\n{has}\nshell .\\s./{name}.sh\n", place::image())
    }

    fn write_lines(&self, code: &Path) {
        std::fs::write(code.join(self.name).with_extension("sh"), self.lines.join("\n")).expect("written");
    }

    /// What is not as it has to be.
    fn fault(&self, ending: &Ending, log: &str) -> Option<String> {
        let ending = ending.to_string();
        let said = |told: &&&str| ending.contains(**told) || log.contains(**told);
        let missing: Vec<_> = self.told.iter().filter(|told| !said(told)).collect();
        let fits = ending.starts_with(self.ends) && missing.is_empty();
        let end = log.char_indices().rev().nth(3000).map_or(log, |(from, _)| &log[from..]);
        (!fits).then(|| format!("{}: {ending:?}, without {missing:?}; its log ends with {end}", self.name))
    }
}

/// Compiles the attacker.
fn attacker(to: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks/attacker.rs");
    compiled::static_program(&source, &to.join("attacker")).expect("the attacker compiles");
}

/// What a job's log says.
async fn log(build: &Build, job: &str) -> String {
    let pieces: Vec<_> = build.logs(Some(job)).try_collect().await.expect("a log");
    String::from_utf8_lossy(&pieces.into_iter().flat_map(|piece| piece.frame.bytes).collect::<Vec<_>>()).into_owned()
}

/// Waits for the end of a build of these jobs. What is not as it has to be.
async fn faults(running: Running, jobs: &[Job]) -> (BuildReport, Vec<String>) {
    let build = running.build().await;
    let report = running.end().await;
    let mut faults = Vec::new();
    for job in jobs {
        let Some(summary) = report.jobs.iter().find(|summary| summary.job == job.name) else {
            panic!("{} is not in {report:#?}", job.name)
        };
        faults.extend(job.fault(&summary.ending, &log(&build, job.name).await));
    }
    (report, faults)
}

#[test]
fn whatever_a_job_attacks_it_has_its_ending_and_builds_beside_it_are_right() {
    const NAME: &str = "programs::whatever_a_job_attacks_it_has_its_ending_and_builds_beside_it_are_right";
    under_cap(NAME, 1200, async || {
        let bench = Bench::on(&place::docker().url(), DiskLimits { of_build: 200 << 20, reserve: 0 }).await;
        attacker(bench.code());
        JOBS.iter().chain([&HOG, &HONEST]).for_each(|job| job.write_lines(bench.code()));
        let honest = async || {
            let (report, faults) = faults(bench.start(&HONEST.program()), &[HONEST]).await;
            assert_eq!((report.status, faults), (BuildStatus::Success, Vec::new()), "{report:#?}");
            let results = report.jobs[0].results.as_ref().expect("results");
            assert_eq!(results.outputs.get("answer").map(String::as_str), Some("42"), "{report:#?}");
        };
        honest().await;
        let quiet = resident(true);
        let all: String = JOBS.iter().map(Job::program).collect();
        let mut hostile = tokio::spawn(faults(bench.start(&all), JOBS));
        let hog = tokio::spawn(faults(bench.start(&HOG.program()), &[HOG]));
        let mut honest_builds = 0;
        let (report, mut wrong) = loop {
            tokio::select! {
                ended = &mut hostile => break ended.expect("no panic"),
                () = honest() => honest_builds += 1,
            }
        };
        wrong.extend(hog.await.expect("no panic").1);
        honest().await;
        println!("{honest_builds} honest builds beside {} hostile jobs, in {} ms", JOBS.len() + 1, report.duration_ms);
        let took = report.jobs.iter().map(|job| format!("{} {}", job.job, job.duration_ms.unwrap_or_default()));
        println!("ms: {}", took.collect::<Vec<_>>().join(", "));
        println!("at most {} MiB more than when it was quiet ({quiet} MiB)", resident(false) - quiet);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(resident(false) - quiet <= 600, "{} MiB", resident(false) - quiet);
        let owner = std::fs::read_to_string(bench.home.path().join("home/owner")).expect("an owner");
        let left = tokio::task::block_in_place(|| Engine::docker().leftovers(&owner));
        assert_eq!(left, [] as [String; 0]);
    });
}

#[test]
fn the_corpus_of_programs_is_large_and_no_two_have_one_cause() {
    let told = |job: &'static Job| job.told.iter().map(|told| (*told, *told));
    assert_no_two_alike(JOBS.iter().chain([&HOG]).flat_map(told), 30);
}
