//! An engine that speaks Docker's API, and the few requests that set-up and tests' harnesses send to it.

use std::fmt;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long an engine may take to answer a ping, and any other request.
const PING: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a whole answer may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The two engines that speak Docker's API.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Docker,
    Podman,
}

/// An engine that answers.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The socket of its API.
    pub socket: PathBuf,
    /// Which one it is.
    pub kind: Kind,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.kind, self.socket.display())
    }
}

impl Engine {
    /// Asks whether an engine answers at this socket, and which one.
    pub fn at(socket: &Path) -> io::Result<Self> {
        let answer = exchange(socket, "GET /_ping", &[], PING)?;
        if answer.status != 200 {
            return Err(Error::other(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))));
        }
        let kind = match answer.head.contains("\nlibpod-api-version:") {
            true => Kind::Podman,
            false => Kind::Docker,
        };
        Ok(Self { socket: socket.to_owned(), kind })
    }

    /// Its address, as `DOCKER_HOST` has it.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Whether it has an image.
    pub fn has(&self, image: &str) -> Result<bool> {
        let answer = exchange(&self.socket, &format!("GET /images/{image}/json"), &[], PATIENCE);
        match answer.with_context(|| format!("{self} does not answer"))? {
            Answer { status: 200, .. } => Ok(true),
            Answer { status: 404, .. } => Ok(false),
            Answer { status, body, .. } => bail!("{self} says {status} about {image}: {}", message_of(&body)),
        }
    }

    /// Sends a request that has to succeed, `POST /images/create?…` say; returns the answer.
    pub fn ask(&self, request: &str, body: &[u8]) -> Result<Vec<u8>> {
        self.ask_for(request, body, PATIENCE)
    }

    /// The same, with a limit to how long the engine may say nothing.
    pub fn ask_for(&self, request: &str, body: &[u8], patience: Duration) -> Result<Vec<u8>> {
        let answer = exchange(&self.socket, request, body, patience).with_context(|| format!("{request} at {self}"))?;
        if answer.status >= 300 {
            bail!("{request} at {self}: {} {}", answer.status, message_of(&answer.body));
        }
        Ok(answer.body)
    }
}

struct Answer {
    status: u16,
    /// The headers, in lower case.
    head: String,
    body: Vec<u8>,
}

/// Sends one request. In HTTP/1.0, whose answers simply end with the connection.
fn exchange(socket: &Path, request: &str, body: &[u8], patience: Duration) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let length = body.len();
    let head = format!("{request} HTTP/1.0\r\nContent-Type: application/x-tar\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body))?;
    let (mut answer, mut buffer, began) = (Vec::new(), vec![0; 1 << 16], Instant::now());
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) if began.elapsed() < LIMIT => answer.extend_from_slice(&buffer[..count]),
            Ok(_) => return Err(Error::new(ErrorKind::TimedOut, format!("not done after {} s", LIMIT.as_secs()))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(Error::new(ErrorKind::TimedOut, format!("no word for {} s", patience.as_secs())));
            }
            Err(error) => return Err(error),
        }
    }
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    let status = head.strip_prefix("http/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let status = status.ok_or_else(|| Error::new(ErrorKind::InvalidData, "this is no HTTP server"))?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    if length.is_some_and(|length: usize| body.len() < length) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Answer { status, head, body })
}

/// The message in an engine's answer, without its JSON.
pub fn message_of(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let found = ["\"message\":\"", "\"error\":\"", "\"cause\":\""].iter().find_map(|key| text.split_once(key));
    let Some((_, rest)) = found else { return text.trim().to_owned() };
    let end = rest.char_indices().find(|(at, c)| *c == '"' && !rest[..*at].ends_with('\\'));
    rest[..end.map_or(rest.len(), |(at, _)| at)].replace("\\\"", "\"")
}

/// A value for a query: everything but letters, digits and a few marks is encoded.
pub fn encoded(value: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let each = value.bytes().map(|byte| match plain(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// Asks somebody who answers with this.
    fn ping(answer: &str) -> io::Result<Kind> {
        let socket = std::env::temp_dir().join(format!("xtask-{}-ping.sock", std::process::id()));
        std::fs::remove_file(&socket).ok();
        let listener = UnixListener::bind(&socket).expect("a socket");
        let engine = std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = [0; 512];
                let count = stream.read(&mut request).expect("a request");
                assert!(request[..count].starts_with(b"GET /_ping HTTP/1.0\r\n"));
                stream.write_all(answer.as_bytes()).expect("an answer");
            });
            Engine::at(&socket)
        });
        std::fs::remove_file(&socket).ok();
        assert!(Engine::at(&socket).is_err(), "nobody is there");
        engine.map(|engine| engine.kind)
    }

    #[test]
    fn a_ping_tells_docker_from_podman_and_from_what_is_neither() {
        let docker = "HTTP/1.0 200 OK\r\nServer: Docker/20.10.24 (linux)\r\nContent-Length: 2\r\n\r\nOK";
        assert_eq!(ping(docker).expect("docker"), Kind::Docker);
        let podman = "HTTP/1.1 200 OK\r\nLibpod-Api-Version: 4.3.1\r\n\r\nOK";
        assert_eq!(ping(podman).expect("podman"), Kind::Podman);
        for other in [
            "",
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\nServer: x\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour",
            "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno",
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        ] {
            assert!(ping(other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn the_message_of_an_engine_is_found_in_its_json() {
        let quoted = b"{\"message\":\"Get \\\"https://x/v2/\\\": no such host\"}\n";
        assert_eq!(message_of(quoted), "Get \"https://x/v2/\": no such host");
        assert_eq!(message_of(b"{\"errorDetail\":{\"code\":1},\"error\":\"denied\"}"), "denied");
        assert_eq!(message_of(b"plain\n"), "plain");
    }

    #[test]
    fn query_values_are_encoded() {
        assert_eq!(encoded("localhost/a:1 [\"/bin/sh\"]"), "localhost%2Fa%3A1%20%5B%22%2Fbin%2Fsh%22%5D");
    }
}
