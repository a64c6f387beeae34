//! What a stranger at a socket can do: nothing, for a short time. With the real listener, on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::ApiOverTcp;
use super::limits::SocketLimits;
use super::listen::Listener;
use super::peers::Peers;
use super::problem::Refusal;
use crate::hang_guard;

const LIMITS: SocketLimits = SocketLimits {
    connections: 2,
    handshake: Duration::from_millis(200),
    head_time: Duration::from_millis(200),
    head_bytes: 8 << 10,
    headers: 8,
    refused_body: Duration::from_millis(200),
};

fn router() -> Router {
    Router::new().route("/", get(async || "hello")).route("/", post(async |body: Bytes| body.len().to_string()))
}

/// A listener on loopback, and its address.
async fn listener(limits: SocketLimits) -> (Listener, std::net::SocketAddr) {
    listener_of(router(), limits).await
}

async fn listener_of(router: Router, limits: SocketLimits) -> (Listener, std::net::SocketAddr) {
    Listener::tcp_within("127.0.0.1:0".parse().expect("an address"), router, None, limits).await.expect("a socket")
}

/// Says something, and reads what comes until the other side has closed the connection.
async fn answer(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, said: &[u8]) -> String {
    // It may be closed before all is said.
    let _ = stream.write_all(said).await;
    let mut answer = Vec::new();
    let _ = hang_guard::ends("an answer", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn whoever_does_not_finish_a_head_is_let_go() {
    let (_listener, address) = listener(LIMITS).await;
    for said in [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\nx: "] {
        let stream = TcpStream::connect(address).await.expect("connected");
        let answer = answer(stream, said).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    // A connection that has been answered is let go too when nothing more comes.
    let stream = TcpStream::connect(address).await.expect("connected");
    let answer = answer(stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_request_may_take_longer_than_its_head() {
    let over = Arc::new(tokio::sync::Notify::new());
    let slow = over.clone();
    let router = router().route("/slow", get(async move || slow.notified().await));
    let (_listener, address) = listener_of(router, LIMITS).await;
    let mut body = TcpStream::connect(address).await.expect("connected");
    body.write_all(b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\nhalf ")
        .await
        .expect("said");
    let silent = async || answer(TcpStream::connect(address).await.expect("connected"), b"").await;
    // Meanwhile others are let go, one after the other: so much time has passed.
    for _ in 0..3 {
        silent().await;
    }
    let answered = answer(body, b"body!").await;
    assert!(answered.starts_with("HTTP/1.1 200") && answered.ends_with("10"), "{answered}");

    let waits = TcpStream::connect(address).await.expect("connected");
    let waiting = answer(waits, b"GET /slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let others = async {
        for _ in 0..3 {
            silent().await;
        }
        over.notify_one();
    };
    let (answered, ()) = tokio::join!(waiting, others);
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
}

#[tokio::test]
async fn a_head_that_is_too_large_or_has_too_many_headers_is_refused() {
    let (_listener, address) = listener(SocketLimits { head_time: Duration::from_secs(600), ..LIMITS }).await;
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(9 << 10));
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(9));
    for head in [long, many] {
        let stream = TcpStream::connect(address).await.expect("connected");
        let answer = answer(stream, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test]
async fn those_beyond_the_cap_wait_and_get_their_turn_when_silent_ones_are_let_go() {
    let (_listener, address) = listener(LIMITS).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.expect("connected"));
    }
    let stream = TcpStream::connect(address).await.expect("connected");
    let answer = answer(stream, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn no_more_connections_are_served_at_a_time_than_the_cap_says() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let served = most.clone();
    let count = async move || {
        served.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        now.fetch_sub(1, Ordering::SeqCst);
    };
    let limits = SocketLimits { head_time: Duration::from_secs(600), ..LIMITS };
    let (_listener, address) = listener_of(Router::new().route("/", get(count)), limits).await;
    let asked = (0..20).map(async |_| {
        let stream = TcpStream::connect(address).await.expect("connected");
        answer(stream, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await
    });
    for answer in futures::future::join_all(asked).await {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let most = most.load(Ordering::SeqCst);
    assert!((1..=LIMITS.connections).contains(&most), "{most} at a time");
}

#[tokio::test]
async fn whoever_still_sends_a_body_that_is_refused_learns_why() {
    let dir = tempfile::tempdir().expect("a directory");
    // A store that is full when a part of an artifact has come.
    let full = async |body: axum::body::Body| {
        let mut body = body.into_data_stream();
        for _ in 0..3 {
            body.next().await.expect("a piece").expect("read");
        }
        Err::<(), _>(Refusal::too_large("no room for this"))
    };
    let router = Router::new().route("/", post(full));
    let (_unix, (_tcp, address)) = (
        Listener::unix(dir.path(), "api.sock", router.clone()).expect("a socket"),
        Listener::tcp("127.0.0.1:0".parse().expect("an address"), router, None).await.expect("a socket"),
    );
    said_whole(UnixStream::connect(dir.path().join("api.sock")).await.expect("connected")).await;
    said_whole(TcpStream::connect(address).await.expect("connected")).await;
}

/// Sends a body that is refused after its first pieces, to its end, and reads the answer only then.
async fn said_whole(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    let body = vec![7; 16 << 20];
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.expect("the head is taken");
    stream.write_all(&body).await.expect("the whole body is taken");
    let answer = answer(stream, b"").await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("no room for this"), "{answer}");
}

#[tokio::test]
async fn whoever_sends_a_refused_body_for_ever_is_let_go() {
    let (_listener, address) = listener(LIMITS).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let head = b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000000\r\n\r\n";
    stream.write_all(head).await.expect("said");
    let endless = async { while stream.write_all(&[7; 4096]).await.is_ok() {} };
    hang_guard::ends("a body that nobody wants", endless).await;
}

#[tokio::test]
async fn a_unix_socket_answers_nobody_elses_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let own = rustix::process::geteuid().as_raw();
    for (name, peers, status) in [("mine", Peers::only(&[own]), 200), ("others", Peers::only(&[own + 1]), 403)] {
        let _listener = Listener::unix_for(dir.path(), name, router(), peers, LIMITS).expect("a socket");
        let stream = UnixStream::connect(dir.path().join(name)).await.expect("connected");
        let answer = answer(stream, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert_eq!(answer.contains(&format!("this socket is not for the user {own}")), status == 403, "{answer}");
    }
}

#[test]
fn tokens_go_over_no_network_in_the_clear_unless_somebody_says_that_it_is_their_own() {
    let tcp = |listen: &str, plain_network| ApiOverTcp {
        listen: listen.parse().expect("an address"),
        advertise: "host".to_owned(),
        plain_network,
    };
    for loopback in ["127.0.0.1:0", "[::1]:0", "127.8.8.8:80"] {
        assert!(!tcp(loopback, false).is_tls(), "{loopback}");
    }
    for open in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        assert!(tcp(open, false).is_tls() && !tcp(open, true).is_tls(), "{open}");
    }
}

#[test]
fn an_idle_connection_of_ours_is_closed_by_us_and_not_while_a_request_is_on_its_way() {
    assert!(monkeyci_api::IDLE * 2 < SocketLimits::of_build().head_time);
}
