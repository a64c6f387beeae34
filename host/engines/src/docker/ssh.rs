//! Engines that are reached through ssh: by the `ssh` program of this machine, with the user's configuration, keys, agent and known
//! servers, as the docker command does. It asks nobody anything, since nobody is there to answer.
//!
//! A connection is a process. What its other end runs, `docker system dial-stdio`, connects its standard streams with the engine.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

/// How much of what ssh says is kept.
const SAID: usize = 4096;

/// An engine behind ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ssh {
    program: PathBuf,
    user: Option<String>,
    host: String,
    port: Option<u16>,
    /// The engine's socket at the other end, where it is not the usual one.
    socket: Option<String>,
}

impl Ssh {
    /// Reads `ssh://user@host:port/path`.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn parse(address: &str, program: PathBuf) -> Result<Self, String> {
        let rest = address.strip_prefix("ssh://").unwrap_or(address);
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| format!("{port:?} is no port"))?)),
            None => (host, None),
        };
        let plain = |text: &str| {
            let one = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            // What begins with a dash would be an option.
            !text.is_empty() && !text.starts_with('-') && text.chars().all(one)
        };
        if !plain(host) || !user.as_deref().is_none_or(plain) || path.chars().any(char::is_control) {
            return Err("it has to be ssh://user@host:port/path, with plain names and no password".to_owned());
        }
        let socket = Some(path.to_owned()).filter(|path| !matches!(path.as_str(), "" | "/"));
        Ok(Self { program, user, host: host.to_owned(), port, socket })
    }

    /// What it is called in requests.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Who has to be asked, and to run what of docker there.
    fn words(&self, docker: &str) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
        let at = self.user.as_ref().map_or_else(|| self.host.clone(), |user| format!("{user}@{}", self.host));
        // For the shell at the other end.
        let host = self.socket.as_ref().map(|path| format!("--host 'unix://{}' ", path.replace('\'', r"'\''")));
        words.extend(["--".to_owned(), at, format!("docker {}{docker}", host.unwrap_or_default())]);
        words
    }

    /// What a person types to see whether it works.
    fn trial(&self) -> String {
        let words = self.words("version");
        let typed = words.iter().filter(|word| *word != "--").map(|word| {
            // One with a quote has a path that the shell there reads, and the shell here has to leave as it is.
            let is_plain = !word.contains(['"', '$', '`', '\\', '!']);
            match word.contains('\'') {
                false => word.clone(),
                true if is_plain => format!("\"{word}\""),
                true => format!("'{}'", word.replace('\'', r"'\''")),
            }
        });
        format!("ssh {}", typed.collect::<Vec<_>>().join(" "))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ForwardAgent=no", "-x", "-T"]);
        command.args(self.words("system dial-stdio"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Starts a connection. Whether anybody is at its other end shows when something is to be read.
    pub(super) fn connect(&self) -> io::Result<SshStream> {
        let no_program = |reason: &dyn std::fmt::Display| {
            let program = self.program.display();
            io::Error::other(format!("the program {program} can't be run: {reason}; install OpenSSH's client"))
        };
        let mut child = self.command().spawn().map_err(|error| no_program(&error))?;
        let (Some(to), Some(from), Some(said)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(no_program(&"it has no pipes"));
        };
        let said = Some(tokio::spawn(kept(said)));
        Ok(SshStream {
            host: self.host.clone(),
            trial: self.trial(),
            to: Some(to),
            from,
            said,
            heard: false,
            _child: child,
        })
    }
}

/// Reads what ssh says to its end, and keeps the first of it.
async fn kept(mut said: ChildStderr) -> String {
    let (mut kept, mut piece) = (Vec::new(), [0; 1024]);
    while let Ok(read @ 1..) = said.read(&mut piece).await {
        kept.extend_from_slice(&piece[..read.min(SAID - kept.len())]);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// A connection through ssh. Its process ends with it.
pub(super) struct SshStream {
    host: String,
    /// What a person types to see whether it works.
    trial: String,
    to: Option<ChildStdin>,
    from: ChildStdout,
    said: Option<JoinHandle<String>>,
    /// Whether anything has come: then somebody is there, and the end is an end.
    heard: bool,
    _child: Child,
}

impl SshStream {
    /// Waits for what ssh has to say, since nobody has answered.
    fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let said = match &mut self.said {
            Some(said) => ready!(Pin::new(said).poll(cx)).unwrap_or_default(),
            None => String::new(),
        };
        self.said = None;
        let said = if said.is_empty() { "it said nothing" } else { said.as_str() };
        Poll::Ready(io::Error::other(format!(
            "ssh to {} failed: {said}; it asks for nothing here: `{}` has to work without a question",
            self.host, self.trial
        )))
    }
}

impl AsyncRead for SshStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.from).poll_read(cx, buf))?;
        self.heard |= buf.filled().len() > before;
        if self.heard || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.poll_failure(cx).map(Err)
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(to) = &mut self.to else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready!(Pin::new(to).poll_write(cx, bytes)) {
            Err(_) if !self.heard => self.poll_failure(cx).map(Err),
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to.as_mut().map_or(Poll::Ready(Ok(())), |to| Pin::new(to).poll_flush(cx))
    }

    /// The other end learns that no more comes when the pipe is closed.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(address: &str) -> Vec<String> {
        let ssh = Ssh::parse(address, "ssh".into()).expect(address);
        let command = ssh.command();
        let arguments = command.as_std().get_args().map(|word| word.to_string_lossy().into_owned());
        arguments.skip_while(|word| word != "-T").skip(1).collect()
    }

    #[test]
    fn an_address_becomes_words_for_ssh_and_none_of_it_an_option_or_a_command() {
        assert_eq!(arguments("ssh://host"), ["--", "host", "docker system dial-stdio"]);
        assert_eq!(arguments("ssh://ann@host:22/"), ["-p", "22", "--", "ann@host", "docker system dial-stdio"]);
        let odd = "docker --host 'unix:///run/o'\\''dd; x.sock' system dial-stdio";
        assert_eq!(arguments("ssh://host/run/o'dd; x.sock"), ["--", "host", odd]);
        let trial = |address| Ssh::parse(address, "ssh".into()).expect(address).trial();
        assert_eq!(trial("ssh://host"), "ssh host docker version");
        let far = "ssh -p 2222 ann@far \"docker --host 'unix:///run/x.sock' version\"";
        assert_eq!(trial("ssh://ann@far:2222/run/x.sock"), far);
        assert_eq!(trial("ssh://far/$x"), r"ssh far 'docker --host '\''unix:///$x'\'' version'");
        for address in [
            "ssh://",
            "ssh:///path",
            "ssh://-oProxyCommand=x",
            "ssh://-oProxyCommand=x/run/docker.sock",
            "ssh://-l@host",
            "ssh://ann:secret@host",
            "ssh://ann@ho st",
            "ssh://host;reboot",
            "ssh://host:port",
            "ssh://host/a\nb",
        ] {
            let refused = Ssh::parse(address, "ssh".into()).expect_err(address);
            assert!(!refused.is_empty(), "{address}");
        }
    }
}
