//! Against servers on this machine that do what they are told.

use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use git2::Repository;
use tempfile::TempDir;

use super::served::{Answer, Request, Served, Server, line};
use super::*;
use crate::source::GitAuth;
use crate::source::checkout::{Checkout, SourceRequest};
use crate::source::clone::clone;
use crate::source::error::CheckoutError;
use crate::source::limits::Limits as LimitsOfSource;

fn limits() -> Limits {
    Limits { silence: Duration::from_secs(60), ..Limits::default() }
}

/// Clones as a build does.
fn cloned(url: &str, limits: Limits) -> (TempDir, Result<Checkout, CheckoutError>) {
    cloned_with(url, "", limits)
}

/// The same, with these lines in the file of logins.
fn cloned_with(url: &str, logins: &str, limits: Limits) -> (TempDir, Result<Checkout, CheckoutError>) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), logins).expect("written");
    let auth = GitAuth { credentials: Some(file.path().to_owned()), ..GitAuth::default() };
    let limits = LimitsOfSource { http: limits, ..LimitsOfSource::default() };
    let checkout = clone(url, None, &auth, &dir.path().join("checkout"), &limits, &CancellationToken::new());
    (dir, checkout)
}

fn error(url: &str, limits: Limits) -> HttpError {
    match cloned(url, limits).1 {
        Err(CheckoutError::Http { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

/// `ada:p/w`.
const LOGIN: &str = "Basic YWRhOnAvdw==";

/// Wants [`LOGIN`].
fn wants_login(request: &Request, otherwise: impl FnOnce() -> Answer) -> Answer {
    wants(LOGIN, request, otherwise)
}

fn wants(login: &str, request: &Request, otherwise: impl FnOnce() -> Answer) -> Answer {
    match request.authorization.as_deref() {
        Some(given) if given == login => otherwise(),
        _ => Answer::head("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\""),
    }
}

fn every_file(dir: &Path, see: &mut impl FnMut(&Path, Vec<u8>)) {
    for entry in std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { every_file(&entry, see) } else { see(&entry, std::fs::read(&entry).expect("a file")) }
    }
}

#[test]
fn a_login_is_sent_when_the_server_asks_for_it_and_the_clone_keeps_none_of_it() {
    let served = Served::new();
    let commit = served.commit.clone();
    let server = Server::start(move |request| wants_login(request, || served.answer(request)));
    let url = format!("{}?access_token=s3cret", server.url("ada:p%2Fw@"));
    let (dir, checkout) = cloned(&url, limits());
    let source = checkout.expect("a checkout").source;
    assert_eq!((source.commit, source.branch), (Some(commit), Some("main".to_owned())));
    assert_eq!(source.git_url, Some(server.url("")));
    assert_eq!(std::fs::read_to_string(dir.path().join("checkout/file")).expect("a file"), "content\n");
    let requests = server.requests();
    let told: Vec<_> =
        requests.iter().map(|request| (request.method.as_str(), request.authorization.as_deref())).collect();
    assert_eq!(told, [("GET", None), ("GET", Some(LOGIN)), ("POST", Some(LOGIN))]);
    let refs = "/team/repo.git/info/refs?access_token=s3cret&service=git-upload-pack";
    let pack = "/team/repo.git/git-upload-pack?access_token=s3cret";
    assert_eq!(requests.iter().map(|request| request.target.as_str()).collect::<Vec<_>>(), [refs, refs, pack]);
    every_file(dir.path(), &mut |path, content| {
        let content = String::from_utf8_lossy(&content).into_owned();
        assert!(!["p/w", "p%2Fw", "s3cret"].iter().any(|secret| content.contains(secret)), "{}", path.display());
    });
}

#[test]
fn a_login_that_is_missing_refused_or_of_another_kind_is_told_apart() {
    let server = Server::start(|request| wants_login(request, || Answer::head("403 Forbidden")));
    let host = server.host();
    assert_eq!(error(&server.url(""), limits()), HttpError::LoginWanted { host: host.clone() });
    assert_eq!(error(&server.url("ada:wrong@"), limits()), HttpError::LoginRefused { host: host.clone() });
    assert_eq!(error(&server.url("ada:p%2Fw@"), limits()), HttpError::Forbidden { host });
    let server = Server::start(|_| Answer::head("401 Unauthorized\r\nWWW-Authenticate: Negotiate"));
    let kind = HttpError::LoginKind { host: server.host(), offered: "Negotiate".to_owned() };
    assert_eq!(error(&server.url("ada:p%2Fw@"), limits()), kind);
    assert_eq!(server.requests().iter().filter(|request| request.authorization.is_some()).count(), 0);
}

#[test]
fn a_redirect_is_followed_and_takes_no_login_to_another_server() {
    let served = Served::new();
    let other = Server::start(move |request| match &request.target {
        target if target.starts_with("/moved/") => served.answer(request),
        _ => Answer::head("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\""),
    });
    let to = other.host();
    let server = Server::start(move |request| {
        let place = if request.target.contains("closed") { "closed" } else { "moved" };
        let to = format!("http://{to}/{place}/repo.git/info/refs?service=git-upload-pack");
        wants_login(request, || Answer::head(format!("302 Found\r\nLocation: {to}")))
    });
    cloned(&server.url("ada:p%2Fw@"), limits()).1.expect("a checkout");
    assert_eq!(server.requests().len(), 2);
    let requests = other.requests();
    let targets: Vec<_> = requests.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(targets, ["/moved/repo.git/info/refs?service=git-upload-pack", "/moved/repo.git/git-upload-pack"]);
    let closed = error(&server.url("ada:p%2Fw@").replace("repo", "closed"), limits());
    assert_eq!(closed, HttpError::LoginElsewhere { host: other.host(), given: server.host() });
    assert!(requests.iter().chain(&other.requests()).all(|request| request.authorization.is_none()));
}

/// `bob:x`.
const BOB: &str = "Basic Ym9iOng=";

#[test]
fn each_submodule_is_fetched_with_the_login_for_its_server_and_with_no_other() {
    let inner = Served::new();
    let commit = inner.commit.clone();
    let other = Server::start(move |request| wants(BOB, request, || inner.answer(request)));
    let outer = Served::with_submodules(&[("sub", other.url(""), &commit)]);
    let server = Server::start(move |request| wants_login(request, || outer.answer(request)));
    let logins = format!("http://ada:p%2Fw@{}\nhttp://bob:x@{}\n", server.host(), other.host());
    let (dir, checkout) = cloned_with(&server.url(""), &logins, limits());
    assert_eq!(checkout.expect("a checkout").warnings, [""; 0]);
    assert_eq!(std::fs::read_to_string(dir.path().join("checkout/sub/file")).expect("a file"), "content\n");
    for (server, login) in [(&server, LOGIN), (&other, BOB)] {
        let given: Vec<_> = server.requests().into_iter().filter_map(|request| request.authorization).collect();
        assert!(!given.is_empty() && given.iter().all(|given| given == login), "{given:?}");
    }
    every_file(dir.path(), &mut |path, content| {
        let content = String::from_utf8_lossy(&content).into_owned();
        assert!(!["p/w", "p%2Fw", "bob"].iter().any(|secret| content.contains(secret)), "{}", path.display());
    });
}

#[test]
fn a_login_of_a_file_goes_to_its_server_alone_wherever_that_sends_us() {
    let served = Served::new();
    let open = Server::start(move |request| served.answer(request));
    let closed = Server::start(|request| wants(BOB, request, || Answer::head("500 Not Reached")));
    for (other, fetched) in [(&open, true), (&closed, false)] {
        let to = other.url("");
        let server = Server::start(move |request| {
            let to = format!("{to}/info/refs?service=git-upload-pack");
            wants_login(request, || Answer::head(format!("302 Found\r\nLocation: {to}")))
        });
        let logins = format!("http://ada:p%2Fw@{}\n", server.host());
        let (_dir, checkout) = cloned_with(&server.url(""), &logins, limits());
        assert_eq!(checkout.is_ok(), fetched, "{checkout:?}");
        let elsewhere = HttpError::LoginElsewhere { host: other.host(), given: server.host() };
        assert!(fetched || checkout.expect_err("closed").to_string().ends_with(&elsewhere.to_string()));
        let requests = other.requests();
        assert!(!requests.is_empty() && requests.iter().all(|request| request.authorization.is_none()), "{requests:?}");
    }
}

#[test]
fn a_redirect_leads_to_repositories_only_and_not_for_ever() {
    let server = Server::start(|request| Answer::head(format!("301 Moved\r\nLocation: {}", request.target)));
    let limits = Limits { redirects: 3, ..limits() };
    let too_many = HttpError::TooManyRedirects { host: server.host(), limit: 3 };
    assert_eq!((error(&server.url(""), limits.clone()), server.requests().len()), (too_many, 4));
    let served = Served::new();
    let server = Server::start(move |request| match request.target.as_str() {
        "/elsewhere" => served.answer(request),
        _ => Answer::head("302 Found\r\nLocation: /elsewhere"),
    });
    let elsewhere = error(&server.url(""), limits);
    assert!(matches!(elsewhere, HttpError::RedirectElsewhere { .. }), "{elsewhere:?}");
}

#[test]
fn a_redirect_never_leads_from_https_to_http() {
    let url = |text| Url::parse(text).expect("a URL");
    let (secure, open) = (url("https://host/repo"), url("http://host/repo"));
    let refused = HttpError::Downgrade { host: "host".to_owned(), to: "http://other/x".to_owned() };
    assert_eq!(redirected(&secure, "http://user:s3cret@other/x?token=s3cret"), Err(refused));
    assert_eq!(redirected(&secure, "//other/x"), Ok(url("https://other/x")));
    assert_eq!(redirected(&open, "https://s3cret@host/x"), Ok(url("https://host/x")));
    assert!(matches!(redirected(&open, "file:///etc/passwd"), Err(HttpError::RedirectElsewhere { .. })));
}

#[test]
fn a_login_is_for_its_server_and_for_the_https_side_of_it() {
    for (other, same) in [
        ("http://host/x", true),
        ("https://host/x", true),
        ("https://host:8443/x", false),
        ("http://host:81/x", false),
        ("https://host.other/x", false),
    ] {
        let url = |text| Url::parse(text).expect("a URL");
        assert_eq!(is_same_server(&url("http://host/repo"), &url(other)), same, "{other}");
        assert!(!is_same_server(&url("http://host:8080/repo"), &url(other)), "{other}");
    }
}

#[test]
fn a_server_that_falls_silent_ends_the_clone() {
    let limits = Limits { silence: Duration::from_millis(200), ..limits() };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let silent = |host: &str| HttpError::Silent { host: host.to_owned(), limit: limits.silence };
    assert_eq!(error(&format!("http://{host}/repo"), limits.clone()), silent(&host), "before it answers");
    let served = Served::new();
    let server = Server::start(move |request| {
        let answer = served.answer(request);
        let silent_after = (request.method == "POST").then_some(answer.body.len() / 2);
        Answer { silent_after, ..answer }
    });
    assert_eq!(error(&server.url(""), limits.clone()), silent(&server.host()), "in the middle of a pack");
}

#[tokio::test]
async fn a_clone_that_nobody_waits_for_any_more_leaves_its_server() {
    let served = Served::new();
    let (half, half_sent) = mpsc::channel();
    let server = Server::start(move |request| {
        let answer = served.answer(request);
        if request.method == "GET" {
            return answer;
        }
        half.send(()).expect("somebody listens");
        Answer { silent_after: Some(answer.body.len() / 2), ..answer }
    });
    let dir = tempfile::tempdir().expect("a directory");
    let request = SourceRequest::Git { url: server.url(""), reference: None, auth: GitAuth::default() };
    let clone = tokio::spawn(request.check_out_in_background(dir.path().join("checkout")));
    tokio::task::spawn_blocking(move || half_sent.recv()).await.expect("a thread").expect("half of a pack");
    clone.abort();
    let given_up = tokio::task::spawn_blocking(move || server.given_up.recv_timeout(Duration::from_secs(30)));
    given_up.await.expect("a thread").expect("the connection ends long before the silence does");
}

#[test]
fn what_a_server_makes_us_hold_has_limits() {
    let served = Served::new();
    let server = Server::start(move |request| {
        let mut answer = served.answer(request);
        let branches = (0..1000).map(|n| line(format!("{} refs/heads/{n}\n", served.commit).as_bytes()));
        let end = answer.body.len() - "0000".len();
        answer.body.splice(end..end, branches.flatten());
        answer
    });
    let refs = Limits { refs: 10_000, ..limits() };
    let host = server.host();
    assert_eq!(error(&server.url(""), refs), HttpError::TooManyRefs { host: host.clone(), limit: 10_000 });
    let question = Limits { question: 20, ..limits() };
    assert_eq!(error(&server.url(""), question), HttpError::TooLongQuestion { host, limit: 20 });
}

#[test]
fn what_is_no_git_server_is_called_so() {
    let server = Server::start(|request| match request.target.as_str() {
        target if target.contains("missing") => Answer::head("404 Not Found"),
        target if target.contains("broken") => Answer::head("502 Bad Gateway"),
        _ => Answer { body: b"<html>".to_vec(), ..Answer::head("200 OK\r\nContent-Type: text/html; charset=utf-8") },
    });
    let host = server.host();
    let html = HttpError::NotGit { host: host.clone(), found: "text/html".to_owned() };
    assert_eq!(error(&server.url(""), limits()), html);
    let missing = server.url("").replace("repo", "missing");
    assert_eq!(error(&missing, limits()), HttpError::NotFound { host: host.clone() });
    let broken = server.url("").replace("repo", "broken");
    assert_eq!(error(&broken, limits()), HttpError::Status { host, status: StatusCode::BAD_GATEWAY });
    let cut = Served::new();
    let server = Server::start(move |request| {
        let answer = cut.answer(request);
        let head = format!("{}\r\nContent-Encoding: identity", answer.head);
        Answer { head, body: answer.body[..answer.body.len() - 9].to_vec(), ..answer }
    });
    let (_dir, checkout) = cloned(&server.url(""), limits());
    assert!(matches!(checkout, Err(CheckoutError::Clone { .. })), "{checkout:?}");
}

#[test]
fn a_certificate_that_is_not_trusted_is_named_with_its_reason_and_its_remedy() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    provide_tls();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![cert.der().clone()], key.into()).expect("a configuration"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut server = rustls::ServerConnection::new(config).expect("a server");
        // The client leaves when it has seen the certificate.
        let _ = server.complete_io(&mut stream);
    });
    let (_dir, checkout) = cloned(&format!("https://user:s3cret@{host}/repo"), limits());
    let text = checkout.expect_err("not trusted").to_string();
    assert!(text.contains(&format!("the certificate of {host} is not trusted: it was issued by nobody")), "{text}");
    assert!(text.contains("SSL_CERT_FILE") && !text.contains("s3cret"), "{text}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let error = error(&format!("http://{host}/repo"), limits());
    assert!(matches!(&error, HttpError::Unreachable { host: named, .. } if *named == host), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn nothing_is_pushed() {
    let dir = tempfile::tempdir().expect("a directory");
    let repository = Repository::init(dir.path()).expect("a repository");
    let server = Server::start(|_| Answer::head("500 Not Reached"));
    let address = HttpAddress::parse(&server.url("")).expect("an address").expect("HTTP's");
    let fetch = Arc::new(Fetch::new(address, limits(), CancellationToken::new()).expect("a client"));
    let pushed = fetch.run(|| repository.remote_anonymous(&fetch.url())?.push(&["refs/heads/main"], None));
    assert!(pushed.expect("a transport").is_err());
    assert_eq!((fetch.error(), server.requests().len()), (Some(HttpError::Push), 0));
}
