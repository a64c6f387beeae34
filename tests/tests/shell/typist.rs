//! Somebody at a terminal.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;

use monkeyci_tests::hang_guard::HANGS;

/// Somebody at a terminal, in which a command runs.
pub struct Typist {
    child: Child,
    keys: ChildStdin,
    chunks: mpsc::Receiver<Vec<u8>>,
    seen: String,
}

impl Typist {
    /// A terminal that says first which one it is.
    pub fn at(command: &Command) -> (Self, String) {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line: Vec<String> = words.map(|word| format!("'{}'", word.to_str().expect("text"))).collect();
        let mut terminal = Command::new("script");
        let line = format!("tty; stty cols 120 rows 40; {}", line.join(" "));
        terminal.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => terminal.env(name, value),
                None => terminal.env_remove(name),
            };
        }
        terminal.env("TERM", "xterm").env("SHELL", "/bin/sh");
        let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
        let (keys, mut output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let (sender, chunks) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                let _ = sender.send(buffer[..read].to_vec());
            }
        });
        let mut typist = Self { child, keys, chunks, seen: String::new() };
        let name = typist.sees("\n").trim().to_owned();
        (typist, name)
    }

    pub fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("somebody reads");
        self.keys.flush().expect("somebody reads");
    }

    /// Waits until this is shown; returns what was until then, and forgets it.
    pub fn sees(&mut self, wanted: &str) -> String {
        while !self.seen.contains(wanted) {
            match self.chunks.recv_timeout(HANGS) {
                Ok(chunk) => self.seen.push_str(&String::from_utf8_lossy(&chunk)),
                Err(error) => {
                    let _ = self.child.kill();
                    panic!("{wanted:?} never comes ({error}): {:?}", self.seen)
                }
            }
        }
        let rest = self.seen.split_off(self.seen.find(wanted).expect("it is there") + wanted.len());
        std::mem::replace(&mut self.seen, rest)
    }

    pub fn end(mut self) -> Option<i32> {
        self.child.wait().expect("an end").code()
    }
}
