//! Finding an engine: which addresses are tried, and what answers there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::SystemVersion;
use monkeyci_api::networks::POD_NETWORKS;
use monkeyci_build::AddressRange;

use super::certificates::DockerTls;
use super::context::{self, Variables};
use super::endpoint::Candidate;
use super::fault::said;
use crate::{EngineError, EngineSettingsError};

/// How long an address may take to answer when several are tried. A local daemon does so within milliseconds.
const PING: Duration = Duration::from_secs(4);

/// How the docker engine is found and used.
#[derive(Clone, Debug)]
pub struct DockerOptions {
    /// Where it listens: `unix:///path`, `tcp://host:port`, `http://host:port` or `ssh://user@host:port/path`. None searches for one.
    pub socket: Option<String>,
    /// Which engines are searched for where `socket` is none.
    pub search: EngineSearch,
    /// The files for TLS to the engine at a `tcp://` address. None takes those that `DOCKER_CERT_PATH` names where
    /// `DOCKER_TLS_VERIFY` is set, and else there is no TLS.
    pub tls: Option<DockerTls>,
    /// The program that makes the connections to an engine at an `ssh://` address.
    pub ssh: PathBuf,
    /// How long the engine at `socket` may take to say what it is: its daemon may be just starting.
    pub answer: Duration,
    /// How long a request may take, in whole seconds; not one that waits for the end of a container, nor a pull.
    pub request: Duration,
    /// An image's registry that has not said a word for this long is given up: it counts as out of reach, and its image may well be
    /// there.
    pub pull_answer: Duration,
    /// A pull that has begun and reports no progress for this long is given up. Engines are silent while they check or
    /// unpack a large layer, so this is much longer.
    pub pull_stall: Duration,
    /// A file with logins at registries, as `docker login` writes it; it is read at each pull. Whatever its registries let its
    /// owner have, any job may name as its image then.
    pub registry_auth: Option<PathBuf>,
    /// Private networks that jobs may be let reach, if they ask for it. None of them without: scripts are not to be trusted.
    pub permitted_networks: Vec<AddressRange>,
    /// What the networks of pods are taken from. All hosts of a machine should have the same range: a job reaches none of it but its
    /// own pod's network. At least 64 addresses of version 4.
    pub pod_networks: AddressRange,
    /// Whether jobs and services run without the fence round their network, on a machine that can't make one.
    pub network_fence: NetworkFence,
}

/// What is done about a network that can't be fenced in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkFence {
    /// No job runs without a fence: one that can't have it ends before it starts.
    #[default]
    Required,
    /// Nobody gets one. A job reaches whatever the engine's networks lead to; one that wants that narrowed is refused.
    Off,
}

/// Which engines are searched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineSearch {
    /// The one that the docker command would speak with or that `CONTAINER_HOST` names. Where none is named, the usual sockets of Docker
    /// and Podman, of the machine and of the user.
    #[default]
    Any,
    /// The one that the docker command would speak with: that of `DOCKER_HOST`, else of the context in `DOCKER_CONTEXT`, else of the
    /// current context, else at Docker's usual socket.
    Docker,
}

impl Default for DockerOptions {
    fn default() -> Self {
        Self {
            socket: None,
            search: EngineSearch::Any,
            tls: None,
            ssh: "ssh".into(),
            answer: Duration::from_secs(15),
            request: Duration::from_secs(120),
            pull_answer: Duration::from_secs(8),
            pull_stall: Duration::from_secs(90),
            registry_auth: None,
            permitted_networks: Vec::new(),
            pod_networks: POD_NETWORKS,
            network_fence: NetworkFence::Required,
        }
    }
}

/// What answers at the other end. The two speak one API and differ at its edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Docker,
    Podman {
        /// Where Podman's own API begins: `/v4.3.1/libpod`.
        own_api: String,
    },
}

/// An engine that answers.
pub(super) struct Found {
    pub(super) docker: Docker,
    pub(super) dialect: Dialect,
    /// Whether it runs on another machine.
    pub(super) is_elsewhere: bool,
    /// Name and version for people.
    pub(super) name: String,
}

/// Finds the first engine that answers.
pub(super) async fn find(options: &DockerOptions) -> Result<Found, EngineError> {
    let (candidates, patience) = candidates(options, &of_process)?;
    let mut tried = Vec::new();
    for candidate in candidates {
        let docker = candidate.client(options.request.as_secs().max(1), &options.ssh)?;
        match probe(docker, &candidate, patience).await {
            Ok(found) => return Ok(found),
            Err(reason) => tried.push(format!("{} ({}): {reason}", candidate.address, candidate.origin)),
        }
    }
    Err(EngineError::NotFound { tried: tried.join("; ") })
}

/// What is tried, and how long each may take to answer.
pub(super) fn candidates(
    options: &DockerOptions,
    variable: Variables<'_>,
) -> Result<(Vec<Candidate>, Duration), EngineSettingsError> {
    let named = match (&options.socket, &options.tls, options.search) {
        (Some(socket), None, _) => Some(Candidate::of(socket.clone(), ASKED, variable)?),
        (Some(socket), tls, _) => {
            Some(Candidate { address: socket.clone(), origin: ASKED.to_owned(), tls: tls.clone() })
        }
        (None, _, EngineSearch::Any) => named(variable)?,
        (None, _, EngineSearch::Docker) => {
            let usual = || Candidate::plain(DOCKERS_SOCKET.to_owned(), "Docker");
            Some(context::of_docker(variable)?.unwrap_or_else(usual))
        }
    };
    Ok(match named {
        Some(candidate) => (vec![candidate], options.answer),
        None => (usual(variable), PING),
    })
}

/// Who has named the engine of [`DockerOptions::socket`].
const ASKED: &str = "as asked";

/// Where Docker listens unless it is told otherwise.
const DOCKERS_SOCKET: &str = "unix:///var/run/docker.sock";

/// A variable of this process that says something.
fn of_process(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl DockerOptions {
    /// Searches for [`EngineSearch::Docker`].
    ///
    /// # Errors
    /// When a context or what it names can't be read: now, and not only when somebody connects.
    pub fn docker() -> Result<Self, EngineSettingsError> {
        let options = Self { search: EngineSearch::Docker, ..Self::default() };
        candidates(&options, &of_process).map(|_| options)
    }
}

/// The engine that is named somewhere: whoever does so means that one and no other. A variable counts before a file.
fn named(variable: Variables<'_>) -> Result<Option<Candidate>, EngineSettingsError> {
    if let Some(candidate) = context::of_variables(variable)? {
        return Ok(Some(candidate));
    }
    match variable("CONTAINER_HOST") {
        Some(address) => Ok(Some(Candidate::plain(address, "CONTAINER_HOST"))),
        None => context::of_configuration(variable),
    }
}

/// The usual addresses, in order, each once.
fn usual(variable: Variables<'_>) -> Vec<Candidate> {
    let run = variable("XDG_RUNTIME_DIR");
    let in_run = |path: &str| run.as_ref().map(|run| format!("unix://{run}/{path}"));
    let usual = [
        (Some(DOCKERS_SOCKET.to_owned()), "Docker"),
        (in_run("podman/podman.sock"), "the user's Podman"),
        (in_run("docker.sock"), "the user's Docker"),
        (Some("unix:///run/podman/podman.sock".to_owned()), "Podman"),
    ];
    let mut seen = BTreeSet::new();
    usual
        .into_iter()
        .filter_map(|(address, origin)| Some(Candidate::plain(address?, origin)))
        .filter(|candidate| seen.insert(candidate.address.clone()))
        .collect()
}

/// Asks who is there; says why not when nobody is.
async fn probe(docker: Result<Docker, Error>, at: &Candidate, patience: Duration) -> Result<Found, String> {
    let docker = docker.map_err(|error| match error {
        Error::SocketNotFoundError(_) => "no such socket".to_owned(),
        other => said(&other),
    })?;
    let answer = async {
        let docker = docker.negotiate_version().await?;
        let version = docker.version().await?;
        Ok::<_, Error>((docker, version))
    };
    let (docker, version) = tokio::time::timeout(patience, answer)
        .await
        .map_err(|_| format!("no answer within {} s", patience.as_secs()))?
        .map_err(|error| with_remedy(said(&error)))?;
    let dialect = dialect(&version);
    Ok(Found { docker, is_elsewhere: at.is_elsewhere(), name: describe(&dialect, &version), dialect })
}

/// Adds to what the system says of a socket what to do about it: on a new machine, the user is in no group that may use Docker's.
fn with_remedy(said: String) -> String {
    if !said.to_ascii_lowercase().contains("permission denied") {
        return said;
    }
    format!(
        "{said}; this user may not use it: have them added to the socket's group (`sudo usermod -aG docker $USER`) and log in again, \
         or use the user's own Podman with --engine podman"
    )
}

fn dialect(version: &SystemVersion) -> Dialect {
    let mut components = version.components.iter().flatten();
    match components.find(|part| part.name.starts_with("Podman")) {
        Some(podman) => Dialect::Podman { own_api: format!("/v{}/libpod", plain(&podman.version)) },
        None => Dialect::Docker,
    }
}

fn describe(dialect: &Dialect, version: &SystemVersion) -> String {
    let name = match dialect {
        Dialect::Docker => "docker",
        Dialect::Podman { .. } => "podman",
    };
    format!("{name} {}", version.version.as_deref().map_or("of unknown version", plain))
}

/// A version without what distributions append: 20.10.24+dfsg1.
fn plain(version: &str) -> &str {
    version.split(['+', '~']).next().unwrap_or(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_this_user_may_not_use_is_told_with_the_remedy() {
        let said = with_remedy("client error (Connect): Permission denied (os error 13)".to_owned());
        assert!(said.contains("usermod -aG docker"), "{said}");
        assert_eq!(with_remedy("connection refused".to_owned()), "connection refused");
    }

    fn addresses(variable: impl Fn(&str) -> Option<&'static str>) -> Vec<String> {
        let variable = |name: &str| variable(name).map(str::to_owned);
        let found = named(&variable).expect("no file").map_or_else(|| usual(&variable), |candidate| vec![candidate]);
        found.into_iter().map(|candidate| candidate.address).collect()
    }

    #[test]
    fn a_variable_names_the_one_engine_that_counts() {
        let both = |name: &str| match name {
            "DOCKER_HOST" => Some("tcp://10.0.0.1:2375"),
            "CONTAINER_HOST" => Some("unix:///podman.sock"),
            _ => None,
        };
        assert_eq!(addresses(both), ["tcp://10.0.0.1:2375"]);
        assert_eq!(addresses(|name| both(name).filter(|_| name != "DOCKER_HOST")), ["unix:///podman.sock"]);
    }

    #[test]
    fn without_a_variable_the_usual_sockets_are_tried_and_none_twice() {
        assert_eq!(
            addresses(|name| (name == "XDG_RUNTIME_DIR").then_some("/var/run")),
            ["unix:///var/run/docker.sock", "unix:///var/run/podman/podman.sock", "unix:///run/podman/podman.sock"]
        );
    }

    #[tokio::test]
    async fn an_address_without_an_engine_is_named_with_the_reason() {
        for (socket, reason) in [
            ("unix:///nowhere/docker.sock", "unix:///nowhere/docker.sock (as asked): no such socket"),
            (
                "npipe:////./pipe/docker",
                "only unix:///path, tcp://host:port, http://host:port and ssh://user@host work here",
            ),
            ("http://127.0.0.1:1", "refused"),
        ] {
            let options = DockerOptions { socket: Some(socket.to_owned()), ..DockerOptions::default() };
            let error = find(&options).await.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn podman_shows_itself_in_the_components() {
        let version: SystemVersion =
            serde_json::from_str(r#"{"Components":[{"Name":"Podman Engine","Version":"4.3.1"}],"Version":"4.3.1"}"#)
                .expect("an answer of Podman");
        assert_eq!(describe(&dialect(&version), &version), "podman 4.3.1");
        assert_eq!(dialect(&version), Dialect::Podman { own_api: "/v4.3.1/libpod".to_owned() });
        let version = SystemVersion { version: Some("20.10.24+dfsg1".to_owned()), ..SystemVersion::default() };
        assert_eq!(describe(&dialect(&version), &version), "docker 20.10.24");
    }
}
