//! What happens when the job's container has no memory left: whom the kernel kills, and how often it has.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

/// How likely the kernel is to kill the launcher and what it starts.
///
/// Both begin with the container's score. The job has to have a higher one: somebody has to be left to tell how it ended. But
/// the file with the score of a process that nobody may look into (see [`super::privacy`]) belongs to root, and a process is
/// such a one from its fork to its `exec`. So the launcher keeps its own file open from before it became one, and has the
/// job's score itself for the moment in which it forks: the kernel would still take what is larger first.
pub(super) struct Score {
    /// None where /proc is hidden: the kernel decides by size alone then.
    file: Option<File>,
    own: i32,
}

/// How much higher a job's score is.
const MORE: i32 = 500;
const HIGHEST: i32 = 1000;

impl Score {
    /// Opens the file of the calling process, while that may be done.
    pub(super) fn open() -> Self {
        let read = || {
            let mut file = File::options().read(true).write(true).open("/proc/self/oom_score_adj").ok()?;
            let mut text = String::new();
            file.read_to_string(&mut text).ok()?;
            Some((file, text.trim().parse().ok()?))
        };
        match read() {
            Some((file, own)) => Self { file: Some(file), own },
            None => Self { file: None, own: 0 },
        }
    }

    /// Runs `start`; what it starts has the job's score from its first moment on.
    pub(super) fn raised_for<T>(&mut self, start: impl FnOnce() -> T) -> T {
        self.set((self.own + MORE).min(HIGHEST));
        let started = start();
        self.set(self.own);
        started
    }

    /// Anybody may raise their own score, and lower it again to where it began.
    fn set(&mut self, score: i32) {
        if let Some(file) = &mut self.file {
            // The job runs all the same when the kernel does not take it.
            let _ = file.write_all(score.to_string().as_bytes());
        }
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
