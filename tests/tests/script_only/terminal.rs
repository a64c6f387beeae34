//! Progress on real terminals of three sizes: what is on them while a job runs, and in the end.

use std::process::{Command, Stdio};

use monkeyci_tests::host::Host;
use monkeyci_tests::place;

/// What a terminal shows, with what has gone out of it at the top.
struct Screen {
    width: usize,
    height: usize,
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Screen {
    fn showing(text: &str, width: usize, height: usize) -> String {
        let mut screen = Self { width, height, lines: vec![Vec::new()], row: 0, column: 0 };
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\r' => screen.column = 0,
                '\n' => screen.down(1),
                '\x1b' => {
                    assert_eq!(rest.next(), Some('['), "another sequence than this terminal knows");
                    let mut number = String::new();
                    let end = loop {
                        match rest.next() {
                            Some(c) if c.is_ascii_digit() || ";?".contains(c) => number.push(c),
                            end => break end.expect("a whole sequence"),
                        }
                    };
                    screen.escape(end, &number);
                }
                c => screen.put(c),
            }
        }
        let lines = screen.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn escape(&mut self, end: char, number: &str) {
        let count = number.parse().unwrap_or(1);
        match end {
            // It can't go further up than to the first line that it shows.
            'A' => self.row = self.row.saturating_sub(count).max(self.lines.len().saturating_sub(self.height)),
            'B' => self.row = (self.row + count).min(self.lines.len() - 1),
            'K' => self.lines[self.row].clear(),
            'm' | 'h' | 'l' => {}
            other => panic!("the sequence {number}{other} is none that this terminal knows"),
        }
    }

    fn down(&mut self, count: usize) {
        self.row += count;
        while self.lines.len() <= self.row {
            self.lines.push(Vec::new());
        }
    }

    fn put(&mut self, c: char) {
        if self.column == self.width {
            self.column = 0;
            self.down(1);
        }
        let line = &mut self.lines[self.row];
        while line.len() <= self.column {
            line.push(' ');
        }
        line[self.column] = c;
        self.column += 1;
    }
}

/// What is not the same in each build, as if it were: the build's name, times, and the moving sign before a job that runs.
fn without_what_varies(shown: &str, id: &str) -> String {
    let line = |line: &str| {
        let line = line.replace(id, "[BUILD]");
        let line = match line.strip_prefix(|c: char| ('\u{2800}'..='\u{28ff}').contains(&c)) {
            Some(rest) => format!("*{rest}"),
            None => line,
        };
        without_times(&line)
    };
    shown.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The line with `[TIME]` for each time that it tells, and for the space before it, which depends on how long it is.
fn without_times(line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let number = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    let mut at = 0;
    while at < words.len() {
        let together = words[at].strip_suffix('s').is_some_and(number);
        let apart = number(&words[at]) && words.get(at + 1).is_some_and(|unit| ["ms", "s"].contains(&unit.as_str()));
        if together || apart {
            words.splice(at..=at + usize::from(apart), ["[TIME]".to_owned()]);
            while at > 1 && words[at - 1].is_empty() {
                words.remove(at - 1);
                at -= 1;
            }
        }
        at += 1;
    }
    words.join(" ")
}

#[test]
fn on_terminals_of_three_sizes_a_build_is_seen_and_nothing_is_left_of_what_was_only_for_the_moment() {
    let host = Host::default();
    let (script, temporary) = (place::script("probe_script"), tempfile::tempdir().expect("a directory"));
    let code = temporary.path().join("code");
    std::fs::create_dir(&code).expect("a directory");
    for (width, height) in [(120, 40), (80, 24), (40, 6)] {
        let (program, script, dir) = (place::host(), script.display(), code.display());
        let params = "--param case=looked-at --param image=none --param scratch-image=none";
        // One job after the other, so that they are told of in one order.
        let run = format!("{} run {script} --dir {dir} --jobs 1 {params}", program.display());
        let mut terminal = Command::new("script");
        let line = format!("stty cols {width} rows {height}; {run}");
        terminal.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_remove("CI");
        terminal.env("TERM", "xterm").env("NO_COLOR", "1").env("MONKEYCI_HOME", host.home());
        let output = terminal.stdin(Stdio::null()).output().expect("script runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        let id = text.split("build local/code/").nth(1).and_then(|rest| rest.get(..16)).expect("the build's id");
        // How large a script is depends on what compiled it.
        let (before, script) = text.split_once("script of ").expect("the script is told of");
        let (size, after) = script.split_once(" loaded").expect("the script is loaded");
        assert!(size.ends_with("iB"), "{size}");
        let text = format!("{before}script of 777 KiB loaded{after}");
        // Up to where the second attempt of the job `fails` was last seen at work.
        let status = "1 of 3 jobs done, 1 running, 1 waiting";
        let moment = text.rfind(status).expect("a line with counts") + status.len();
        let shown = |text: &str| without_what_varies(&Screen::showing(text, width, height), id);
        let (during, ended) = (shown(&text[..moment]), shown(&text));
        assert!(!ended.contains("jobs done"), "{width} x {height}:\n{ended}");
        let screens = format!("while a job runs:\n{during}\n\nin the end:\n{ended}");
        insta::assert_snapshot!(format!("terminal_{width}x{height}"), screens);
    }
}
