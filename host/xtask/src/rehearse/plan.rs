//! What a rehearsal is asked for, what it runs, and what it measures.

use std::ffi::OsString;
use std::fmt;

use super::machine::Outcome;
use crate::say::seconds;

/// The help of the command.
pub const USAGE: &str = "\
Usage: cargo xtask rehearse [--order ORDER] [--guest debian] [--new-base]
       cargo xtask rehearse --quick [--guest debian] [--new-base]
       cargo xtask rehearse [--guest debian] [--new-base] -- COMMAND...

Makes a machine that has Debian 12 (debootstrap's minbase, ca-certificates, curl, git and a C compiler) and the Rust toolchain,
which is lent: what is written to it goes elsewhere, and it has no target but the machine's. Nothing else of this machine is there:
no caches, daemons, images or variables, and processes, mounts, host name and network are its own. In it, a clone of HEAD.
Then it runs the README's commands in each order, each twice, on a machine for each order:

  --order ORDER     demo-first: demo, test, demo, test; test-first: test, demo, test, demo (default: both, one after the other)
  --quick           instead, set-up and one test of each kind, for `.ci/run`. What has been compiled here and the crates that were
                    fetched are lent, so that it takes minutes: it is about programs, images, daemons and folders
  -- COMMAND...     instead, this command, on this terminal: `-- cargo xtask setup --podman`, or `-- bash` to look around
  --guest debian    rustup's server is out of reach, so set-up has to build scripts with Debian's packages
  --new-base        make Debian's files anew, which are kept in ~/.cache/monkeyci-host/rehearsal otherwise

Needs root, about 15 GB of disk and an hour (--quick and COMMAND: 4 GB), and Debian's packages debootstrap and slirp4netns, which it
installs. Ends with 1 when a command failed. Ctrl-C and SIGTERM take everything down; what SIGKILL leaves, the next rehearsal removes.
";

/// What is asked for.
#[derive(Debug, PartialEq)]
pub struct Request {
    pub(super) what: What,
    pub(super) guest: Guest,
    pub(super) new_base: bool,
}

/// What is rehearsed.
#[derive(Debug, PartialEq)]
pub(super) enum What {
    Orders(Vec<Order>),
    Quick,
    Command(Vec<OsString>),
    Help,
}

/// Where the machine gets the target of scripts from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Guest {
    Rustup,
    Debian,
}

/// Which of the README's commands comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Order {
    DemoFirst,
    TestFirst,
}

impl Request {
    /// Reads the words after `rehearse`.
    ///
    /// # Errors
    ///
    /// Says which word is wrong.
    pub fn parse(words: &[OsString]) -> Result<Self, String> {
        let mut request = Self { what: What::Orders(Order::ALL.to_vec()), guest: Guest::Rustup, new_base: false };
        let mut chosen = None;
        let mut choose = |flag: &'static str| match chosen.replace(flag) {
            Some(before) => Err(format!("{before} and {flag} do not go together")),
            None => Ok(()),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().map(|value| value.display().to_string());
            match word.to_str() {
                Some("--quick") => {
                    choose("--quick")?;
                    request.what = What::Quick;
                }
                Some("--order") => {
                    choose("--order")?;
                    let value = value().ok_or("--order takes demo-first or test-first")?;
                    let order = Order::ALL.into_iter().find(|order| order.name() == value);
                    let order = order.ok_or(format!("--order is {value}, not demo-first or test-first"))?;
                    request.what = What::Orders(vec![order]);
                }
                Some("--guest") => match value().as_deref() {
                    Some("debian") => request.guest = Guest::Debian,
                    Some("rustup") => request.guest = Guest::Rustup,
                    _ => return Err("--guest takes debian or rustup".to_owned()),
                },
                Some("--new-base") => request.new_base = true,
                Some("--help" | "-h") => request.what = What::Help,
                Some("--") => {
                    choose("--")?;
                    let command: Vec<OsString> = words.by_ref().cloned().collect();
                    if command.is_empty() {
                        return Err("a command has to follow --".to_owned());
                    }
                    request.what = What::Command(command);
                }
                _ => return Err(format!("unknown argument {} of rehearse", word.display())),
            }
        }
        Ok(request)
    }
}

impl Order {
    const ALL: [Self; 2] = [Self::DemoFirst, Self::TestFirst];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DemoFirst => "demo-first",
            Self::TestFirst => "test-first",
        }
    }

    /// The README's commands, each a second time.
    pub(super) fn plan(self) -> [&'static [&'static str]; 4] {
        const DEMO: &[&str] = &["cargo", "xtask", "demo"];
        const TEST: &[&str] = &["cargo", "xtask", "test"];
        match self {
            Self::DemoFirst => [DEMO, TEST, DEMO, TEST],
            Self::TestFirst => [TEST, DEMO, TEST, DEMO],
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Tells, line by line, the first one that comes from the build that a demo starts: after the demo has shown its command.
pub(super) fn first_line_of_a_build() -> impl FnMut(&str) -> bool {
    let mut shown = false;
    move |line| {
        let before = shown;
        shown |= line.starts_with("$ ") && line.contains("/monkeyci-host run ");
        before
    }
}

/// What is worth a line beside the table, of the commands that passed, in the order in which they ran.
pub(super) fn figures<'a>(done: impl Iterator<Item = (&'a str, Option<&'a Outcome>)>) -> Vec<String> {
    let mut figures = Vec::new();
    let mut first = true;
    let mut demos = 0;
    for (shown, outcome) in done {
        let outcome = outcome.filter(|outcome| outcome.status.is_some_and(|status| status.success()));
        if let Some(outcome) = outcome
            && shown.ends_with(" demo")
        {
            demos += 1;
            if first {
                figures.push(format!("cold demo: {}", seconds(outcome.time)));
            }
            match outcome.marked {
                Some(time) => figures.push(format!("demo {demos}: its build starts after {}", seconds(time))),
                None => figures.push(format!("demo {demos}: no build has started")),
            }
        }
        first = false;
    }
    figures
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;
    use std::time::Duration;

    use super::*;

    fn parse(words: &[&str]) -> Result<Request, String> {
        Request::parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn without_words_both_orders_are_rehearsed_and_a_flag_chooses_one_thing() {
        let what = |words: &[&str]| parse(words).expect("a request").what;
        assert_eq!(what(&[]), What::Orders(vec![Order::DemoFirst, Order::TestFirst]));
        assert_eq!(what(&["--order", "test-first"]), What::Orders(vec![Order::TestFirst]));
        assert_eq!(what(&["--new-base", "--quick"]), What::Quick);
        assert_eq!(parse(&["--quick", "--guest", "debian"]).map(|it| it.guest), Ok(Guest::Debian));
        let words = ["cargo", "xtask", "--quick"].map(OsString::from).to_vec();
        assert_eq!(what(&["--", "cargo", "xtask", "--quick"]), What::Command(words));
    }

    #[test]
    fn words_that_cannot_be_meant_are_named() {
        for (words, named) in [
            (&["--order", "both"][..], "both"),
            (&["--order"], "demo-first"),
            (&["--guest", "fedora"], "debian"),
            (&["--quick", "--order", "demo-first"], "--quick and --order"),
            (&["--quick", "--", "true"], "--quick and --"),
            (&["--"], "a command"),
            (&["--slow"], "--slow"),
        ] {
            let mistake = parse(words).expect_err("refused");
            assert!(mistake.contains(named), "{words:?}: {mistake}");
        }
    }

    #[test]
    fn each_command_comes_twice_in_each_order() {
        for order in Order::ALL {
            let plan = order.plan();
            assert_eq!((plan[0], plan[1]), (plan[2], plan[3]));
            assert_ne!(plan[0], plan[1]);
        }
        assert_eq!(Order::DemoFirst.plan()[0], ["cargo", "xtask", "demo"]);
    }

    #[test]
    fn a_build_has_started_with_the_first_line_after_the_demos_own() {
        let lines = [
            "$ cargo build",
            "set-up took 0.4 s",
            "$ /t/debug/monkeyci-host run /t/quickstart.wasm",
            "build a/b/c",
            "x",
        ];
        assert_eq!(lines.iter().position(|line| first_line_of_a_build()(line)), None, "one by one, none");
        let mut is_first = first_line_of_a_build();
        assert_eq!(lines.iter().position(|line| is_first(line)), Some(3));
    }

    #[test]
    fn only_a_demo_that_comes_first_is_cold_and_only_one_that_passed_is_measured() {
        let outcome = |time: u64, marked: Option<u64>| Outcome {
            time: Duration::from_secs(time),
            status: Some(ExitStatus::default()),
            marked: marked.map(Duration::from_secs),
        };
        let (cold, warm, test) = (outcome(900, Some(890)), outcome(9, Some(1)), outcome(60, None));
        let demo_first =
            [("cargo xtask demo", Some(&cold)), ("cargo xtask test", Some(&test)), ("cargo xtask demo", Some(&warm))];
        assert_eq!(
            figures(demo_first.into_iter()),
            [
                "cold demo: 15 min 0 s",
                "demo 1: its build starts after 14 min 50 s",
                "demo 2: its build starts after 1.0 s"
            ]
        );
        let test_first =
            [("cargo xtask test", Some(&test)), ("cargo xtask demo", Some(&test)), ("cargo xtask test", None)];
        assert_eq!(figures(test_first.into_iter()), ["demo 1: no build has started"]);
        let stopped = Outcome { status: None, ..outcome(9, Some(1)) };
        assert!(figures([("cargo xtask demo", Some(&stopped))].into_iter()).is_empty());
    }
}
