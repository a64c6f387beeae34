//! The little of a container engine's API that the set-up needs: HTTP/1.1 over a Unix socket.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// An answer: the status and headers are read, the body is not yet.
pub struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    body: Body<Box<dyn BufRead>>,
}

impl Response {
    /// A header's value. The name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The rest of the answer, up to a size that no answer of interest reaches.
    pub fn text(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.body.by_ref().take(1 << 20).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The lines of the answer, as they come.
    pub fn lines(self) -> impl Iterator<Item = io::Result<String>> {
        BufReader::new(self.body).lines()
    }
}

/// Sends one request. `patience` is how long the engine may say nothing.
pub fn request(
    socket: &Path,
    method: &str,
    target: &str,
    body: Option<&[u8]>,
    patience: Duration,
) -> io::Result<Response> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n");
    if let Some(body) = body {
        let length = body.len();
        write!(head, "Content-Type: application/x-tar\r\nContent-Length: {length}\r\n").map_err(io::Error::other)?;
    } else if method == "POST" {
        head.push_str("Content-Length: 0\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if let Some(body) = body {
        stream.write_all(body)?;
    }
    parse(Box::new(BufReader::new(stream)))
}

/// Whether nothing came in time.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A request that has to succeed; returns the body.
pub fn call(socket: &Path, method: &str, target: &str, body: Option<&[u8]>, patience: Duration) -> Result<String> {
    let what = || format!("{method} {target} at {}", socket.display());
    let mut response = request(socket, method, target, body, patience).with_context(what)?;
    let text = response.text().with_context(what)?;
    if response.status >= 300 {
        bail!("{}: {} {}", what(), response.status, text.trim());
    }
    Ok(text)
}

fn parse(mut reader: Box<dyn BufRead>) -> io::Result<Response> {
    let invalid = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let first = line(&mut reader)?;
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| invalid(&format!("this is no HTTP server: {first:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = line(&mut reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("a header without a colon"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        if headers.len() > 100 {
            return Err(invalid("too many headers"));
        }
    }
    let header = |name: &str| headers.iter().find(|(key, _)| key == name);
    let chunked = header("transfer-encoding").is_some_and(|(_, value)| value.contains("chunked"));
    let framing = if chunked {
        Framing::Chunked { left: 0 }
    } else if let Some((_, length)) = header("content-length") {
        let left = length.parse().map_err(|_| invalid("a strange Content-Length"))?;
        Framing::Length { left }
    } else {
        Framing::UntilClosed
    };
    Ok(Response { status, headers, body: Body { reader, framing } })
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(8192).read_line(&mut line)?;
    if !line.ends_with('\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

enum Framing {
    Length { left: u64 },
    Chunked { left: u64 },
    UntilClosed,
    Ended,
}

/// A body, without its framing.
struct Body<R> {
    reader: R,
    framing: Framing,
}

impl<R: BufRead> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match &mut self.framing {
                Framing::Ended => return Ok(0),
                Framing::UntilClosed => return self.reader.read(buffer),
                Framing::Length { left: 0 } => self.framing = Framing::Ended,
                Framing::Chunked { left: 0 } => {
                    let size = line(&mut self.reader)?;
                    let digits = size.split(';').next().unwrap_or_default().trim();
                    let left = u64::from_str_radix(digits, 16)
                        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "a strange chunk"))?;
                    self.framing = match left {
                        0 => Framing::Ended,
                        _ => Framing::Chunked { left },
                    };
                }
                Framing::Length { left } => return read_up_to(&mut self.reader, buffer, left),
                Framing::Chunked { left } => {
                    let count = read_up_to(&mut self.reader, buffer, left)?;
                    if *left == 0 {
                        line(&mut self.reader)?;
                    }
                    return Ok(count);
                }
            }
        }
    }
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8], left: &mut u64) -> io::Result<usize> {
    let count = reader.take(*left).read(buffer)?;
    if count == 0 && !buffer.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    *left -= count as u64;
    Ok(count)
}

/// A value for a query: everything but letters, digits and a few marks is encoded.
pub fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &'static str) -> io::Result<(u16, String)> {
        let mut response = parse(Box::new(bytes.as_bytes()))?;
        Ok((response.status, response.text()?))
    }

    #[test]
    fn bodies_of_all_framings_are_read() {
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK, and more";
        let chunked = "HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nfour\r\nA\r\n and more\n\r\n0\r\n\r\n";
        let closed = "HTTP/1.0 200 OK\r\n\r\nall of it";
        assert_eq!(read(length).expect("length"), (200, "OK".into()));
        assert_eq!(read(chunked).expect("chunked"), (404, "four and more\n".into()));
        assert_eq!(read(closed).expect("closed"), (200, "all of it".into()));
    }

    #[test]
    fn an_answer_that_is_cut_off_is_an_error() {
        for cut in [
            "",
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\nServer: x\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfo",
        ] {
            assert!(read(cut).is_err(), "{cut:?}");
        }
    }

    #[test]
    fn what_does_not_speak_http_is_an_error() {
        assert!(read("SSH-2.0-OpenSSH_9.2\r\n\r\n").is_err());
        assert!(read("HTTP/1.1 200 OK\r\nno header\r\n\r\n").is_err());
        assert!(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").is_err());
    }

    #[test]
    fn header_names_are_compared_without_case() {
        let answer = "HTTP/1.1 200 OK\r\nLibpod-API-Version: 4.3.1\r\nContent-Length: 0\r\n\r\n";
        let response = parse(Box::new(answer.as_bytes())).expect("an answer");
        assert_eq!(response.header("libpod-api-version"), Some("4.3.1"));
        assert_eq!(response.header("server"), None);
    }

    #[test]
    fn query_values_are_encoded() {
        assert_eq!(encoded("localhost/a:1 [\"/bin/sh\"]"), "localhost%2Fa%3A1%20%5B%22%2Fbin%2Fsh%22%5D");
    }
}
