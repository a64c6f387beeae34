//! Jobs that do what they can to confuse their launcher and their sidecar: each has its ending, or the word that says what is missing.
#![allow(clippy::unwrap_used)]
#[allow(dead_code)]
mod rig;

use std::collections::BTreeSet;

use monkeyci_build::SaveArtifact;
use rig::{Rig, plan, shell};

/// A job: what it is called, its line, and what its ending or its host's words say.
type Row = (&'static str, &'static str, &'static str);

/// Each saves `out` as an artifact, hands in `*.xml`, and may take some seconds.
const PROGRAMS: &[Row] = &[
    ("a failure", "exit 3", "exited with code 3 "),
    ("a code of nobody's", "exit 255", "exited with code 255"),
    ("a program that is not there", "/no/such/program", "code 127 at line 1: /no/such/program"),
    ("a file that is no program", "echo x >f; chmod +x f; ./f; exec ./missing", "code 127 at line 1: echo x"),
    ("a signal for itself", "kill -SEGV $$", "signal 11 (SEGV)"),
    ("a signal that nobody catches", "kill -9 $$", "signal 9 (KILL)"),
    ("an end by TERM", "kill -TERM $$", "signal 15 (TERM)"),
    ("an end by HUP", "kill -HUP $$", "signal 1 (HUP)"),
    ("an end by PIPE", "kill -PIPE $$", "signal 13 (PIPE)"),
    ("an end by ABRT", "kill -ABRT $$", "signal 6 (ABRT)"),
    ("an end by USR1", "kill -USR1 $$", "signal 10 (other)"),
    ("an end by ILL", "kill -ILL $$", "signal 4 (ILL)"),
    ("an end by BUS", "kill -BUS $$", "signal 7 (BUS)"),
    ("an end by FPE", "kill -FPE $$", "signal 8 (FPE)"),
    ("an end by ALRM", "kill -ALRM $$", "signal 14 (ALRM)"),
    ("an end by XCPU", "kill -XCPU $$", "signal 24 (XCPU)"),
    ("an end by SYS", "kill -SYS $$", "signal 31 (SYS)"),
    ("an artifact that is a pipe", "mkfifo out", "is neither a file nor a directory"),
    ("an artifact that is a link to a file outside", "ln -s /etc/passwd out", "a path led outside"),
    ("an artifact with a pipe in it", "mkdir out; mkfifo out/pipe", "lacks 1 of sockets, pipes, devices"),
    (
        "outputs that are a link",
        "touch out; rm $MONKEYCI_OUTPUTS; ln -s /etc/passwd $MONKEYCI_OUTPUTS",
        "their file is not a regular file any more",
    ),
    ("outputs that are too large", "touch out; truncate -s 1T $MONKEYCI_OUTPUTS", "they are more than 1048576 bytes"),
    ("a report that is too large", "touch out; truncate -s 17M d.xml", "it is larger than 16777216 bytes"),
    ("no workspace any more", "cd /; rm -rf \"$OLDPWD\"", "there is nothing at"),
    ("a shell that is replaced", "exec sh -c 'exit 42'", "code 42"),
    ("a shell without descriptors", "exec 0<&- 1>&- 2>&-; exit 43", "code 43"),
    ("a limit of its own", "ulimit -f 0; echo x >big; exit 44", "signal 25 (XFSZ)"),
    ("two hundred children", "for i in $(seq 200); do (exit 0) & done; wait; exit 45", "code 45"),
    ("bytes of no text", "head -c 100000 /dev/urandom; exit 47", "code 47"),
    ("an end of a terminal's", "printf '\\033]0;x\\007\\033[2J'; exit 48", "code 48"),
    ("a line without an end", "head -c 300000 /dev/zero; exit 49", "code 49"),
    ("an environment that is gone", "unset MONKEYCI_OUTPUTS PATH; exit 50", "code 50"),
];

#[test]
fn whatever_a_job_does_it_has_its_ending_and_what_is_missing_is_said() {
    let mut wrong = Vec::new();
    for (name, line, told) in PROGRAMS {
        let rig = Rig::new();
        let mut plan = plan(shell(&[line]));
        let artifact = SaveArtifact { id: "out".to_owned(), path: "out".to_owned(), ..SaveArtifact::default() };
        (plan.save_artifacts, plan.test_reports) = (vec![artifact], vec!["*.xml".to_owned()]);
        let done = rig.run(plan);
        let said = format!("{} | {}", done.ending(), rig.host_lines());
        if !said.contains(told) {
            wrong.push(format!("{name}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let told: BTreeSet<&str> = PROGRAMS.iter().map(|(.., told)| *told).collect();
    assert!(told.len() == PROGRAMS.len() && told.len() >= 30, "{} of {}", told.len(), PROGRAMS.len());
}
