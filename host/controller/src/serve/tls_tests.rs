//! The build API over TLS: who believes whom. With the real listener and the sidecar's client, on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use monkeyci_api::{Client, ClientError, Token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::limits::SocketLimits;
use super::listen::Listener;
use super::tls::{Authority, Unfit, make};
use super::{ApiOnNetwork, ApiOverTcp, ApiSockets};
use crate::hang_guard;
use crate::home::Home;

const BUILD: &str = "org/repo/1";

fn authority(kept: &str) -> Authority {
    Authority::vouching(kept, "127.0.0.1").expect("an authority")
}

/// A listener with TLS on loopback that takes whatever comes, and its address.
async fn listener(authority: &Authority, limits: SocketLimits) -> (Listener, SocketAddr) {
    let router = Router::new().fallback(async || ());
    let address = "127.0.0.1:0".parse().expect("an address");
    Listener::tcp_within(address, router, Some(authority.acceptor()), limits).await.expect("a socket")
}

async fn asks(address: &str, ca: Option<&str>) -> Result<(), ClientError> {
    let client = Client::connect(address, ca, BUILD, Token::new("secret".to_owned()))?;
    hang_guard::ends("an answer", client.job_running("test")).await
}

#[tokio::test]
async fn a_sidecar_speaks_with_whom_its_certificate_vouches_for_and_with_nobody_else() {
    let [kept, another] = [(); 2].map(|()| make().expect("made"));
    let ours = authority(&kept);
    let (_listener, address) = listener(&ours, SocketLimits::of_host()).await;
    let at = format!("https://{address}");
    asks(&at, Some(ours.certificate())).await.expect("served");
    // Another process of the same home has another key, and is believed as well.
    let (_next, next) = listener(&authority(&kept), SocketLimits::of_host()).await;
    asks(&format!("https://{next}"), Some(ours.certificate())).await.expect("served");

    let refused = asks(&at, Some(authority(&another).certificate())).await.expect_err("another's");
    assert!(matches!(&refused, ClientError::Unreachable(why) if why.contains("certificate")), "{refused}");
    // What the authority vouches for is a name: the same server by another one is nobody.
    let elsewhere = format!("https://localhost:{}", address.port());
    let refused = asks(&elsewhere, Some(ours.certificate())).await.expect_err("another name");
    assert!(matches!(&refused, ClientError::Unreachable(why) if why.contains("certificate")), "{refused}");
}

#[tokio::test]
async fn a_token_goes_nowhere_without_tls_where_there_is_to_be_some() {
    let ours = authority(&make().expect("made"));
    let (_listener, address) = listener(&ours, SocketLimits::of_host()).await;
    for (at, ca, words) in [
        (format!("https://{address}"), None, "no certificate comes with it"),
        (format!("http://{address}"), Some(ours.certificate()), "no address of TLS"),
        (format!("https://{address}"), Some("nothing"), "can't be read"),
    ] {
        let refused = asks(&at, ca).await.expect_err(words);
        assert!(matches!(&refused, ClientError::Malformed(why) if why.contains(words)), "{refused}");
    }
}

#[tokio::test]
async fn whoever_does_not_speak_tls_is_refused_and_told_nothing() {
    let ours = authority(&make().expect("made"));
    let (_listener, address) = listener(&ours, SocketLimits::of_host()).await;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.expect("said");
    let mut answer = Vec::new();
    let _ = hang_guard::ends("an end", stream.read_to_end(&mut answer)).await;
    // At most TLS's own word for it: a record of an alert.
    assert!(answer.len() <= 7 && !answer.starts_with(b"H"), "{answer:?}");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut_off_and_takes_nobodys_place_for_long() {
    let ours = authority(&make().expect("made"));
    let limits = SocketLimits { connections: 2, handshake: Duration::from_millis(200), ..SocketLimits::of_host() };
    let (_listener, address) = listener(&ours, limits).await;
    let mut silent = Vec::new();
    for said in [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x40\x00\x01"].repeat(5) {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(said).await.expect("said");
        silent.push(stream);
    }
    // On a busy machine, an honest one may be too slow for so short a limit as well; then it comes again.
    let served = async { while asks(&format!("https://{address}"), Some(ours.certificate())).await.is_err() {} };
    hang_guard::ends("who comes after them is served", served).await;
    for mut stream in silent {
        let mut answer = Vec::new();
        let _ = hang_guard::ends("an end", stream.read_to_end(&mut answer)).await;
    }
}

#[test]
fn an_authority_that_is_not_whole_and_a_name_that_is_none_are_told_apart() {
    let kept = make().expect("made");
    for name in ["10.0.0.1", "host.example", "::1", "[::1]"] {
        Authority::vouching(&kept, name).expect(name);
    }
    for name in ["", "a b", "[host]", "http://host", "host:80"] {
        assert_eq!(Authority::vouching(&kept, name).err(), Some(Unfit::Name), "{name}");
    }
    let cut = &kept[..kept.len() - 40];
    let no_certificate = kept.replacen("MII", "AAA", 1);
    for kept in ["", "-----BEGIN PRIVATE KEY-----", cut, &no_certificate] {
        assert!(matches!(Authority::vouching(kept, "host").err(), Some(Unfit::Kept(_))), "{kept}");
    }
}

#[test]
fn a_home_keeps_its_authority_so_that_sidecars_find_the_next_process() {
    let dir = tempfile::tempdir().expect("a directory");
    let sockets = |dir: &std::path::Path| {
        let home = Home::open(dir).expect("a home");
        let listen = "192.0.2.1:700".parse().expect("an address");
        let tcp = ApiOverTcp { listen, advertise: "host.example".to_owned(), plain_network: false };
        ApiSockets::new(Router::new(), Router::new(), Some(ApiOnNetwork::of(tcp, &home).expect("an authority")))
    };
    let first = sockets(dir.path());
    let kept = std::fs::read_to_string(dir.path().join("api-authority.pem")).expect("kept");
    let authority = Authority::vouching(&kept, "host.example").expect("whole");
    let at = "https://host.example:700";
    for sockets in [&first, &sockets(dir.path())] {
        assert!(sockets.is_at(at, Some(authority.certificate())));
        assert!(!sockets.is_at(at, None) && !sockets.is_at("http://host.example:700", Some(authority.certificate())));
    }
    let another = tempfile::tempdir().expect("a directory");
    assert!(!sockets(another.path()).is_at(at, Some(authority.certificate())));
    let mode = std::fs::metadata(dir.path().join("api-authority.pem")).expect("kept").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
}
