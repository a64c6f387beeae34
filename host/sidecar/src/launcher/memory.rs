//! How often the kernel has killed a process of the job's container for its memory.

use std::fs;
use std::path::Path;

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
