//! A build API that answers the least, and components written by hand.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use monkeyci_api::{Body, BuildInfo, Client, Token};
use monkeyci_build::Source;
use monkeyci_script::{Limits, Runtime, RuntimeOptions, Script};

/// What was asked of the build API, as `METHOD path`.
pub type Asked = Arc<Mutex<Vec<String>>>;

/// A client whose build API knows one parameter, `answer`, which is a number that grows with every call.
pub fn client() -> (Client, Asked) {
    let asked = Asked::default();
    let seen = asked.clone();
    let handler = Arc::new(move |request: http::Request<Body>| {
        let line = format!("{} {}", request.method(), request.uri().path());
        let count = {
            let mut seen = seen.lock().expect("no test panics here");
            seen.push(line.clone());
            seen.len()
        };
        let (status, body) = match line.as_str() {
            line if line.contains("/params/answer") => (200, format!(r#"{{"value":"{count}"}}"#)),
            line if line.ends_with("/params/ans") => {
                (404, r#"{"status":404,"title":"x","detail":"no such thing"}"#.to_owned())
            }
            line if line.contains("/params/") => (200, r#"{"value":null}"#.to_owned()),
            _ => (204, String::new()),
        };
        async move {
            // Bodies are streams: whoever sends one waits for it to be read.
            let _ = http_body(request).await;
            http::Response::builder().status(status).body(Body::from(body)).expect("a valid answer")
        }
        .boxed()
    });
    let client = Client::in_process(handler, "org/repo/1", Token::new("t".to_owned())).expect("a client");
    (client, asked)
}

async fn http_body(request: http::Request<Body>) -> Vec<u8> {
    use http_body_util::BodyExt;
    request.into_body().collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default()
}

/// What is being built.
pub fn info() -> BuildInfo {
    BuildInfo { id: "org/repo/1".to_owned(), trigger: "cli".to_owned(), source: Source::default() }
}

/// A runtime without a cache on disk.
pub fn runtime(limits: Limits) -> Runtime {
    Runtime::new(RuntimeOptions { cache_dir: None, limits }).expect("a runtime")
}

/// A component whose `define` runs `body`, core WebAssembly that leaves nothing on the stack. `types` are component-level
/// imports, `lower` lowers them, `imports` names them for the core module.
#[derive(Default)]
pub struct Guest<'a> {
    pub imports: &'a str,
    pub lower: &'a str,
    pub with: &'a str,
    pub core_imports: &'a str,
    pub globals: &'a str,
    pub define: &'a str,
    pub act: &'a str,
}

impl Guest<'_> {
    /// The component's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { imports, lower, with, core_imports, globals, define, act } = self;
        let text = format!(
            r#"(component
              {imports}
              (core module $memory (memory (export "memory") 2)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536))
              (core instance $memory (instantiate $memory))
              {lower}
              (core module $main
                (import "memory" "memory" (memory 2))
                {core_imports}
                {globals}
                (data (i32.const 16) "answer")
                (func (export "define") (result i32) (local $i i32) {define} i32.const 0)
                (func (export "act") (param i32 i32) (result i32) (local $i i32) {act} i32.const 0))
              (core instance $main (instantiate $main
                (with "memory" (instance $memory))
                {with}))
              (func (export "define") (result (result (error string)))
                (canon lift (core func $main "define") (memory (core memory $memory "memory"))))
              (func (export "act") (param "job" string) (result (result (error string)))
                (canon lift (core func $main "act") (memory (core memory $memory "memory")) (realloc (core func $memory "realloc")))))"#
        );
        wat::parse_str(text).expect("valid text")
    }

    /// The component, loaded.
    pub fn load(&self, runtime: &Runtime) -> Script {
        runtime.load(&self.bytes()).expect("a script")
    }
}

/// A guest that declares actions: `$action` takes an id's address and length.
pub fn declaring(define: &str) -> Guest<'_> {
    Guest {
        imports: r#"(import "monkeyci:script/jobs@0.1.0" (instance $jobs
            (export "job" (type $job (sub resource)))
            (export "[static]job.action" (func (param "id" string) (result (own $job))))))"#,
        lower: r#"(core func $action (canon lower (func $jobs "[static]job.action") (memory (core memory $memory "memory"))))"#,
        with: r#"(with "jobs" (instance (export "action" (func $action))))"#,
        core_imports: r#"(import "jobs" "action" (func $action (param i32 i32) (result i32)))"#,
        define,
        ..Guest::default()
    }
}

/// A guest that reads the parameter `answer`: `$answer` leaves its address at 64.
pub fn asking<'a>(define: &'a str, act: &'a str) -> Guest<'a> {
    Guest {
        imports: r#"
          (import "monkeyci:script/types@0.1.0" (instance $types
            (type $e (variant (case "denied" string) (case "not-found" string) (case "invalid" string)
              (case "conflict" string) (case "quota" string) (case "unavailable" string) (case "other" string)))
            (export "error" (type $error (eq $e)))))
          (alias export $types "error" (type $error))
          (import "monkeyci:script/params@0.1.0" (instance $params
            (alias outer 1 $error (type $outer))
            (export "error" (type $error (eq $outer)))
            (export "get" (func (param "name" string) (result (result (option string) (error $error)))))))"#,
        lower: r#"(core func $get (canon lower (func $params "get")
            (memory (core memory $memory "memory")) (realloc (core func $memory "realloc"))))"#,
        with: r#"(with "params" (instance (export "get" (func $get))))"#,
        core_imports: r#"(import "params" "get" (func $get (param i32 i32 i32)))"#,
        define,
        act,
        ..Guest::default()
    }
}
