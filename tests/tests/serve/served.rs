//! The server's program, and whoever calls it. Nobody hears of them but on a loopback address.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use monkeyci_tests::hang_guard::{self, HANGS};
use monkeyci_tests::host::Host;
use monkeyci_tests::place;
use serde_json::{Value, json};

/// A server that runs. It is killed when this is dropped.
pub struct Served {
    child: Child,
    address: String,
    pub token: String,
}

impl Served {
    /// Starts one in a home that has none yet.
    pub fn first(host: &Host) -> Self {
        Self::start(host, None, &[])
    }

    /// The same with more arguments.
    pub fn with(host: &Host, more: &[&str]) -> Self {
        Self::start(host, None, more)
    }

    /// Starts one in a home that another one has left, whose token is still good.
    pub fn next(host: &Host, token: &str) -> Self {
        Self::start(host, Some(token), &[])
    }

    fn start(host: &Host, token: Option<&str>, more: &[&str]) -> Self {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--engine", "unix:///no/such/engine"];
        let mut command = host.command(&arguments);
        command.args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("it starts");
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = || {
            let mut line = String::new();
            said.read_line(&mut line).expect("a line");
            line
        };
        let listening = line();
        let address = listening.strip_prefix("listening on http://").expect(&listening);
        let address = address.split(',').next().expect("an address").to_owned();
        let token = token.map_or_else(
            || {
                let told = line();
                told.trim_end().strip_prefix("a token for everything, shown this once: ").expect(&told).to_owned()
            },
            str::to_owned,
        );
        // What it says at its end is nobody's concern, and must not find that nobody reads.
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        Self { child, address, token }
    }

    /// What a command prints that speaks to this server.
    pub fn command(&self, host: &Host, arguments: &[&str]) -> String {
        let mut command = host.command(arguments);
        command.args(["--server", &format!("http://{}", self.address)]).env("MONKEYCI_TOKEN", &self.token);
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// As a crash of the machine would end it.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("an end");
    }

    /// Ends it as a service manager does; returns its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        hang_guard::found("the server's end", || self.child.try_wait().expect("a child")).code()
    }

    /// Sends a request, and reads the head of its answer: the status, and the rest that is still to come.
    pub fn ask(&self, request: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, BufReader<TcpStream>) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(HANGS)).expect("set");
        let mut head =
            format!("{request} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).expect("sent");
        stream.write_all(body).expect("sent");
        let mut answer = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(answer.read_line(&mut head).expect("a head"), 0, "{head}");
        }
        (head[9..12].parse().expect("a status"), answer)
    }

    /// The whole answer to a request with the token: its status, and its JSON if it has some.
    pub fn call(&self, request: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let bearer = format!("Bearer {}", self.token);
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let (status, mut answer) = self.ask(request, &headers, &body);
        let mut text = String::new();
        answer.read_to_string(&mut text).expect("a body");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Adds a repository whose script is stored with it.
    pub fn add(&self, name: &str, url: &str) {
        self.add_with(name, url, "probe_script");
    }

    /// The same with a script of this name.
    pub fn add_with(&self, name: &str, url: &str, script: &str) {
        let new = json!({ "name": name, "url": url, "webhook_secret": super::SECRET });
        let (status, added) = self.call("POST /api/v1/repositories", &new);
        assert_eq!(status, 201, "{added}");
        let script = std::fs::read(place::script(script)).expect("the script");
        let bearer = format!("Bearer {}", self.token);
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/wasm")];
        let (status, _) = self.ask(&format!("PUT /api/v1/repositories/{name}/script"), &headers, &script);
        assert_eq!(status, 204);
    }

    /// Asks for a build; returns its id.
    pub fn trigger(&self, repository: &str, asked: &Value) -> String {
        let (status, build) = self.call(&format!("POST /api/v1/repositories/{repository}/builds"), asked);
        assert_eq!(status, 202, "{build}");
        build["build"].as_str().expect("an id").to_owned()
    }

    /// The events of a build as a reader hears them who has heard one already, or none: until one of this name, or the stream's end.
    pub fn heard(&self, build: &str, seen: Option<u64>, until: &str) -> Vec<Value> {
        let (bearer, seen) = (format!("Bearer {}", self.token), seen.map(|seen| seen.to_string()));
        let mut headers = vec![("Authorization", bearer.as_str()), ("Accept", "text/event-stream")];
        headers.extend(seen.as_deref().map(|seen| ("Last-Event-ID", seen)));
        let (status, answer) = self.ask(&format!("GET /api/v1/builds/{build}/events"), &headers, b"");
        let mut events = Vec::new();
        if status == 204 {
            return events;
        }
        assert_eq!(status, 200);
        let (mut id, mut name) = (String::new(), String::new());
        for line in answer.lines().map_while(Result::ok) {
            if let Some(told) = line.strip_prefix("id: ") {
                id = told.to_owned();
            } else if let Some(told) = line.strip_prefix("event: ") {
                name = told.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                if name == "problem" {
                    break;
                }
                let event: Value = serde_json::from_str(data).expect("JSON");
                assert_eq!((event["seq"].to_string(), event["type"].as_str()), (id.clone(), Some(name.as_str())));
                events.push(event);
                if name == until {
                    break;
                }
            }
        }
        events
    }

    /// All events of a build to its end, by a reader who connects again wherever a stream breaks off.
    pub fn to_the_end(&self, build: &str, mut heard: Vec<Value>) -> Vec<Value> {
        hang_guard::found("the end of the build", || {
            let seen = heard.last().map(|event| event["seq"].as_u64().expect("a number"));
            heard.extend(self.heard(build, seen, "build/ended"));
            heard.last().is_some_and(|last| last["type"] == "build/ended").then(|| std::mem::take(&mut heard))
        })
    }

    /// All events of a build by pages.
    pub fn pages(&self, build: &str) -> Vec<Value> {
        let (mut events, mut next) = (Vec::new(), 0);
        loop {
            let (status, page) = self.call(&format!("GET /api/v1/builds/{build}/events?after={next}"), &Value::Null);
            assert_eq!(status, 200, "{page}");
            next = page["next"].as_u64().expect("a number");
            events.extend(page["events"].as_array().expect("a list").iter().cloned());
            if page["is_over"] == true {
                return events;
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
