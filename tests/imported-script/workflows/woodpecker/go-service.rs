//! The build: a draft that `monkeyci-host import woodpecker` made of go-service.yml. 6 parts of it are not
//! translated, or not as they stand there: the comments that begin with their lines say why. `monkeyci-host check`
//! shows the jobs, `monkeyci-host run` runs them.

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<Vec<ContainerJob>> {
    // Line 3 (when[0].branch): a script does not know which branch a pull request goes to: this holds for all of them
    // Line 9 (clone): the host checks the code out, with all of its history; jobs that need `.git` say `.with_git()`

    let signing_key = build.secret("signing_key")?;

    let wanted = (((build.branch().is_some() && !build.triggered_by("webhook/pull_request")) || build.triggered_by("webhook/pull_request")) && (build.triggered_by("webhook/pull_request") || build.branch_matches("main") || build.branch_matches("release/*"))) || build.tag().is_some();

    let mut deps = Vec::new();
    for (id, go_version, row) in [
        ("deps-1.23", "1.23", "1.23"),
        ("deps-1.24", "1.24", "1.24"),
    ] {
        deps.push(container(id, format!("golang:{go_version}"))
            .shell([
                // Line 16 (steps[0]): the steps share one workspace, which is handed on here as an artifact; save
                // less of it, if the others need less
                "go mod vendor",
            ])
            .env("GO_VERSION", go_version)
            .service(service("database", "postgres:16").env("POSTGRES_PASSWORD", "test").ready_port(5432))
            .save(artifact(format!("workspace-deps-{row}"), ".").always())
            .only_if(wanted, "the workflow does not run for this"));
    }

    let mut test = Vec::new();
    for (id, go_version, row) in [
        ("test-1.23", "1.23", "1.23"),
        ("test-1.24", "1.24", "1.24"),
    ] {
        test.push(container(id, format!("golang:{go_version}"))
            .shell([
                // Line 21 (steps[1]): the steps share one workspace, which is handed on here as an artifact; save
                // less of it, if the others need less
                "go test -mod=vendor ./...",
                r#"for file in *.out; do
  echo "${file}"
done"#,
            ])
            .env("GO_VERSION", go_version)
            .env("DATABASE_URL", "postgres://postgres:test@database:5432/test")
            .secret_env("SIGNING_KEY", &signing_key)
            .service(service("database", "postgres:16").env("POSTGRES_PASSWORD", "test").ready_port(5432))
            .restore_artifact_if_there(format!("workspace-deps-{row}"), ".")
            .save(artifact(format!("workspace-test-{row}"), ".").always())
            .needs_all(&deps)
            .only_if(wanted, "the workflow does not run for this"));
    }

    let mut lint = Vec::new();
    for (id, go_version, row) in [
        ("lint-1.23", "1.23", "1.23"),
        ("lint-1.24", "1.24", "1.24"),
    ] {
        lint.push(container(id, "golangci/golangci-lint:v2.1")
            .shell([
                // Line 34 (steps[2]): the steps share one workspace, which is handed on here as an artifact; save
                // less of it, if the others need less
                "golangci-lint run",
            ])
            .env("GO_VERSION", go_version)
            .service(service("database", "postgres:16").env("POSTGRES_PASSWORD", "test").ready_port(5432))
            .restore_artifact_if_there(format!("workspace-test-{row}"), ".")
            .save(artifact(format!("workspace-lint-{row}"), ".").always())
            .needs_all(&test)
            .only_if(wanted, "the workflow does not run for this")
            .only_if(build.touched("**/*.go") && go_version == "1.24", "`when` of the step says so")
            .allow_failure());
    }

    // Line 45 (steps[3].settings): the step is a plugin: it has only an image and these settings; say with commands
    // what it does
    let mut notify = Vec::new();
    for (id, go_version, row) in [
        ("notify-1.23", "1.23", "1.23"),
        ("notify-1.24", "1.24", "1.24"),
    ] {
        notify.push(container(id, "plugins/slack")
            .shell([
                "echo 'nothing of this step could be translated' >&2; exit 1",
            ])
            .env("GO_VERSION", go_version)
            .service(service("database", "postgres:16").env("POSTGRES_PASSWORD", "test").ready_port(5432))
            .restore_artifact_if_there(format!("workspace-lint-{row}"), ".")
            .needs_all(&lint)
            .only_if(wanted, "the workflow does not run for this")
            .always());
    }

    let mut jobs = vec![];
    jobs.extend(deps);
    jobs.extend(test);
    jobs.extend(lint);
    jobs.extend(notify);
    Ok(jobs)
}

monkeyci_sdk::script!(script);

#[cfg(test)]
mod tests {
    use monkeyci_sdk::testing::Simulation;

    use super::*;

    #[test]
    fn the_jobs_have_no_faults() {
        // It panics with all that there are.
        Simulation::new().branch("main").secret("signing_key", "a secret").graph(script);
    }
}
