//! Progress on standard error: one line per step, what was done and how long it took.

use std::env;
use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Whether to colour: on a terminal, and not with `NO_COLOR`.
pub fn coloured() -> bool {
    static COLOURED: OnceLock<bool> = OnceLock::new();
    *COLOURED.get_or_init(|| {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        stderr().is_terminal() && !set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
    })
}

fn paint(code: &str, text: &str) -> String {
    if coloured() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// A step that runs. Says when it is done; say `doing` before what takes long or changes the machine.
pub struct Step {
    name: &'static str,
    began: Instant,
}

/// Begins a step.
pub fn step(name: &'static str) -> Step {
    Step { name, began: Instant::now() }
}

impl Step {
    /// Announces what comes next.
    pub fn doing(&self, text: &str) {
        self.line("1;36", &format!("{text} ..."));
    }

    /// Something to know that is no failure.
    pub fn note(&self, text: &str) {
        self.line("1;33", text);
    }

    fn line(&self, code: &str, text: &str) {
        eprintln!("{} {text}", paint(code, &format!("{}:", self.name)));
    }

    /// The end of a step that changed something.
    pub fn done(&self, text: &str) {
        self.line("1;32", &format!("{text} ({})", seconds(self.began.elapsed())));
    }

    /// The end of a step that had nothing to do.
    pub fn already(&self, text: &str) {
        self.done(&format!("already there: {text}"));
    }
}

/// A line of its own, that stands out.
pub fn heading(text: &str) {
    eprintln!("{}", paint("1", text));
}

/// An error.
pub fn failure(text: &str) {
    eprintln!("{} {text}", paint("1;31", "error:"));
}

/// A duration as people read it.
pub fn seconds(time: Duration) -> String {
    match time.as_millis() {
        ms @ ..100 => format!("{ms} ms"),
        120_000.. => format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}
