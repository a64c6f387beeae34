//! Registries: one that has an image, and some that give nobody one.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::hang_guard;

/// A registry on this machine.
pub struct Registry {
    port: u16,
    asked: Arc<AtomicBool>,
}

impl Registry {
    /// One that takes connections and never says a word.
    pub fn silent() -> Self {
        // Held, not closed.
        let mut held = Vec::new();
        Self::serve(move |stream| held.push(stream))
    }

    /// One that answers every request with this status line and these header lines.
    pub fn answering(head: &'static str) -> Self {
        Self::serve(move |mut stream| {
            let mut first = [0; 1024];
            // A client that tries TLS first is not answered, and comes again without.
            if matches!(stream.read(&mut first), Ok(read) if read > 0 && first[0] != 0x16) {
                let answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}");
                let _ = stream.write_all(answer.as_bytes());
            }
        })
    }

    /// One that has the image in an archive as `docker save` writes it. It speaks what of the
    /// [distribution protocol](https://github.com/opencontainers/distribution-spec/blob/main/spec.md) a pull needs.
    pub fn serving(archive: &[u8]) -> Self {
        Self::serving_to(archive, None)
    }

    /// The same, for those who have a login: `name:password` in base64.
    pub fn serving_to(archive: &[u8], login: Option<&'static str>) -> Self {
        let contents = Arc::new(contents(archive));
        Self::serve(move |stream| {
            let contents = contents.clone();
            thread::spawn(move || answer_pull(stream, &contents, login));
        })
    }

    /// The name of an image that it would have.
    pub fn image(&self) -> String {
        format!("localhost:{}/team/tool:1", self.port)
    }

    /// Waits until somebody has asked it for something.
    pub fn wait_until_asked(&self) {
        hang_guard::until("a pull", || self.asked.load(Ordering::SeqCst));
    }

    fn serve(mut answer: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("an address").port();
        let asked = Arc::new(AtomicBool::new(false));
        let is_asked = asked.clone();
        thread::spawn(move || {
            socket.incoming().map_while(Result::ok).for_each(|stream| {
                is_asked.store(true, Ordering::SeqCst);
                answer(stream);
            });
        });
        Self { port, asked }
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What a registry has, with its type, under the last part of its path: `1` for the tag, or a digest.
fn contents(archive: &[u8]) -> HashMap<String, (&'static str, Vec<u8>)> {
    let mut files = HashMap::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("a file");
        files.insert(path, content);
    }
    let saved: Value = serde_json::from_slice(&files["manifest.json"]).expect("a manifest");
    let mut contents = HashMap::new();
    let mut blob = |path: &Value, media_type: &str| {
        let content = files[path.as_str().expect("a path")].clone();
        let digest = digest(&content);
        let descriptor = json!({ "mediaType": media_type, "size": content.len(), "digest": &digest });
        contents.insert(digest, ("application/octet-stream", content));
        descriptor
    };
    let config = blob(&saved[0]["Config"], "application/vnd.oci.image.config.v1+json");
    let layers = saved[0]["Layers"].as_array().expect("layers").iter();
    let layers: Vec<_> = layers.map(|layer| blob(layer, "application/vnd.oci.image.layer.v1.tar")).collect();
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
    let manifest = manifest.to_string().into_bytes();
    contents.insert(digest(&manifest), (MANIFEST, manifest.clone()));
    contents.insert("1".to_owned(), (MANIFEST, manifest));
    contents
}

fn digest(content: &[u8]) -> String {
    let digits: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// Answers one request.
fn answer_pull(mut stream: TcpStream, contents: &HashMap<String, (&'static str, Vec<u8>)>, login: Option<&str>) {
    let mut first = [0];
    // A client that tries TLS first comes again without.
    if !matches!(stream.peek(&mut first), Ok(1) if first[0] != 0x16) {
        return;
    }
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let shown = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(": Basic ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
    });
    if login.is_some() && shown.as_deref() != login {
        let head = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"team\"";
        let _ = stream.write_all(format!("{head}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").as_bytes());
        return;
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let empty = ("application/json", Vec::new());
    let found = match path.rsplit('/').next() {
        Some("") => Some(&empty),
        last => last.and_then(|last| contents.get(last)),
    };
    let (status, (media_type, content)) = found.map_or(("404 Not Found", &empty), |found| ("200 OK", found));
    let (length, digest) = (content.len(), digest(content));
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\nDocker-Content-Digest: {digest}\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes());
    if method == "GET" {
        let _ = stream.write_all(content);
    }
}
