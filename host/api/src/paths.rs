//! Where things are inside the containers of a job: what the controller, the engines, the sidecar and the launcher agree
//! upon.

/// The volume that job and sidecar share.
pub const SHARED: &str = "/monkeyci";
/// The workspace, in the shared volume.
pub const WORKSPACE: &str = "/monkeyci/work";
/// The socket between launcher and sidecar, in the shared volume.
pub const LAUNCHER_SOCKET: &str = "/monkeyci/launcher.sock";
/// The launcher's program: a read-only file of the job's container.
pub const LAUNCHER: &str = "/monkeyci-launcher";
/// The guard's program: a read-only file of the containers that it guards.
pub const GUARD: &str = "/monkeyci-guard";
/// The file with variables that are secrets: read-only, in the containers of services that have some.
pub const SERVICE_ENV: &str = "/monkeyci-env";
/// The sidecar's program, in its image.
pub const SIDECAR: &str = "/monkeyci-sidecar";
/// The sidecar's configuration file, read-only, in its container only.
pub const SIDECAR_CONFIG: &str = "/run/monkeyci/config.json";
/// The directory with the build API's socket, in the sidecar's container only.
pub const API_DIR: &str = "/run/monkeyci-api";
/// The build API's socket, as the sidecar sees it.
pub const API_SOCKET: &str = "/run/monkeyci-api/api.sock";
/// The sidecar's variable with the services' addresses: `name=address`, separated by commas.
pub const SERVICES_ENV: &str = "MONKEYCI_SERVICES";
/// The directory with files for the job that are no part of its workspace, in the shared volume.
pub const JOB_FILES: &str = "/monkeyci/files";
/// The file in which a job exposes its outputs, in the shared volume.
pub const OUTPUTS: &str = "/monkeyci/outputs";
/// The job's variable with the path of [`OUTPUTS`].
pub const OUTPUTS_ENV: &str = "MONKEYCI_OUTPUTS";
