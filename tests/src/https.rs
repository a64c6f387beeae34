//! A git server over HTTPS: git's own `http-backend` behind TLS, with a certificate that nobody knows yet.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod, SslStream};
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use tempfile::TempDir;

/// Serves a repository read-only, on a port of its own, until the test process ends.
pub struct HttpsServer {
    port: u16,
    dir: TempDir,
}

impl HttpsServer {
    /// Serves the repository at `path` as `/repo.git`.
    pub fn serve(path: &Path) -> Self {
        let (key, certificate) = certificate();
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("ca.pem"), certificate.to_pem().expect("PEM")).expect("written");
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).expect("TLS");
        acceptor.set_private_key(&key).expect("a key");
        acceptor.set_certificate(&certificate).expect("a certificate");
        let acceptor = Arc::new(acceptor.build());
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("an address").port();
        let repository = path.join(".git");
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let (acceptor, repository) = (acceptor.clone(), repository.clone());
                std::thread::spawn(move || {
                    // A client that does not trust the certificate goes away in the middle: that is its right.
                    if let Ok(stream) = acceptor.accept(stream) {
                        answer(stream, &repository);
                    }
                });
            }
        });
        Self { port, dir }
    }

    /// The repository's URL.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}/team/repo.git", self.port)
    }

    /// The certificate, for whoever is to trust it.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }
}

fn certificate() -> (PKey<Private>, X509) {
    let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
    let mut name = X509NameBuilder::new().expect("a name");
    name.append_entry_by_text("CN", "127.0.0.1").expect("a name");
    let name = name.build();
    let mut builder = X509::builder().expect("a certificate");
    builder.set_version(2).expect("a version");
    builder.set_subject_name(&name).expect("a subject");
    builder.set_issuer_name(&name).expect("an issuer");
    builder.set_pubkey(&key).expect("a key");
    builder.set_not_before(&Asn1Time::days_from_now(0).expect("a time")).expect("a time");
    builder.set_not_after(&Asn1Time::days_from_now(1).expect("a time")).expect("a time");
    let address = SubjectAlternativeName::new().ip("127.0.0.1").build(&builder.x509v3_context(None, None));
    builder.append_extension(address.expect("an extension")).expect("an extension");
    builder.sign(&key, MessageDigest::sha256()).expect("signed");
    (key, builder.build())
}

/// Answers one request by git's CGI program (<https://git-scm.com/docs/git-http-backend>), and closes.
fn answer(mut stream: SslStream<TcpStream>, repository: &Path) {
    let mut reader = BufReader::new(&mut stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a request");
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    if method.is_empty() {
        return; // it did not trust us
    }
    let (mut length, mut kind, mut chunked) = (0, String::new(), false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).expect("a header");
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().expect("a length"),
            "content-type" => kind = value.to_owned(),
            "transfer-encoding" => chunked = value == "chunked",
            _ => {}
        }
    }
    let body = if chunked { read_chunks(&mut reader) } else { read_exactly(&mut reader, length) };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let path = path.trim_start_matches("/team/repo.git");
    let mut cgi = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", repository)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("CONTENT_TYPE", kind)
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git http-backend starts");
    cgi.stdin.take().expect("piped").write_all(&body).expect("written");
    let output = cgi.wait_with_output().expect("an answer").stdout;
    let text = String::from_utf8_lossy(&output);
    let status = text.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let head = output.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("the end of the headers");
    let length = output.len() - head - 4;
    let first = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    stream.write_all(first.as_bytes()).and_then(|()| stream.write_all(&output)).expect("answered");
    // Without a proper end the client takes the answer for cut off.
    let _ = stream.shutdown();
}

fn read_exactly(reader: &mut impl Read, length: usize) -> Vec<u8> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    body
}

fn read_chunks(reader: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a chunk");
        let length = usize::from_str_radix(line.trim(), 16).expect("a length");
        body.extend(read_exactly(reader, length));
        reader.read_line(&mut line).expect("the chunk's end");
        if length == 0 {
            return body;
        }
    }
}
