//! The guard: what the job's container and the services' begin as. See the sidecar's crate for what it does.

use std::path::Path;

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig};
use monkeyci_api::{GuardOrders, paths};

use super::container::bind;
use super::fence::Fence;
use super::image::ImageFacts;
use super::raw::Inspected;
use crate::{EngineError, Pod, PodService};

/// What the guard needs, and what it gives up before any other program runs.
const NET_ADMIN: &str = "NET_ADMIN";

/// The user that containers are started as: the guard needs to be root.
const ROOT: &str = "0";

/// The user that the guard becomes: the one asked for, or the image's own; none for root. It finds out who that is in the
/// container's files, as the engine would.
fn becomes(asked: Option<&str>, image: &ImageFacts) -> Option<String> {
    let user = asked.or(image.user.as_deref()).unwrap_or_default();
    let is_root = matches!(user, "" | "0" | "root" | "0:0" | "0:root" | "root:0" | "root:root");
    (!is_root).then(|| user.to_owned())
}

/// Makes a container of this image begin as the guard, which then becomes `program`, as the user that the body asks for, with the
/// variables in the file `env` of this machine beside the container's own.
pub(super) fn guard(
    body: ContainerCreateBody,
    pod: &Pod,
    image: &ImageFacts,
    fence: &Fence,
    env: Option<&Path>,
    program: Vec<String>,
) -> ContainerCreateBody {
    let host_config = body.host_config.unwrap_or_default();
    let mut mounts = host_config.mounts.unwrap_or_default();
    mounts.push(bind(&pod.guard_program, paths::GUARD));
    mounts.extend(env.map(|file| bind(file, paths::SERVICE_ENV)));
    let mut added = host_config.cap_add.unwrap_or_default();
    if fence.rules.is_some() {
        added.push(NET_ADMIN.to_owned());
    }
    let mut hosts = host_config.extra_hosts.unwrap_or_default();
    hosts.extend(fence.hosts.iter().map(|(name, address)| format!("{name}:{address}")));
    let sets_home = body.env.iter().flatten().any(|variable| variable.starts_with("HOME="));
    let orders = GuardOrders {
        network: fence.rules.clone(),
        user: becomes(body.user.as_deref(), image),
        set_home: !image.has_home && !sets_home,
        env: env.map(|_| paths::SERVICE_ENV.to_owned()),
        handed: false,
    };
    ContainerCreateBody {
        user: Some(ROOT.to_owned()),
        entrypoint: Some(command(&orders, program)),
        cmd: Some(Vec::new()),
        // An image's check would run in the container with the guard's rights, as root whoever the image's user is, and for as
        // long as the job does. (Nobody waits for it: services have ready ports and ready commands, which their script can take
        // from the image's check; and a job's image is checked for a program that we don't start.)
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        host_config: Some(HostConfig {
            mounts: Some(mounts),
            cap_add: Some(added),
            extra_hosts: Some(hosts),
            dns: fence.dns.clone(),
            ..host_config
        }),
        ..body
    }
}

/// The orders for further programs in a service's container.
pub(super) fn of_service(pod: &Pod, image: &ImageFacts, service: &PodService) -> GuardOrders {
    let set_home = !image.has_home && !service.env.contains_key("HOME");
    let env = pod.service_env.get(&service.name).map(|_| paths::SERVICE_ENV.to_owned());
    GuardOrders { user: becomes(None, image), set_home, env, ..GuardOrders::default() }
}

/// The orders that a container's guard began with: a further program in there has its user, and how that one gets it, from them.
///
/// # Errors
/// When it did not begin as the guard, or as one whose orders can't be read. Without them, the program would run as root.
pub(super) fn began_with(found: Option<&Inspected>, name: &str) -> Result<GuardOrders, EngineError> {
    found.and_then(Inspected::guard_orders).ok_or_else(|| EngineError::Refused {
        what: format!("run a program in container {name}"),
        reason: "it did not begin as the guard, or the guard's orders can't be read".to_owned(),
    })
}

/// A further program in a container that began with these orders: it gets the container's rights from the engine, so the guard's too, and
/// has to give them up as well. The network is fenced in.
pub(super) fn further(orders: &GuardOrders, program: &[String]) -> Vec<String> {
    command(&GuardOrders { network: None, ..orders.clone() }, program.to_vec())
}

/// The same, with a program that is handed over.
pub(super) fn handed(orders: &GuardOrders) -> Vec<String> {
    command(&GuardOrders { network: None, handed: true, ..orders.clone() }, Vec::new())
}

fn command(orders: &GuardOrders, program: Vec<String>) -> Vec<String> {
    // Maps of texts and numbers always become JSON.
    let orders = serde_json::to_string(orders).unwrap_or_default();
    [paths::GUARD.to_owned(), "guard".to_owned(), orders].into_iter().chain(program).collect()
}

/// Whether words say that the guard did not find the program that it was to become.
pub(super) fn is_missing_program(words: &str) -> bool {
    words.contains("monkeyci guard: can't run ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_its_images_user_unless_another_is_asked_for() {
        let becomes = |asked, image: Option<&str>| {
            super::becomes(asked, &ImageFacts { user: image.map(str::to_owned), ..ImageFacts::default() })
        };
        assert_eq!(becomes(None, None), None);
        assert_eq!(becomes(None, Some("")), None);
        assert_eq!(becomes(None, Some("postgres")), Some("postgres".to_owned()));
        assert_eq!(becomes(Some("1000:1000"), Some("postgres")), Some("1000:1000".to_owned()));
        assert_eq!(becomes(Some("root"), Some("postgres")), None);
        assert_eq!(becomes(Some("0:5"), None), Some("0:5".to_owned()));
    }
}
