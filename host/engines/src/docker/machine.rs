//! What an engine says of the machine that it runs containers on, and what containers get of it that ask for nothing.

use bollard::models::{HostConfig, SystemInfo};

use super::DockerEngine;
use super::container::saturate;
use super::fault::refused;
use super::raw;
use crate::EngineError;

/// The memory of a job or service that has no limit of its own, in hundredths of the machine's: one that eats all it can get is
/// then killed itself, and not whatever the machine's kernel picks, the host for one.
pub(super) const MOST_MEMORY: u64 = 75;

/// The weight of jobs and services where processors are scarce: half of what everything else on the machine has, so that the
/// engine, the host and the sidecars still get to theirs.
const SHARES: i64 = 512;

/// The memory of a sidecar: three archives of 10 MiB, a test report of 16, and what the kernel keeps of files meanwhile.
pub(super) const SIDECAR_MEMORY: i64 = 512 << 20;

/// The processors of a sidecar: one for what it packs or unpacks, and one for output, which it passes on meanwhile.
const SIDECAR_PROCESSORS: i64 = 2;

/// The processes and threads of a sidecar: the most threads that its runtime has, and some more.
pub(super) const SIDECAR_PROCESSES: i64 = 1024;

/// The machine of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// Whether containers that use files of this machine need to be let off SELinux's labels.
    pub(super) selinux: bool,
    /// Its memory in bytes; none where the engine can't limit that of a container.
    memory: Option<u64>,
    /// Whether the engine can weigh containers against each other.
    weighs: bool,
    /// How many processors it has; none where the engine can't limit how much of them a container gets.
    processors: Option<i64>,
}

impl Machine {
    fn of(info: &SystemInfo) -> Self {
        let memory = info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
        Self {
            selinux: info.security_options.iter().flatten().any(|option| option.contains("selinux")),
            memory: memory.filter(|_| info.memory_limit == Some(true)),
            weighs: info.cpu_shares == Some(true),
            processors: info.ncpu.filter(|count| *count > 0 && info.cpu_cfs_quota == Some(true)),
        }
    }

    /// The limits of a job or a service; `memory` is what it asks for.
    pub(super) fn limit(&self, memory: Option<u64>, config: HostConfig) -> HostConfig {
        let memory = memory.or(self.memory.map(|memory| memory / 100 * MOST_MEMORY));
        let memory = memory.map(saturate);
        // Swap does not add to it.
        HostConfig { memory, memory_swap: memory, cpu_shares: self.weighs.then_some(SHARES), ..config }
    }

    /// The limits of a sidecar.
    pub(super) fn limit_sidecar(&self, config: HostConfig) -> HostConfig {
        let memory = self.memory.map(|_| SIDECAR_MEMORY);
        // An engine refuses to give more of them than there are.
        let nano_cpus = self.processors.map(|count| count.min(SIDECAR_PROCESSORS) * 1_000_000_000);
        HostConfig { memory, memory_swap: memory, pids_limit: Some(SIDECAR_PROCESSES), nano_cpus, ..config }
    }
}

impl DockerEngine {
    /// The engine's machine; asked for once.
    pub(super) async fn machine(&self) -> Result<Machine, EngineError> {
        let known = self.machine.get_or_try_init(|| async {
            let info = raw::whole(&self.docker, self.docker.info())
                .await
                .map_err(|error| refused("describe itself", &error))?;
            Ok(Machine::of(&info))
        });
        known.await.copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(memory_limit: bool) -> Machine {
        let info = SystemInfo {
            mem_total: Some(8 << 30),
            memory_limit: Some(memory_limit),
            cpu_shares: Some(memory_limit),
            cpu_cfs_quota: Some(memory_limit),
            ncpu: Some(8),
            ..SystemInfo::default()
        };
        Machine::of(&info)
    }

    #[test]
    fn what_asks_for_no_limit_has_one() {
        let limited = machine(true).limit(None, HostConfig::default());
        assert_eq!((limited.memory, limited.memory_swap), (Some(6442450875), Some(6442450875)));
        assert_eq!(limited.cpu_shares, Some(512));
        let own = machine(true).limit(Some(64 << 20), HostConfig::default());
        assert_eq!((own.memory, own.memory_swap), (Some(64 << 20), Some(64 << 20)));
        let sidecar = machine(true).limit_sidecar(HostConfig::default());
        assert_eq!((sidecar.memory, sidecar.pids_limit), (Some(512 << 20), Some(1024)));
        assert_eq!(sidecar.nano_cpus, Some(2_000_000_000));
        let single = Machine { processors: Some(1), ..machine(true) };
        assert_eq!(single.limit_sidecar(HostConfig::default()).nano_cpus, Some(1_000_000_000));
    }

    #[test]
    fn an_engine_that_can_not_limit_is_not_asked_to_by_default() {
        let limited = machine(false).limit(None, HostConfig::default());
        assert_eq!((limited.memory, limited.cpu_shares), (None, None));
        let sidecar = machine(false).limit_sidecar(HostConfig::default());
        assert_eq!((sidecar.memory, sidecar.nano_cpus), (None, None));
        // Whoever asks for a limit is told by the engine.
        assert_eq!(machine(false).limit(Some(64 << 20), HostConfig::default()).memory, Some(64 << 20));
    }
}
