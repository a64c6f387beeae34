//! A git server over HTTP or HTTPS: git's own `http-backend`, behind TLS with a certificate that nobody knows yet.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

/// `ada:p/w`, as a client sends it.
const LOGIN: &str = "Basic YWRhOnAvdw==";

/// What a server does besides serving.
#[derive(Default)]
pub struct Manners {
    /// Speaks HTTP without TLS.
    pub plain: bool,
    /// Wants the login `ada:p/w`.
    pub login: bool,
    /// Sends clients to this address instead, with the path that they asked for.
    pub elsewhere: Option<String>,
}

/// Serves a repository read-only, on a port of its own, until the test process ends.
pub struct GitServer {
    scheme: &'static str,
    port: u16,
    dir: TempDir,
    requests: Arc<Mutex<Vec<String>>>,
}

impl GitServer {
    /// Serves the repository at `path` as `/team/repo.git` over HTTPS.
    pub fn serve(path: &Path) -> Self {
        Self::with(path, Manners::default())
    }

    /// The same, with other manners.
    pub fn with(path: &Path, manners: Manners) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let tls = (!manners.plain).then(|| tls(dir.path()));
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let server =
            Self { scheme: if manners.plain { "http" } else { "https" }, port, dir, requests: requests.clone() };
        let (repository, manners) = (path.join(".git"), Arc::new(manners));
        std::thread::spawn(move || {
            for stream in socket.incoming().map_while(Result::ok) {
                let (tls, repository, manners) = (tls.clone(), repository.clone(), manners.clone());
                let requests = requests.clone();
                std::thread::spawn(move || match tls {
                    None => drop(answer(stream, &repository, &manners, &requests)),
                    Some(tls) => {
                        let server = ServerConnection::new(tls).expect("a connection");
                        let mut stream = StreamOwned::new(server, stream);
                        // A client that does not trust the certificate goes away in the middle: that is its right.
                        if answer(&mut stream, &repository, &manners, &requests).is_ok() {
                            // Without a proper end the client takes the answer for cut off.
                            stream.conn.send_close_notify();
                            let _ = stream.flush();
                        }
                    }
                });
            }
        });
        server
    }

    /// The repository's URL.
    pub fn url(&self) -> String {
        self.url_with_login("")
    }

    /// The repository's URL with `user:password@`.
    pub fn url_with_login(&self, login: &str) -> String {
        format!("{}://{login}127.0.0.1:{}/team/repo.git", self.scheme, self.port)
    }

    /// Where it is: scheme, address and port.
    pub fn origin(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// The certificate, for whoever is to trust it.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The first line of every request so far, with `+login` at its end if one came along.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

/// What a server needs for TLS. The certificate goes to `ca.pem` in `dir`.
fn tls(dir: &Path) -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(dir.join("ca.pem"), made.cert.pem()).expect("written");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into());
    Arc::new(config.expect("a configuration"))
}

/// Answers one request by git's CGI program (<https://git-scm.com/docs/git-http-backend>), and closes.
fn answer(
    mut stream: impl Read + Write,
    repository: &Path,
    manners: &Manners,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    if method.is_empty() {
        return Ok(()); // it did not trust us
    }
    let (mut length, mut kind, mut login) = (0, String::new(), None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().expect("a length"),
            "content-type" => kind = value.to_owned(),
            "authorization" => login = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let seen = format!("{method} {target}{}", if login.is_some() { " +login" } else { "" });
    requests.lock().expect("no panic").push(seen);
    let refusal = if manners.login && login.as_deref() != Some(LOGIN) {
        Some("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"team\"".to_owned())
    } else {
        manners.elsewhere.as_ref().map(|to| format!("302 Found\r\nLocation: {to}{target}"))
    };
    if let Some(head) = refusal {
        return stream
            .write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").as_bytes());
    }
    // A proxy is asked for a whole URL.
    let target = target.find("/team/repo.git").map_or("", |at| &target[at + "/team/repo.git".len()..]);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
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
    stream.write_all(first.as_bytes())?;
    stream.write_all(&output)?;
    stream.flush()
}
