//! The build: a draft that `monkeyci-host import woodpecker` made of site.yml. 11 parts of it are not translated, or
//! not as they stand there: the comments that begin with their lines say why. `monkeyci-host check` shows the jobs,
//! `monkeyci-host run` runs them.

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<Vec<ContainerJob>> {
    // Line 7 (labels): jobs run in containers, on the machine of the host
    // Line 10 (depends_on): other workflows are scripts of their own; import them, and share a script if they need
    // each other
    // Line 58 (services.search): nobody waits until `search` is ready; say `.ready_port(…)` or `.ready_command(…)`

    let deploy_host = build.secret("deploy_host")?;
    let rsync_key = build.secret("rsync_key")?;

    // Line 13 (steps.install): the steps share one workspace, which is handed on here as an artifact; save less of
    // it, if the others need less
    let install = container("install", "node:22")
        .shell([
            "npm ci --cache .npm",
        ])
        .service(service("search", "getmeili/meilisearch:v1"))
        .save(artifact("workspace-install", ".").always());

    // Line 25 (steps.check): the steps share one workspace, which is handed on here as an artifact; save less of it,
    // if the others need less
    let check = container("check", "node:22")
        .shell([
            "npm run check-links http://server:8080",
        ])
        .service(service("server", "node:22").argv(["/bin/sh", "-ec", "npm run serve -- --port 8080"]).ready_port(8080))
        .service(service("search", "getmeili/meilisearch:v1"))
        .restore_artifact_if_there("workspace-install", ".")
        .save(artifact("workspace-check", ".").always())
        .needs(&install);

    // Line 31 (steps.build): nobody sets `$CI_PIPELINE_STARTED` here
    // Line 31 (steps.build): the steps share one workspace, which is handed on here as an artifact; save less of it,
    // if the others need less
    let build_job = container("build", "node:22")
        .shell([
            "npm run build -- --ref $CI_COMMIT_SHA",
            r#"echo "$CI_PIPELINE_STARTED" > built"#,
        ])
        .work_dir("site")
        .pull(PullPolicy::Always)
        .env("BASE_URL", "https://example.org")
        .env("CI_COMMIT_SHA", build.commit().unwrap_or_default())
        .service(service("server", "node:22").argv(["/bin/sh", "-ec", "npm run serve -- --port 8080"]).ready_port(8080))
        .service(service("search", "getmeili/meilisearch:v1"))
        .restore_artifact_if_there("workspace-install", ".")
        .save(artifact("workspace-build", ".").always())
        .needs(&install);

    // Line 46 (steps.publish.privileged): jobs have no rights on the machine
    // Line 47 (steps.publish.volumes): jobs see no files of the machine
    // Line 54 (steps.publish.when.path.exclude): a change of these files counts too
    // Line 55 (steps.publish.when.instance): a script can't ask for this; what it stands for holds without it
    let publish = container("publish", "alpine:3")
        .shell([
            r#"rsync -a site/dist/ "$HOST:/srv/www""#,
        ])
        .secret_env("RSYNC_KEY", &rsync_key)
        .secret_env("HOST", &deploy_host)
        .service(service("server", "node:22").argv(["/bin/sh", "-ec", "npm run serve -- --port 8080"]).ready_port(8080))
        .service(service("search", "getmeili/meilisearch:v1"))
        .restore_artifact_if_there("workspace-check", ".")
        .restore_artifact_if_there("workspace-build", ".")
        .needs(&check)
        .needs(&build_job)
        .only_if(build.touched("site/**") && build.branch_matches("main") && build.branch().is_some() && !build.triggered_by("webhook/pull_request"), "`when` of the step says so");

    Ok(vec![install, check, build_job, publish])
}

monkeyci_sdk::script!(script);

#[cfg(test)]
mod tests {
    use monkeyci_sdk::testing::Simulation;

    use super::*;

    #[test]
    fn the_jobs_have_no_faults() {
        // It panics with all that there are.
        Simulation::new().branch("main").secret("deploy_host", "a secret").secret("rsync_key", "a secret").graph(script);
    }
}
