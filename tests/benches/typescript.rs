//! What a script in TypeScript costs: `run` of one with one action, as a whole process: the first time of a home, which compiles the
//! interpreter; after an edit; and where nothing has changed. The bars are 2.5 s, 40 ms and 30 ms; beside them, `node -e 0`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use monkeyci_tests::place;

/// How often each is done.
const ROUNDS: usize = 15;

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = |number: usize| {
        fs::create_dir_all(dir.path().join(".monkeyci")).expect("a directory");
        let source = format!(
            "import {{ action }} from \"monkeyci\";\n\nconst greeting: string = \"edit {number}\";\n\
             export default action(\"first\", (context) => context.report(greeting));\n"
        );
        fs::write(dir.path().join(".monkeyci/build.ts"), source).expect("written");
    };
    let home = |name: &str| dir.path().join(".home").join(name);
    script(0);
    let first = middle((0..3).map(|round| run(dir.path(), &home(&round.to_string()))).collect());
    let home = home("0");
    let edited = (1..=ROUNDS).map(|round| {
        script(round);
        run(dir.path(), &home)
    });
    let edited = middle(edited.collect());
    let unchanged = middle((0..ROUNDS).map(|_| run(dir.path(), &home)).collect());
    let mut node = Command::new("node");
    node.args(["-e", "0"]);
    let node = middle((0..ROUNDS).map(|_| timed(&mut node)).collect());
    println!(
        "`run` of a script in TypeScript with one action, as a whole process (medians of {ROUNDS}; of the first, of 3)"
    );
    println!("  first of a home   {first:>8.0?}   bar 2.5 s");
    println!(
        "  after an edit     {edited:>8.1?}   bar 40 ms; {:.2} x node -e 0",
        edited.as_secs_f64() / node.as_secs_f64()
    );
    println!(
        "  nothing changed   {unchanged:>8.1?}   bar 30 ms; {:.2} x node -e 0",
        unchanged.as_secs_f64() / node.as_secs_f64()
    );
    println!("  node -e 0         {node:>8.1?}");
}

fn run(code: &Path, home: &Path) -> Duration {
    let mut command = Command::new(place::path(place::BENCH_HOST));
    command.args(["run", "--engine", "unix:///no/such/engine"]).current_dir(code).env("MONKEYCI_HOME", home);
    timed(&mut command)
}

fn timed(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status().expect("it starts");
    let took = began.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
