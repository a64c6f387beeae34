//! Engines that are reached over TLS, and through ssh: the machine's own Docker, behind what the tests put before it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::StreamExt;
use monkeyci_host::{
    ApiOverTcp, Build, BuildRequest, BuildStatus, Compiler, DockerEngine, DockerOptions, DockerTls, EngineError,
    Hidden, Host, SessionOutput, ShellRequest, SourceRequest,
};
use monkeyci_tests::engine::Engine;
use monkeyci_tests::{hang_guard, place, warm};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// An authority of a test's own.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn vouch(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// Writes the files of a client, as `DOCKER_CERT_PATH` has them: whom this authority vouches for, and who believes `engines`.
    fn files(&self, dir: &Path, engines: &Self) -> DockerTls {
        let (certificate, key) = self.vouch("client", ExtendedKeyUsagePurpose::ClientAuth);
        for (name, text) in
            [("ca.pem", engines.certificate.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())]
        {
            std::fs::write(dir.join(name), text).expect("written");
        }
        DockerTls::in_dir(dir)
    }

    /// Puts TLS on loopback before an engine's socket, for clients that this authority vouches for.
    async fn serve(&self, socket: PathBuf) -> SocketAddr {
        let (certificate, key) = self.vouch("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth);
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(clients.build().expect("a verifier"))
            .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into());
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a configuration")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, socket) = (acceptor.clone(), socket.clone());
                tokio::spawn(async move {
                    // Strangers go away in the middle.
                    let Ok(mut client) = acceptor.accept(stream).await else { return };
                    let mut engine = UnixStream::connect(socket).await.expect("the engine");
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
                });
            }
        });
        address
    }
}

fn socket(engine: &Engine) -> PathBuf {
    engine.address.trim_start_matches("unix://").into()
}

/// Runs a build whose two container jobs hand an artifact on, by an engine that is reached so; sidecars reach the host over TLS.
fn builds(runtime: &Runtime, docker: DockerOptions, engine: &Engine) {
    let (home, code) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    warm::fill(home.path());
    let address = engine.gateway();
    let listen = format!("{address}:0").parse().expect("an address");
    let tcp = ApiOverTcp { listen, advertise: address, plain_network: false };
    runtime.block_on(async {
        let host = Host::builder(home.path()).docker(docker).compiler(Compiler::InProcess).tcp(tcp);
        let host = host.sidecar_program(place::sidecar()).open().await.expect("a host");
        let script = std::fs::read(place::script("probe_script")).expect("the script");
        let request = BuildRequest::new(script, SourceRequest::Dir(code.path().to_owned()));
        let request = request.param("case", "artifact").param("image", place::image());
        let report = host.submit(request).await.expect("taken").wait().await.expect("a report");
        assert_eq!(report.status, BuildStatus::Success, "{report:#?}");
    });
    let owner = std::fs::read_to_string(home.path().join("owner")).expect("an owner");
    assert_eq!(engine.leftovers(&owner), [] as [String; 0]);
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

#[test]
fn jobs_run_by_an_engine_over_tls_that_asks_who_comes() {
    let engine = Engine::docker();
    let dir = TempDir::new().expect("a directory");
    let (runtime, authority) = (runtime(), Authority::new());
    let address = runtime.block_on(authority.serve(socket(&engine)));
    let tls = Some(authority.files(dir.path(), &authority));
    let options = DockerOptions { socket: Some(format!("tcp://{address}")), tls, ..DockerOptions::default() };
    builds(&runtime, options, &engine);
}

#[test]
fn an_engine_over_tls_is_nobody_unless_both_sides_know_each_other() {
    let engine = Engine::docker();
    runtime().block_on(async {
        let (ours, another) = (Authority::new(), Authority::new());
        let address = ours.serve(socket(&engine)).await;
        let dir = || TempDir::new().expect("a directory");
        let refused = async |socket: String, tls: DockerTls| {
            let options = DockerOptions { socket: Some(socket), tls: Some(tls), ..DockerOptions::default() };
            DockerEngine::connect(options).await.expect_err("refused")
        };
        let at = format!("tcp://{address}");
        let dirs = [dir(), dir(), dir(), dir()];
        let stranger = refused(at.clone(), ours.files(dirs[0].path(), &another)).await.to_string();
        assert!(stranger.contains("invalid peer certificate"), "{stranger}");
        let elsewhere = format!("tcp://localhost:{}", address.port());
        let misnamed = refused(elsewhere, ours.files(dirs[1].path(), &ours)).await.to_string();
        assert!(misnamed.contains("invalid peer certificate"), "{misnamed}");
        let unknown = another.files(dirs[2].path(), &ours);
        let nameless = DockerTls { client: None, ..unknown.clone() };
        for tls in [unknown, nameless] {
            // The other side says no when all seems well on this one: its word may come, or only the end of the connection.
            hang_guard::until_async("the other side's word", async || {
                refused(at.clone(), tls.clone()).await.to_string().contains("received fatal alert")
            })
            .await;
        }

        // What is missing, and what does not belong together, is a file.
        let whole = ours.files(dirs[3].path(), &ours);
        let key = dirs[3].path().join("key.pem");
        std::fs::write(&key, KeyPair::generate().expect("a key").serialize_pem()).expect("written");
        let mixed = refused(at.clone(), whole).await;
        assert!(matches!(&mixed, EngineError::Settings(error) if error.to_string().contains("key.pem")), "{mixed}");
        std::fs::remove_file(&key).expect("removed");
        for (name, tls) in
            [("key.pem", DockerTls::in_dir(dirs[3].path())), ("ca.pem", DockerTls::in_dir(Path::new("nowhere")))]
        {
            let missing = refused(at.clone(), tls).await;
            assert!(matches!(&missing, EngineError::Settings(error) if error.to_string().contains(name)), "{missing}");
        }
    });
}

/// What stands in for ssh, and is connected with an engine.
struct Ssh(TempDir);

impl Ssh {
    fn to(engine: &Engine) -> Self {
        // Beside the program: there it can have another name.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        std::fs::hard_link(env!("CARGO_BIN_EXE_dial-stdio"), dir.path().join("ssh")).expect("a link");
        std::fs::write(dir.path().join("socket"), socket(engine).display().to_string()).expect("written");
        Self(dir)
    }

    fn options(&self, address: &str) -> DockerOptions {
        DockerOptions { socket: Some(address.to_owned()), ssh: self.0.path().join("ssh"), ..DockerOptions::default() }
    }

    /// What it was told each time.
    fn told(&self) -> Vec<Vec<String>> {
        let told = std::fs::read_to_string(self.0.path().join("arguments")).unwrap_or_default();
        told.split_terminator("\n\n").map(|told| told.lines().map(str::to_owned).collect()).collect()
    }
}

#[test]
fn jobs_run_by_an_engine_behind_ssh() {
    let engine = Engine::docker();
    let ssh = Ssh::to(&engine);
    builds(&runtime(), ssh.options("ssh://ann@far.example:2222/run/other.sock"), &engine);
    let told = ssh.told();
    assert!(!told.is_empty());
    for words in told {
        let end = ["-p", "2222", "--", "ann@far.example", "docker --host 'unix:///run/other.sock' system dial-stdio"];
        assert!(words.ends_with(&end.map(str::to_owned)), "{words:?}");
        assert!(words.starts_with(&["-o", "BatchMode=yes"].map(str::to_owned)), "{words:?}");
    }
}

/// What a program in the kept job `broken` says; with the secrets of the job and its services, if they are given.
async fn inside(build: &Build, secrets: &[(&str, &str)], keep: bool) -> String {
    let mut request = ShellRequest::new("broken").command(["wget", "-q", "-O", "-", "http://web:8080/key"]);
    (request.keep, request.with_secrets) = (keep, !secrets.is_empty());
    let secret = |(name, value): &(&str, &str)| ((*name).to_owned(), Hidden(value.as_bytes().to_vec()));
    request.inputs.secrets = secrets.iter().map(secret).collect();
    let mut shell = build.shell(request, &|_| ()).await.expect("it is entered");
    let mut said = Vec::new();
    while let Some(part) = shell.session.output.next().await {
        match part.expect("the engine goes on") {
            SessionOutput::Stdout(bytes) | SessionOutput::Stderr(bytes) => said.extend(bytes),
        }
    }
    assert_eq!(shell.end().await.expect("an end").0, 0);
    String::from_utf8(said).expect("text")
}

#[test]
fn services_of_a_kept_job_on_another_machine_have_their_secrets_while_somebody_gives_them_and_not_longer() {
    let engine = Engine::docker();
    let ssh = Ssh::to(&engine);
    let (home, code) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    std::fs::create_dir(code.path().join("sub")).expect("made");
    std::fs::write(code.path().join("sub/file"), "").expect("written");
    warm::fill(home.path());
    let address = engine.gateway();
    let listen = format!("{address}:0").parse().expect("an address");
    let tcp = ApiOverTcp { listen, advertise: address, plain_network: false };
    runtime().block_on(async {
        let host = Host::builder(home.path()).docker(ssh.options("ssh://ann@far")).compiler(Compiler::InProcess);
        let host = host.tcp(tcp).sidecar_program(place::sidecar()).open().await.expect("a host");
        let script = std::fs::read(place::script("probe_script")).expect("the script");
        let request = BuildRequest::new(script, SourceRequest::Dir(code.path().to_owned()));
        let secrets = [("token", "hunter22"), ("key", "s3sam3")];
        let mut request = secrets.into_iter().fold(request, |request, (name, value)| request.secret(name, value));
        request.keep_failed = true;
        let request = request.param("case", "inside").param("image", place::image());
        let build = host.submit(request).await.expect("taken");
        let report = build.wait().await.expect("a report");
        assert_eq!(report.status, BuildStatus::Failure, "{report:#?}");
        assert_eq!(inside(&build, &[], true).await, "\n");
        assert_eq!(inside(&build, &secrets, true).await, "3mas3s\n");
        assert_eq!(inside(&build, &[], false).await, "\n");
    });
    let owner = std::fs::read_to_string(home.path().join("owner")).expect("an owner");
    assert_eq!(engine.leftovers(&owner), [] as [String; 0]);
}

#[test]
fn what_ssh_says_when_it_fails_is_told_and_so_is_that_there_is_none() {
    let engine = Engine::docker();
    let ssh = Ssh::to(&engine);
    let said = "ann@far: Permission denied (publickey).";
    std::fs::write(ssh.0.path().join("refusal"), said).expect("written");
    runtime().block_on(async {
        let error = DockerEngine::connect(ssh.options("ssh://ann@far")).await.expect_err("refused").to_string();
        assert!(error.contains(said) && error.contains("`ssh ann@far docker version`"), "{error}");
        let options = DockerOptions { ssh: "/no/such/ssh".into(), ..ssh.options("ssh://ann@far") };
        let error = DockerEngine::connect(options).await.expect_err("refused").to_string();
        assert!(error.contains("/no/such/ssh can't be run") && error.contains("install OpenSSH's client"), "{error}");
    });
}

#[test]
fn a_job_on_another_machine_is_refused_where_the_build_api_has_no_address_and_told_what_to_do() {
    let engine = Engine::docker();
    let ssh = Ssh::to(&engine);
    let (home, code) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    warm::fill(home.path());
    runtime().block_on(async {
        let host = Host::builder(home.path()).docker(ssh.options("ssh://far")).compiler(Compiler::InProcess);
        let host = host.sidecar_program(place::sidecar()).open().await.expect("a host");
        let script = std::fs::read(place::script("probe_script")).expect("the script");
        let request = BuildRequest::new(script, SourceRequest::Dir(code.path().to_owned()));
        let request = request.param("case", "hello").param("image", place::image());
        let report = host.submit(request).await.expect("taken").wait().await.expect("a report");
        let told = format!("{report:?}");
        assert!(report.status != BuildStatus::Success && told.contains("--api-address IP"), "{told}");
    });
}
