//! Servers on this machine that do what they are told.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use git2::{Oid, Repository, Signature};

use super::Question;

/// A repository with one commit, as a server has it.
pub(super) struct Served {
    pub(super) refs: Vec<u8>,
    pack: Vec<u8>,
    pub(super) commit: String,
}

impl Served {
    pub(super) fn new() -> Self {
        Self::with_submodules(&[])
    }

    /// The same, with submodules: their paths, addresses and commits.
    pub(super) fn with_submodules(submodules: &[(&str, String, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut options = git2::RepositoryInitOptions::new();
        let repository = Repository::init_opts(dir.path(), options.initial_head("main")).expect("a repository");
        let file = repository.blob(b"content\n").expect("a file");
        let mut tree = repository.treebuilder(None).expect("a tree");
        tree.insert("file", file, 0o100_644).expect("inserted");
        let mut modules = String::new();
        for (path, url, commit) in submodules {
            modules.push_str(&format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n"));
            tree.insert(path, Oid::from_str(commit).expect("an id"), 0o160_000).expect("inserted");
        }
        if !modules.is_empty() {
            let modules = repository.blob(modules.as_bytes()).expect("a file");
            tree.insert(".gitmodules", modules, 0o100_644).expect("inserted");
        }
        let tree = repository.find_tree(tree.write().expect("written")).expect("a tree");
        let ada = Signature::now("Ada", "ada@example.org").expect("a signature");
        let commit = repository.commit(Some("HEAD"), &ada, &ada, "first", &tree, &[]).expect("a commit");
        let mut builder = repository.packbuilder().expect("a builder");
        builder.insert_commit(commit).expect("inserted");
        let mut pack = git2::Buf::new();
        builder.write_buf(&mut pack).expect("a pack");

        let mut refs = line(b"# service=git-upload-pack\n");
        refs.extend(b"0000");
        refs.extend(line(format!("{commit} HEAD\0side-band-64k symref=HEAD:refs/heads/main\n").as_bytes()));
        refs.extend(line(format!("{commit} refs/heads/main\n").as_bytes()));
        refs.extend(b"0000");
        Self { refs, pack: pack.to_vec(), commit: commit.to_string() }
    }

    /// What a request is answered with by a server that has no objections.
    pub(super) fn answer(&self, request: &Request) -> Answer {
        let question = if request.method == "GET" { Question::Refs } else { Question::Pack };
        let body = if question == Question::Refs { self.refs.clone() } else { self.pack_answer(&self.pack) };
        Answer { head: format!("200 OK\r\nContent-Type: {}", question.answer_type()), body, ..Answer::default() }
    }

    pub(super) fn pack_answer(&self, pack: &[u8]) -> Vec<u8> {
        let mut body = line(b"NAK\n");
        body.extend(line(&[&[1], pack].concat()));
        body.extend(b"0000");
        body
    }
}

/// A line of git's protocol: its length comes first.
pub(super) fn line(content: &[u8]) -> Vec<u8> {
    [format!("{:04x}", content.len() + 4).as_bytes(), content].concat()
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) authorization: Option<String>,
}

#[derive(Default)]
pub(super) struct Answer {
    /// From the status on.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    /// How much of the body is sent; then nothing more comes.
    pub(super) silent_after: Option<usize>,
}

impl Answer {
    pub(super) fn head(head: impl Into<String>) -> Self {
        Self { head: head.into(), ..Self::default() }
    }
}

pub(super) struct Server {
    address: SocketAddr,
    requests: mpsc::Receiver<Request>,
    /// One for each connection that the client gave up while it was silent.
    pub(super) given_up: mpsc::Receiver<()>,
}

impl Server {
    /// Answers every request on a connection of its own.
    pub(super) fn start(answer: impl Fn(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let ((seen, requests), (gone, given_up)) = (mpsc::channel(), mpsc::channel());
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let Some(request) = read_request(&mut stream) else { continue };
                let answer = answer(&request);
                let _ = seen.send(request);
                let length = answer.body.len();
                let head = format!("HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n", answer.head);
                let sent = answer.silent_after.map_or(&answer.body[..], |after| &answer.body[..after]);
                // A client may have seen enough before the end.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent));
                if answer.silent_after.is_some() {
                    let _ = stream.read(&mut [0]);
                    let _ = gone.send(());
                }
            }
        });
        Self { address, requests, given_up }
    }

    pub(super) fn url(&self, login: &str) -> String {
        format!("http://{login}{}/team/repo.git", self.address)
    }

    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).ok()?;
    let header = |wanted: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").map_or(0, |length| length.parse().expect("a length"));
    stream.read_exact(&mut vec![0; length]).ok()?;
    let mut words = head.split(' ').map(str::to_owned);
    Some(Request { method: words.next()?, target: words.next()?, authorization: header("authorization") })
}
