//! A PostgreSQL of a test's own.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{LIMIT, short_folder, signal};
use crate::command::{program, tail, within};

/// The user in the database.
const USER: &str = "monkeyci";
/// As whom the server runs where the test is root: it refuses root. The number means nothing outside its user namespace, in
/// which the folders that root may enter are still its own.
const SERVER: &str = "1000";

/// A server that listens on a socket in a folder of its own, and ends when this is dropped. Its data are never synced.
pub struct Postgres {
    dir: PathBuf,
    bin: PathBuf,
    keeper: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Postgres {
    /// Starts one. `bin` is the folder with `initdb` and `postgres`.
    pub fn start(bin: &Path) -> Result<Self> {
        let mut server = Self { dir: short_folder("mci-q")?, bin: bin.to_owned(), keeper: None };
        let mut initdb = server.command("initdb");
        initdb.arg("-D").arg(server.data());
        initdb.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-U", USER]);
        within(&mut initdb, LIMIT, &server.dir.join("initdb.log"))?;
        server.run()?;
        Ok(server)
    }

    /// Where it is, for a client; `schema` is made by whoever uses it.
    pub fn url(&self, schema: &str) -> String {
        format!("postgres://{USER}@localhost/postgres?host={}&options=-c%20search_path%3D{schema}", self.dir.display())
    }

    /// Kills it as a crash would: whoever is connected is cut off.
    pub fn kill(&mut self) {
        if let Some((end, thread)) = self.keeper.take() {
            drop(end);
            thread.join().ok();
        }
    }

    /// Starts it again after [`Self::kill`].
    pub fn run(&mut self) -> Result<()> {
        let (log, socket) = (self.dir.join("log"), self.dir.join(".s.PGSQL.5432"));
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(&self.dir);
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "jit=off", "-c", "max_connections=200"]);
        let (started, answers) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        // It ends with the thread that has started it: one that stays as long as this value.
        let thread = thread::spawn(move || match start(&mut command, &socket, &log) {
            Ok(mut child) => {
                started.send(Ok(())).ok();
                ended.recv().ok();
                // It ends its own children at once, and leaves its files as a crash does.
                if signal("QUIT", child.id()).is_err() {
                    child.kill().ok();
                }
                child.wait().ok();
            }
            Err(error) => drop(started.send(Err(error))),
        });
        answers.recv().context("the thread of postgres has ended")??;
        self.keeper = Some((end, thread));
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// One of its programs, as a user that is not root, which ends with the thread that starts it.
    fn command(&self, name: &str) -> Command {
        let path = self.bin.join(name);
        let mut command = match is_root() {
            true => {
                let mut unshare = program("unshare");
                unshare.args(["--user", "--map-user", SERVER, "--map-group", SERVER]);
                unshare.args(["setpriv", "--pdeathsig", "KILL"]).arg(path);
                unshare
            }
            false => {
                let mut setpriv = program("setpriv");
                setpriv.args(["--pdeathsig", "KILL"]).arg(path);
                setpriv
            }
        };
        // Unpacked packages have their libraries beside them, in the same places as the machine's.
        let libraries =
            self.bin.ancestors().nth(3).map(|lib| lib.join(format!("{}-linux-gnu", std::env::consts::ARCH)));
        if let Some(libraries) = libraries.filter(|dir| dir.is_dir() && !dir.starts_with("/usr/lib")) {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command.current_dir(&self.dir);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.dir).ok();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Starts the server, and waits until it takes connections.
fn start(command: &mut Command, socket: &Path, log: &Path) -> Result<Child> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("cannot share the log")?)
        .stderr(file)
        .spawn()
        .context("cannot start postgres")?;
    let began = Instant::now();
    while !answers(socket) {
        let ended = child.try_wait().context("cannot wait for postgres")?;
        if ended.is_some() || began.elapsed() > LIMIT {
            child.kill().ok();
            child.wait().ok();
            bail!("postgres does not answer at {}; {}", socket.display(), tail(log, 20));
        }
        sleep(Duration::from_millis(20));
    }
    Ok(child)
}

/// Whether the server is ready: it answers a start-up message with a request for authentication, not with an error.
fn answers(socket: &Path) -> bool {
    let ask = || {
        let mut server = UnixStream::connect(socket)?;
        server.set_read_timeout(Some(Duration::from_secs(5)))?;
        let words = format!("user\0{USER}\0database\0postgres\0\0");
        let length = u32::try_from(8 + words.len()).unwrap_or_default();
        server.write_all(&[&length.to_be_bytes()[..], &196_608_u32.to_be_bytes(), words.as_bytes()].concat())?;
        let mut kind = [0];
        std::io::Read::read_exact(&mut server, &mut kind)?;
        std::io::Result::Ok(kind == *b"R")
    };
    ask().unwrap_or(false)
}
