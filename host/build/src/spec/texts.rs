//! The texts of a job, for whoever looks for what must not stand in them.

use super::{
    CacheSpec, Call, Command, ContainerSpec, JobKind, JobSpec, LateValue, Readiness, RestoreArtifact, SaveArtifact,
    ServiceSpec, ShellCommand,
};

impl JobSpec {
    /// Shows every text that the script gave to `see`, with the field it is in, by the name that it has in the script API. Not
    /// the words that only our own enums are written with; and not the ids of other jobs and the names of secrets and
    /// parameters, which are looked up.
    pub fn texts(&self, see: &mut dyn FnMut(&str, &str)) {
        let Self {
            id,
            needs: _,
            removed_needs: _,
            timeout_ms: _,
            run_when: _,
            allow_failure: _,
            retry: _,
            priority: _,
            fail_fast,
            approval,
            manual: _,
            late: _,
            labels,
            calls,
            creates_artifacts,
            kind,
        } = self;
        see("id", id);
        fail_fast.iter().for_each(|group| see("fail-fast", group));
        approval.iter().for_each(|message| see("approval", message));
        for (name, value) in labels {
            let field = format!("label({name})");
            see(&field, name);
            see(&field, value);
        }
        if let Some(Call { handler, argument }) = calls {
            see("calls", handler);
            see("calls", argument);
        }
        creates_artifacts.iter().for_each(|id| see("creates-artifact", id));
        match kind {
            JobKind::Action => {}
            JobKind::Container(container) => container.texts(see),
        }
    }

    /// The secrets that the job is given, by name, each with the field that says so.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &str)> {
        self.container().into_iter().flat_map(ContainerSpec::secrets)
    }
}

impl ContainerSpec {
    fn secrets(&self) -> impl Iterator<Item = (String, &str)> {
        let late = self.late_env.iter().filter_map(|(name, value)| match value {
            LateValue::Secret(secret) => Some((format!("secret-env({name})"), secret.as_str())),
            LateValue::SecretFile(secret) => Some((format!("secret-file({name})"), secret.as_str())),
            LateValue::ParamFile(_) | LateValue::Output { .. } => None,
        });
        late.chain(self.services.iter().flat_map(|service| {
            let field = move |name: &str| format!("service({}).secret-env({name})", service.name);
            service.secret_env.iter().map(move |(name, secret)| (field(name), secret.as_str()))
        }))
    }

    fn texts(&self, see: &mut dyn FnMut(&str, &str)) {
        let Self {
            image,
            command,
            env,
            late_env,
            work_dir,
            user,
            architecture,
            memory_bytes: _,
            cpu_millis: _,
            shm_bytes: _,
            pull: _,
            entrypoint_of_image: _,
            with_git: _,
            save_artifacts,
            restore_artifacts,
            caches,
            test_reports,
            network: _,
            network_allow,
            services,
        } = self;
        see("image", image);
        match command {
            Command::Argv(words) => words.iter().for_each(|word| see("argv", word)),
            Command::Shell(ShellCommand { lines, program, each: _ }) => {
                lines.iter().for_each(|line| see("shell", line));
                program.iter().for_each(|word| see("shell-program", word));
            }
        }
        variables("", env.iter(), see);
        late_env.keys().for_each(|name| see(&format!("env({name})"), name));
        see("work-dir", work_dir);
        user.iter().for_each(|user| see("user", user));
        architecture.iter().for_each(|architecture| see("architecture", architecture));
        for SaveArtifact { id, path, files, always: _, on_failure: _, if_there: _ } in save_artifacts {
            let field = format!("save-artifact({id})");
            [id, path].into_iter().chain(files).for_each(|text| see(&field, text));
        }
        for RestoreArtifact { id, path, at_path: _, if_there: _ } in restore_artifacts {
            let field = format!("restore-artifact({id})");
            [id, path].into_iter().for_each(|text| see(&field, text));
        }
        for CacheSpec { id, path, more_paths, key, fallbacks, save: _ } in caches {
            let field = format!("cache({id})");
            [id, path, key].into_iter().chain(more_paths).chain(fallbacks).for_each(|text| see(&field, text));
        }
        test_reports.iter().for_each(|glob| see("test-report", glob));
        network_allow.iter().for_each(|destination| see("network-allow", &String::from(destination.clone())));
        for ServiceSpec { name, image, argv, env, secret_env, readiness, ready_timeout_ms: _ } in services {
            let of = |field: &str| format!("service({name}).{field}");
            see(&of("name"), name);
            see(&of("image"), image);
            argv.iter().flatten().for_each(|word| see(&of("argv"), word));
            variables(&of(""), env.iter(), see);
            secret_env.keys().for_each(|variable| see(&of(&format!("secret-env({variable})")), variable));
            for readiness in readiness {
                match readiness {
                    Readiness::Port(_) => {}
                    Readiness::Command(words) => words.iter().for_each(|word| see(&of("ready-command"), word)),
                }
            }
        }
    }
}

fn variables<'a>(of: &str, variables: impl Iterator<Item = (&'a String, &'a String)>, see: &mut dyn FnMut(&str, &str)) {
    for (name, value) in variables {
        let field = format!("{of}env({name})");
        see(&field, name);
        see(&field, value);
    }
}
