//! Progress on real terminals of several sizes, and what is on them in the end.

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

#[test]
fn on_terminals_of_all_sizes_nothing_is_left_of_what_was_only_for_the_moment() {
    let host = Host::default();
    let (script, empty) = (place::script("probe_script"), tempfile::tempdir().expect("a directory"));
    for (width, height) in [(120, 40), (80, 24), (40, 6)] {
        let (program, script, dir) = (place::host(), script.display(), empty.path().display());
        let params = "--param case=looked-at --param image=none --param scratch-image=none";
        let run = format!("{} run {script} --dir {dir} {params}", program.display());
        let mut terminal = Command::new("script");
        let line = format!("stty cols {width} rows {height}; {run}");
        terminal.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_remove("CI");
        terminal.env("TERM", "xterm").env("NO_COLOR", "1").env("MONKEYCI_HOME", host.home());
        let output = terminal.stdin(Stdio::null()).output().expect("script runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(" of 3 jobs done"), "{text}");
        let shown = Screen::showing(&text, width, height);
        assert!(!shown.contains("jobs done"), "{width} x {height}:\n{shown}");
        let times = |line: &str| shown.lines().filter(|shown| *shown == line).count();
        let told = ["[fails] | second", "  | second", "fails: no luck today; its last lines:"].map(times);
        assert_eq!(told, [2, 1, 1], "{width} x {height}:\n{shown}");
        let last = shown.lines().rev().find(|line| !line.is_empty()).unwrap_or_default();
        assert!(last.starts_with("  monkeyci-host show "), "{width} x {height}:\n{shown}");
    }
}
