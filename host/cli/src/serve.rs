//! `monkeyci-host serve`

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use monkeyci_controller::{Shutdown, Silent, Upkeep};
use monkeyci_server::{CLOSING, HttpServer, KeyError, MasterKey, Server, ServerBuilder, ServerError};
use tokio::net::TcpListener;

use crate::Done;
use crate::args::ServeArgs;
use crate::exit::Exit;
use crate::setup;
use crate::signals::Signals;
use crate::text::print_line;

/// The variable that the master key may stand in.
const MASTER_KEY: &str = "MONKEYCI_MASTER_KEY";

/// Serves the public API until a signal comes.
pub async fn serve(args: ServeArgs) -> Done {
    let infrastructure = |error: anyhow::Error| (Exit::Infrastructure, error);
    if !args.listen.ip().is_loopback() && !args.plain_network {
        return Err((
            Exit::Usage,
            anyhow!(
                "{} is an address that others reach, and tokens would go over it without TLS: listen on 127.0.0.1 behind a proxy that \
                 brings TLS, or say --plain-network if nobody else is on that network",
                args.listen
            ),
        ));
    }
    let git_auth = setup::git_auth(&args.git_auth)?;
    let mut signals =
        Signals::take().map_err(|error| infrastructure(anyhow!(error).context("signals can't be handled")))?;
    // Before the home is opened: who can't listen goes on with nothing.
    let socket = TcpListener::bind(args.listen).await;
    let socket = socket
        .with_context(|| format!("{} can't be listened on; name another address with --listen", args.listen))
        .map_err(infrastructure)?;
    let address = socket.local_addr().context("the address is not known").map_err(infrastructure)?;
    let host = setup::builder(&args.stores(), &args.engine, Arc::new(Silent))?;
    let mut server = Server::builder(host.upkeep(Upkeep::default())).git_auth(git_auth).new_token(args.new_token);
    server = keys(&args, server)?;
    if let Some(builds) = args.builds {
        server = server.at_once(builds);
    }
    let server = server.open().await.map_err(|error| match error {
        ServerError::Taken { .. } | ServerError::Key(_) | ServerError::WrongKey { .. } | ServerError::NoKey { .. } => {
            (Exit::Usage, error.into())
        }
        ServerError::Host(error) => setup::not_opened(error),
        error => infrastructure(error.into()),
    })?;
    let host = server.host().clone();
    let http = HttpServer::on(socket, server.router());
    print_line(&format!("listening on http://{address}, with {} for its data", host.home().display()));
    if let Some(token) = server.first_token() {
        print_line(&format!("a token for everything, shown this once: {token}"));
    }
    signals.next().await;
    print_line("shutting down: once more to end at once");
    tokio::spawn(signals.end_the_process(Duration::ZERO));
    // Streams first: whatever serves them waits for their ends.
    server.close();
    let report = host.shutdown(Shutdown::Leave, CLOSING).await;
    http.close(CLOSING).await;
    match report.left.len() {
        0 => {}
        1 => print_line("a build goes on when the server is started again"),
        left => print_line(&format!("{left} builds go on when the server is started again")),
    }
    Ok(Exit::Success)
}

/// Which key the server's values are sealed with, as the command line or the environment says it.
fn keys(args: &ServeArgs, server: ServerBuilder) -> Result<ServerBuilder, (Exit, anyhow::Error)> {
    let usage = |error: KeyError| (Exit::Usage, error.into());
    let mut server = server.rotate_master_key(args.rotate_master_key);
    if let Some(path) = &args.master_key {
        server = server.master_key(MasterKey::read(path).map_err(usage)?);
    } else if let Ok(key) = std::env::var(MASTER_KEY) {
        if args.rotate_master_key {
            return Err((
                Exit::Usage,
                anyhow!(
                    "{MASTER_KEY} is the key: draw another one yourself, and name the file of this one with --master-key-before"
                ),
            ));
        }
        server = server.master_key(MasterKey::parse(&key, format!("the variable {MASTER_KEY}")).map_err(usage)?);
    }
    if let Some(path) = &args.master_key_before {
        server = server.master_key_before(MasterKey::read(path).map_err(usage)?);
    }
    Ok(server)
}
