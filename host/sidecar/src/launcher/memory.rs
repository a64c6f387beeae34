//! What happens when the job's container has no memory left: whom the kernel kills, and how often it has.

use std::fs;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

/// Has the kernel kill the calling process, and those that it starts, before the launcher: somebody has to be left to tell
/// how it ended. Makes system calls only, so it may be called between fork and exec.
pub(super) fn offer_to_the_oom_killer() {
    // Anybody may raise their own score; where /proc is hidden the kernel decides by size alone.
    if let Ok(file) = open(c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        let _ = rustix::io::write(file, b"500");
    }
}

/// Reads the count from the control group: version 2, or version 1, or 0 where neither can be read. It rises also when
/// only a child was killed and the job went on.
pub(super) fn oom_kills(cgroup: &Path) -> u64 {
    ["memory.events", "memory/memory.oom_control"]
        .iter()
        .find_map(|file| count(&fs::read_to_string(cgroup.join(file)).ok()?))
        .unwrap_or(0)
}

fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_both_versions_of_control_groups() {
        assert_eq!(count("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n"), Some(7));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\n"), None);
    }

    #[test]
    fn without_a_control_group_nothing_was_killed() {
        assert_eq!(oom_kills(Path::new("/nowhere")), 0);
    }
}
