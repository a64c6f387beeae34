//! What a stranger gets at a socket of the build API before anybody reads what it sends.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::hang_guard;

/// A listener whose bodies may bring nothing for a moment only.
async fn listener(rig: &Rig) -> (Listener, std::net::SocketAddr) {
    let address = "127.0.0.1:0".parse().expect("an address");
    let silence = Duration::from_millis(100);
    Listener::tcp(address, socket_router(rig.api.clone(), silence), None).await.expect("a socket")
}

/// Says the head of a request and the beginning of its body, and reads the answer.
async fn answer(address: std::net::SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let said = format!("{head}host: x\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(said.as_bytes()).await.expect("said");
    let mut answer = Vec::new();
    let _ = hang_guard::ends("an answer", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn nothing_of_a_body_is_read_of_whoever_has_no_token_that_is_good() {
    let rig = Rig::new().await;
    let (_listener, address) = listener(&rig).await;
    let real = rig.token(sidecar(), sidecar_scopes());
    rig.api.build(BUILD).expect("a build");
    let over = rig.api.tokens.check(real.expose()).expect("valid").as_ref().clone();
    let over = rig.api.tokens.sign(&Claims { attempt: 7, ..over }).expect("signed");
    for (what, authorization) in [
        ("none", String::new()),
        ("forged", "authorization: Bearer e30.e30.e30\r\n".to_owned()),
        ("of another attempt", format!("authorization: Bearer {}\r\n", over.expose())),
    ] {
        // All of 16 MiB is announced, and nothing of it comes.
        let head = format!("POST /v1/builds/{BUILD}/jobs HTTP/1.1\r\n{authorization}content-length: 16777216\r\n");
        let answer = answer(address, &head, "").await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{what}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_brings_nothing_is_given_up_unless_it_is_a_log() {
    let rig = Rig::new().await;
    let (_listener, address) = listener(&rig).await;
    let token = rig.token(sidecar(), sidecar_scopes());
    let bearer = format!("authorization: Bearer {}\r\ncontent-length: 26\r\n", token.expose());
    let mut log = TcpStream::connect(address).await.expect("connected");
    let mut frame = bytes::BytesMut::new();
    LogFrame { stream: LogStream::Stdout, time_ms: 1, bytes: "hello, world!".into() }.encode(&mut frame);
    let head =
        format!("POST /v1/builds/{BUILD}/jobs/mine/logs HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{bearer}\r\n");
    log.write_all(head.as_bytes()).await.expect("said");
    log.write_all(&frame[..5]).await.expect("said");

    let head = format!("PUT /v1/builds/{BUILD}/artifacts/out HTTP/1.1\r\n{bearer}");
    let given_up = answer(address, &head, "half").await;
    assert!(given_up.starts_with("HTTP/1.1 400") && given_up.contains("nothing came for 0.1 s"), "{given_up}");

    log.write_all(&frame[5..]).await.expect("said");
    let mut taken = Vec::new();
    let _ = hang_guard::ends("the log", log.read_to_end(&mut taken)).await;
    let taken = String::from_utf8_lossy(&taken);
    assert!(taken.starts_with("HTTP/1.1 204"), "{taken}");
}

#[tokio::test]
async fn the_token_of_a_job_that_collects_two_thousand_artifacts_is_taken_by_a_socket() {
    let rig = Rig::new().await;
    let (_listener, address) = listener(&rig).await;
    let name =
        |n: usize| format!("artifact-of-a-job-with-quite-a-long-name-{n:06}-on-some-platform-or-other-with-features");
    let artifacts = (0..2000).map(|n| Scope::ArtifactRead(name(n)));
    let token = rig.token(sidecar(), sidecar_scopes().into_iter().chain(artifacts).collect());
    assert!(token.expose().len() > 256 << 10, "{}", token.expose().len());
    let client = Client::tcp(&format!("http://{address}"), BUILD, token).expect("a client");
    client.plan("mine").await.expect("an answer");
}
