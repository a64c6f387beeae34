//! Jobs as text, for snapshots.

use std::fmt::{self, Display, Formatter};

use super::{DeclaredCache, DeclaredJob, DeclaredService, Saved};

impl Display for DeclaredJob {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", if self.container { "container" } else { "action" }, self.id)?;
        self.show_graph(f)?;
        self.show_command(f)?;
        self.show_files(f)?;
        list(f, "services", self.services.iter().map(service))
    }
}

impl DeclaredJob {
    fn show_graph(&self, f: &mut Formatter<'_>) -> fmt::Result {
        line(f, "removed", self.removed.as_ref())?;
        line(f, "skipped", self.skipped.as_ref())?;
        words(f, "needs", &self.needs)?;
        words(f, "requires", &self.requires)?;
        line(f, "run when", self.run_when.as_ref())?;
        line(f, "approval", self.approval.as_ref())?;
        flag(f, "allow failure", self.allow_failure)?;
        line(f, "retry", (self.retry > 0).then_some(self.retry))?;
        words(f, "retry on", &self.retry_on)?;
        line(f, "retry delay", self.retry_delay.map(|delay| format!("{delay:?}")))?;
        line(f, "priority", (self.priority != 0).then_some(self.priority))?;
        line(f, "fail fast", self.fail_fast.as_ref())?;
        flag(f, "manual", self.manual)?;
        flag(f, "late", self.late)?;
        line(f, "timeout", self.timeout.map(|limit| format!("{limit:?}")))?;
        list(f, "labels", self.labels.iter().map(|(name, value)| format!("{name} = {value}")))?;
        line(f, "calls", self.calls.as_ref().map(|(handler, argument)| format!("{handler} {argument:?}")))?;
        words(f, "creates", &self.creates_artifacts)
    }

    fn show_command(&self, f: &mut Formatter<'_>) -> fmt::Result {
        line(f, "image", self.image.as_ref())?;
        line(f, "argv", self.argv.as_ref().map(|argv| format!("{argv:?}")))?;
        line(f, "shell program", self.shell_program.as_ref().map(|argv| format!("{argv:?}")))?;
        flag(f, "shell each", self.shell_each)?;
        list(f, "shell", self.shell.iter().flatten())?;
        line(f, "user", self.user.as_ref())?;
        line(f, "architecture", self.architecture.as_ref())?;
        line(f, "network", self.network.as_ref())?;
        words(f, "network allow", &self.network_allow)?;
        line(f, "work dir", self.work_dir.as_ref())?;
        line(f, "memory", self.memory)?;
        line(f, "cpu", self.cpu)?;
        line(f, "shm size", self.shm_size)?;
        line(f, "pull", self.pull.as_ref())?;
        flag(f, "entrypoint of image", self.entrypoint_of_image)?;
        flag(f, "with git", self.with_git)?;
        list(f, "env", self.env.iter().map(|(name, value)| format!("{name} = {value}")))
    }

    fn show_files(&self, f: &mut Formatter<'_>) -> fmt::Result {
        words(f, "test reports", &self.test_reports)?;
        let restored = self.restores.iter();
        let if_there = |there: bool| if there { " (if there)" } else { "" };
        let to = |at_path: bool| if at_path { "as" } else { "to" };
        list(
            f,
            "restores",
            restored.map(|it| format!("{} {} {}{}", it.id, to(it.at_path), it.path, if_there(it.if_there))),
        )?;
        list(f, "saves", self.saves.iter().map(saved))?;
        list(f, "caches", self.caches.iter().map(cache))
    }
}

fn saved(it: &Saved) -> String {
    let mut text = format!("{} from {}", it.id, it.path);
    if !it.files.is_empty() {
        text += &format!(" ({})", it.files.join(", "));
    }
    if it.always {
        text += " always";
    }
    if it.on_failure {
        text += " on failure";
    }
    if it.if_there {
        text += " if there";
    }
    text
}

fn cache(it: &DeclaredCache) -> String {
    let mut text = format!("{} at {}", it.id, it.path);
    it.more_paths.iter().for_each(|path| text += &format!(" and {path}"));
    for (what, value) in [("key", &it.key), ("save", &it.save)] {
        if let Some(value) = value {
            text += &format!(", {what} {value}");
        }
    }
    it.fallbacks.iter().for_each(|prefix| text += &format!(", else {prefix}*"));
    text
}

fn service(it: &DeclaredService) -> String {
    let mut text = format!("{}: {}", it.name, it.image);
    if let Some(argv) = &it.argv {
        text += &format!(" {argv:?}");
    }
    it.env.iter().for_each(|(name, value)| text += &format!(", {name} = {value}"));
    if let Some(port) = it.ready_port {
        text += &format!(", ready at port {port}");
    }
    if let Some(argv) = &it.ready_command {
        text += &format!(", ready by {argv:?}");
    }
    if let Some(limit) = it.ready_timeout {
        text += &format!(", within {limit:?}");
    }
    text
}

fn line(f: &mut Formatter<'_>, name: &str, value: Option<impl Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| writeln!(f, "  {name}: {value}"))
}

fn flag(f: &mut Formatter<'_>, name: &str, set: bool) -> fmt::Result {
    if set { writeln!(f, "  {name}") } else { Ok(()) }
}

fn words(f: &mut Formatter<'_>, name: &str, words: &[String]) -> fmt::Result {
    line(f, name, (!words.is_empty()).then(|| words.join(", ")))
}

fn list(f: &mut Formatter<'_>, name: &str, items: impl Iterator<Item = impl Display>) -> fmt::Result {
    for (position, item) in items.enumerate() {
        if position == 0 {
            writeln!(f, "  {name}:")?;
        }
        writeln!(f, "    {item}")?;
    }
    Ok(())
}
