//! The terminal that this command was called in.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use monkeyci_engines::TerminalSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The size of a terminal that does not say its own.
const UNKNOWN: TerminalSize = TerminalSize { columns: 80, rows: 24 };

/// A terminal, of standard input and standard output both.
pub struct Terminal(());

impl Terminal {
    /// The terminal of this process; none when something else is read or written.
    pub fn of_this_process() -> Option<Self> {
        (io::stdin().is_terminal() && io::stdout().is_terminal()).then_some(Self(()))
    }

    /// Its size now.
    pub fn size(&self) -> TerminalSize {
        match tcgetwinsize(io::stdout().as_fd()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => TerminalSize { columns: size.ws_col, rows: size.ws_row },
            _ => UNKNOWN,
        }
    }

    /// Passes on what is typed as it is typed, Ctrl-C and all, until this is dropped.
    pub fn raw(&self) -> io::Result<Raw> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &raw)?;
        Ok(Raw(before))
    }
}

/// A terminal that is raw.
pub struct Raw(Termios);

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.0);
    }
}
