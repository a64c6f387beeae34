//! From nothing to a build that failed and is mended, as a person at a terminal does it who has read no documentation: each command is one
//! that the host has printed before, or the first that its help names.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use monkeyci_tests::engine::Engine;
use monkeyci_tests::host::{Host, assert_nothing_left};
use monkeyci_tests::{place, toolchain};

use crate::typist::Typist;

/// Somebody in a shell in a terminal.
struct Person(Typist);

impl Person {
    /// Runs a command to its end; what it showed.
    fn runs(&mut self, line: &str, code: i32) -> String {
        // What is typed is shown as well, and is another text.
        self.0.types(&format!("{line}; echo \"o\"\"ver $?\"\r"));
        let shown = self.0.sees("over ");
        assert_eq!(self.0.sees("\n").trim(), code.to_string(), "{line}: {shown}");
        shown
    }
}

/// The command that was shown for this.
fn printed(shown: &str, what: &str) -> String {
    let at = shown.find(what).unwrap_or_else(|| panic!("{what:?} is not there: {shown}"));
    let line: String = shown[at..].chars().take_while(|c| !c.is_control()).collect();
    line.trim_end().to_owned()
}

#[test]
fn a_person_comes_from_nothing_to_a_build_that_fails_and_mends_it_with_what_the_host_prints() {
    let engine = Engine::docker();
    let host = Host::on(&engine);
    // At the same place each time: what cargo makes of it is replaced, and does not pile up.
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("first-steps");
    match fs::remove_dir_all(&place) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        removed => removed.expect("removed"),
    }
    fs::create_dir_all(&place).expect("made");
    let program = place::host();
    let path = format!("{}:{}", program.parent().expect("a folder").display(), std::env::var("PATH").expect("a path"));
    let samples = place::script("probe_script").parent().expect("a folder").join("../..");
    let mut shell = Command::new("sh");
    shell.env("MONKEYCI_HOME", host.home()).env("XDG_CONFIG_HOME", host.home().join("config")).env("PATH", path);
    // This test asks no registry: neither for crates nor for images.
    shell.env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", samples).env("DOCKER_HOST", &engine.address);
    shell.env("MONKEYCI_PARAM_image", place::image()).env("NO_COLOR", "1").env("PS1", "next> ");
    for name in ["CI", "GITHUB_ACTIONS", "GITLAB_CI"] {
        shell.env_remove(name);
    }
    let mut person = Person(Typist::at(&shell).0);
    person.runs(&format!("cd '{}'", place.display()), 0);
    let next = person.runs("monkeyci-host new demo", 0);
    assert!(printed(&next, "cd demo && monkeyci-host run").ends_with("runs the build"), "{next}");
    let script = place.join("demo/.monkeyci/src/lib.rs");
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sample-scripts/Cargo.lock");
    fs::copy(lock, place.join("demo/.monkeyci/Cargo.lock")).expect("copied");
    if !toolchain::compiles_scripts() {
        let told = person.runs("cd demo && monkeyci-host run", 4);
        assert!(told.contains("`rustup target add wasm32-wasip2` installs it"), "{told}");
        return;
    }
    let ran = person.runs("cd demo && monkeyci-host run", 0);
    assert!(ran.contains("put the commands of your tests here") && ran.contains("tested in "), "{ran}");

    let edit = |from: &str, to: &str| {
        let text = fs::read_to_string(&script).expect("a script");
        assert!(text.contains(from), "{text}");
        fs::write(&script, text.replace(from, to)).expect("written");
    };
    edit("tested in", "all is well after");
    assert!(person.runs("monkeyci-host run", 0).contains("all is well after "));

    edit("\"ls -l\"", "\"echo left >here; exit 7\"");
    let failed = person.runs("monkeyci-host run --keep-failed", 1);
    assert!(failed.contains("exited with code 7 at line 1"), "{failed}");
    let [show, logs, enter, again] =
        ["show", "logs", "shell", "rerun"].map(|what| printed(&failed, &format!("monkeyci-host {what} ")));
    assert!(person.runs(&show, 0).contains("exited with code 7"));
    person.runs(&logs, 0);
    person.0.types(&format!("{enter}\r"));
    person.0.sees(" # ");
    person.0.types("rev here\r");
    person.0.sees("\ntfel");
    person.0.sees(" # ");
    person.0.types("exit\r");
    person.0.sees("removed the containers");
    person.0.sees("next> ");
    // With the same code it fails the same way, and once it is mended it does not.
    assert!(person.runs(&again, 1).contains("exited with code 7"));
    edit("exit 7", "true");
    let mended = person.runs(&format!("{again} --with-changes"), 0);
    assert!(mended.contains("all is well after "), "{mended}");
    person.0.types("exit 0\r");
    assert_eq!(person.0.end(), Some(0));
    assert_nothing_left(&engine, &host);
}
