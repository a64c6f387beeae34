//! How long it takes to ask a script in a file for its jobs: with `check`, the whole process. The first time that a home sees the language,
//! its interpreter is compiled; after that, nothing is. The bar is 60 ms for 1,000 jobs.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use monkeyci_tests::place;

/// How often each is done.
const ROUNDS: usize = 9;

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join(".monkeyci")).expect("a directory");
    let write = |jobs: usize, edit: usize| {
        let mut script = "params: {image: debian:12}\njobs:\n".to_owned();
        for job in 0..jobs {
            let needs = if job == 0 { String::new() } else { format!(", needs: job-{}", job - 1) };
            let _ = writeln!(
                script,
                "  job-{job}: {{image: \"${{{{ params.image }}}}\", script: [make {edit}], env: {{N: {job}}}, if: branch != 'x'{needs}}}"
            );
        }
        fs::write(dir.path().join(".monkeyci/build.yaml"), script).expect("written");
    };
    let check = |home: usize| {
        let mut command = Command::new(place::path(place::BENCH_HOST));
        command.arg("check").current_dir(dir.path()).env("MONKEYCI_HOME", dir.path().join(format!("home-{home}")));
        let begun = Instant::now();
        let checked = command.stdin(Stdio::null()).output().expect("the host runs");
        let took = begun.elapsed();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        took
    };
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..ROUNDS {
        write(1, round);
        times[0].push(check(round));
        write(1, ROUNDS + round);
        times[1].push(check(0));
        times[2].push(check(0));
        write(1000, round);
        times[3].push(check(0));
    }
    let [first, edited, unchanged, large] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    println!("`check` of a script in YAML, the whole process (medians of {ROUNDS})");
    println!("  the first of a home   {first:>8.0?}   compiles the interpreter");
    println!("  after an edit         {edited:>8.0?}");
    println!("  nothing changed       {unchanged:>8.0?}");
    println!("  1,000 jobs, edited    {large:>8.0?}   bar 60 ms");
}
