//! Where things are inside the containers.
//!
//! These have to equal `monkeyci_engines::paths`, on which this crate can't depend; a test in the controller, which
//! sees both, compares them.

/// The volume that job and sidecar share.
pub const SHARED: &str = "/monkeyci";
/// The workspace, in the shared volume.
pub const WORKSPACE: &str = "/monkeyci/work";
/// The socket between launcher and sidecar, in the shared volume.
pub const LAUNCHER_SOCKET: &str = "/monkeyci/launcher.sock";
/// The launcher's program: a read-only file of the job's container.
pub const LAUNCHER: &str = "/monkeyci-launcher";
/// The sidecar's program, in its image.
pub const SIDECAR: &str = "/monkeyci-sidecar";
/// The sidecar's configuration file, read-only, in its container only.
pub const SIDECAR_CONFIG: &str = "/run/monkeyci/config.json";
/// The sidecar's variable with the services' addresses: `name=address`, separated by commas.
pub const SERVICES_ENV: &str = "MONKEYCI_SERVICES";
/// Where the job's container sees its own control group.
pub const CGROUP: &str = "/sys/fs/cgroup";
