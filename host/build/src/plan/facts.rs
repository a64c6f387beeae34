//! A job as names and values, for people and to tell two of them apart.

use crate::{
    CacheSpec, Call, Command, ContainerSpec, JobKind, JobSpec, LateValue, NetworkMode, PullPolicy, Readiness,
    RestoreArtifact, Retry, RunWhen, SaveArtifact, SavePolicy, ServiceSpec, ShellCommand,
};

/// The facts of a job that are not as they would be if the script had said nothing of them. Each field is named here, so that none is
/// forgotten.
pub(super) fn of(spec: &JobSpec) -> Vec<(String, String)> {
    let JobSpec {
        id: _,
        needs,
        removed_needs,
        timeout_ms,
        run_when,
        allow_failure,
        retry,
        priority,
        fail_fast,
        approval,
        manual,
        late,
        labels,
        calls,
        creates_artifacts,
        kind,
    } = spec;
    let mut facts = Facts::default();
    match kind {
        JobKind::Action => facts.add("kind", "action"),
        JobKind::Container(container) => {
            facts.add("kind", "container");
            facts.container(container);
        }
    }
    facts.list("needs", needs);
    facts.list("removed-needs", removed_needs);
    facts.add("timeout", time(*timeout_ms));
    match run_when {
        RunWhen::Success => {}
        RunWhen::Always => facts.add("run-when", "always"),
        RunWhen::Failure => facts.add("run-when", "failure"),
    }
    facts.flag("allow-failure", *allow_failure);
    if let Some(Retry { count, on, delay_ms }) = retry {
        facts.add("retry", count.to_string());
        facts.list("retry-on", &on.iter().map(ToString::to_string).collect::<Vec<_>>());
        if *delay_ms > 0 {
            facts.add("retry-delay", time(*delay_ms));
        }
    }
    if *priority != 0 {
        facts.add("priority", priority.to_string());
    }
    facts.option("fail-fast", fail_fast.as_deref());
    facts.option("approval", approval.as_deref());
    facts.flag("manual", *manual);
    facts.flag("late", *late);
    for (name, value) in labels {
        facts.add(format!("label({name})"), value);
    }
    if let Some(Call { handler, argument }) = calls {
        facts.add("calls", format!("{handler}({argument})"));
    }
    facts.list("creates-artifact", creates_artifacts);
    facts.0
}

#[derive(Default)]
struct Facts(Vec<(String, String)>);

impl Facts {
    fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    fn option(&mut self, name: impl Into<String>, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    fn list(&mut self, name: impl Into<String>, values: &[String]) {
        if !values.is_empty() {
            self.add(name, words(values, ", "));
        }
    }

    fn flag(&mut self, name: &str, is: bool) {
        if is {
            self.add(name, "yes");
        }
    }

    fn container(&mut self, spec: &ContainerSpec) {
        let ContainerSpec {
            image,
            command,
            env,
            late_env,
            work_dir,
            user,
            architecture,
            memory_bytes,
            cpu_millis,
            shm_bytes,
            pull,
            entrypoint_of_image,
            with_git,
            save_artifacts,
            restore_artifacts,
            caches,
            test_reports,
            network,
            network_allow,
            services,
        } = spec;
        self.add("image", image);
        match command {
            Command::Argv(argv) => self.add("argv", words(argv, " ")),
            Command::Shell(ShellCommand { lines, program, each }) => {
                self.add("shell", lines.join("\n"));
                self.list("shell-program", program);
                self.flag("shell-each", *each);
            }
        }
        for (name, value) in env {
            self.add(format!("env({name})"), value);
        }
        for (name, value) in late_env {
            let (field, value) = match value {
                LateValue::Secret(secret) => ("secret-env", secret.clone()),
                LateValue::SecretFile(secret) => ("secret-file", secret.clone()),
                LateValue::ParamFile(param) => ("param-file", param.clone()),
                LateValue::Output { job, output } => ("output-env", format!("{output} of {job}")),
            };
            self.add(format!("{field}({name})"), value);
        }
        self.option("work-dir", Some(work_dir.as_str()).filter(|dir| !dir.is_empty()));
        self.option("user", user.as_deref());
        self.option("architecture", architecture.as_deref());
        self.option("memory", memory_bytes.map(size).as_deref());
        self.option("cpu", cpu_millis.map(|millis| format!("{}", f64::from(millis) / 1000.0)).as_deref());
        self.option("shm", shm_bytes.map(size).as_deref());
        match pull {
            PullPolicy::Missing => {}
            PullPolicy::Always => self.add("pull", "always"),
            PullPolicy::Never => self.add("pull", "never"),
        }
        self.flag("entrypoint-of-image", *entrypoint_of_image);
        self.flag("with-git", *with_git);
        for SaveArtifact { id, path, files, always, on_failure, if_there } in save_artifacts {
            let notes = [(*always, "always"), (*on_failure, "on failure"), (*if_there, "if there")];
            let files = if files.is_empty() { String::new() } else { format!(" ({})", words(files, ", ")) };
            self.add(format!("save-artifact({id})"), format!("{path}{files}{}", noted(&notes)));
        }
        for RestoreArtifact { id, path, at_path, if_there } in restore_artifacts {
            let notes = [(*at_path, "at the path"), (*if_there, "if there")];
            self.add(format!("restore-artifact({id})"), format!("{path}{}", noted(&notes)));
        }
        for CacheSpec { id, path, more_paths, key, fallbacks, save } in caches {
            self.add(format!("cache({id})"), words(&[std::slice::from_ref(path), more_paths].concat(), ", "));
            self.option(format!("cache-key({id})"), Some(key.as_str()).filter(|key| !key.is_empty()));
            self.list(format!("cache-fallback({id})"), fallbacks);
            match save {
                SavePolicy::Success => {}
                SavePolicy::Always => self.add(format!("cache-save({id})"), "always"),
                SavePolicy::Miss => self.add(format!("cache-save({id})"), "miss"),
                SavePolicy::Never => self.add(format!("cache-save({id})"), "never"),
            }
        }
        self.list("test-report", test_reports);
        if *network == NetworkMode::None {
            self.add("network", "none");
        }
        self.list("network-allow", &network_allow.iter().map(ToString::to_string).collect::<Vec<_>>());
        for service in services {
            self.service(service);
        }
    }

    fn service(&mut self, spec: &ServiceSpec) {
        let ServiceSpec { name, image, argv, env, secret_env, readiness, ready_timeout_ms } = spec;
        let field = |field: &str| format!("service({name}).{field}");
        self.add(format!("service({name})"), image);
        self.option(field("argv"), argv.as_ref().map(|argv| words(argv, " ")).as_deref());
        for (name, value) in env {
            self.add(field(&format!("env({name})")), value);
        }
        for (name, value) in secret_env {
            self.add(field(&format!("secret-env({name})")), value);
        }
        let ready = readiness.iter().map(|condition| match condition {
            Readiness::Port(port) => format!("port {port}"),
            Readiness::Command(argv) => format!("command {}", words(argv, " ")),
        });
        let ready: Vec<String> = ready.collect();
        self.list(field("ready"), &ready);
        if !ready.is_empty() {
            self.add(field("ready-timeout"), time(*ready_timeout_ms));
        }
    }
}

/// Words one after the other; quoted where it would not be seen otherwise where one ends.
fn words(words: &[String], between: &str) -> String {
    let quoted =
        |word: &String| match word.is_empty() || word.contains(|c: char| c.is_whitespace() || "\",".contains(c)) {
            true => format!("{word:?}"),
            false => word.clone(),
        };
    words.iter().map(quoted).collect::<Vec<_>>().join(between)
}

fn noted(notes: &[(bool, &str)]) -> String {
    let notes: Vec<&str> = notes.iter().filter(|(is, _)| *is).map(|(_, note)| *note).collect();
    if notes.is_empty() { String::new() } else { format!(", {}", notes.join(", ")) }
}

/// A time, exactly, as people write it.
fn time(ms: u64) -> String {
    let parts = [(ms / 3_600_000, "h"), (ms / 60_000 % 60, "min"), (ms / 1000 % 60, "s"), (ms % 1000, "ms")];
    let parts: Vec<String> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number} {unit}")).collect();
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// A size, exactly.
fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let found = units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    found.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_told_exactly() {
        assert_eq!([0, 600_000, 5_400_000, 1_500].map(time), ["0 s", "10 min", "1 h 30 min", "1 s 500 ms"]);
        assert_eq!([7, 2048, 1 << 30, (1 << 30) + 1024].map(size), ["7 bytes", "2 KiB", "1 GiB", "1048577 KiB"]);
    }
}
