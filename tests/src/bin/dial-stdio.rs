//! What stands in for ssh in tests, in a folder of its own: it writes down what it was told (`arguments`), and is connected with the
//! engine whose socket the file `socket` names, as `docker system dial-stdio` is at the other end. Where there is a file `refusal`, it
//! says that instead and fails, as ssh does.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let own = std::env::current_exe()?;
    let beside = |name: &str| own.with_file_name(name);
    let told: Vec<String> = std::env::args().skip(1).collect();
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(beside("arguments"))?
        .write_all((told.join("\n") + "\n\n").as_bytes())?;
    if let Ok(refusal) = fs::read_to_string(beside("refusal")) {
        eprintln!("{refusal}");
        return Ok(ExitCode::from(255));
    }
    let socket = fs::read_to_string(beside("socket"))?;
    let mut to = UnixStream::connect(socket)?;
    let mut from = to.try_clone()?;
    std::thread::spawn(move || {
        // Whoever has said all may still listen.
        let _ = io::copy(&mut io::stdin(), &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut out = io::stdout();
    let mut piece = [0; 1 << 14];
    loop {
        let read = io::Read::read(&mut from, &mut piece)?;
        if read == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        out.write_all(&piece[..read])?;
        out.flush()?;
    }
}
