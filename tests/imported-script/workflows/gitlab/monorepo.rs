//! The build: a draft that `monkeyci-host import gitlab` made of monorepo.yml. 5 parts of it are not translated, or
//! not as they stand there: the comments that begin with their lines say why. `monkeyci-host check` shows the jobs,
//! `monkeyci-host run` runs them.

use std::time::Duration;

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<Vec<ContainerJob>> {
    // Line 1: this document, which stands before the last `---`, is not translated
    // Line 12 (.frontend.rules[0].changes.paths[1]): the pattern `shared/**/*.{ts,json}` became `shared/**/*.*`,
    // which matches more
    // Line 13 (.frontend.rules[0].changes.compare_to): this is not translated: nothing here stands for it

    let versions = container("versions", "alpine:3")
        .shell([
            "cat VERSION",
        ]);

    let frontend = container("frontend", "node:22")
        .shell([
            "cd frontend",
            "npm ci",
            "npm run build",
        ])
        .save(artifact("frontend", "frontend/dist"))
        .keep(cache("frontend-node_modules", "frontend/node_modules").key("npm").save(SavePolicy::Always))
        .needs(&versions)
        .only_if(build.touched("frontend/**/*") || build.touched("shared/**/*.*"), "no rule of the job holds");

    let backend = container("backend", "eclipse-temurin:21")
        .shell([
            "./gradlew build",
        ])
        .env("GRADLE_USER_HOME", ".gradle")
        .save(artifact("backend", "backend/build/libs"))
        .test_report("backend/build/test-results/**/*.xml")
        .needs(&versions)
        .only_if(build.touched("backend/**/*") || build.param_or("FORCE", "")? == "true", "no rule of the job holds");

    // Line 56 (e2e.hooks): jobs have no hooks of their machine
    let e2e = container("e2e", "mcr.microsoft.com/playwright:v1.50.0")
        .shell([
            "npx playwright test",
        ])
        .restore_artifact_if_there("frontend", ".")
        .restore_artifact_if_there("backend", ".")
        .needs(&frontend)
        .needs(&backend)
        .timeout(Duration::from_secs(2700));

    let report = container("report", "alpine:3")
        .shell([
            "./report.sh",
        ])
        .restore_artifact_if_there("frontend", ".")
        .restore_artifact_if_there("backend", ".")
        .needs(&frontend)
        .needs(&backend)
        .on_failure();

    // Line 70 (nightly.secrets): secrets are given to the build, with --secret, and to jobs with `.secret_env(…)`
    let nightly = container("nightly", "alpine:3")
        .shell([
            "./nightly.sh",
        ])
        .restore_artifact_if_there("frontend", ".")
        .restore_artifact_if_there("backend", ".")
        .needs(&frontend)
        .needs(&backend)
        .only_if(build.triggered_by("schedule"), "`only` of the job says so");

    Ok(vec![versions, frontend, backend, e2e, report, nightly])
}

monkeyci_sdk::script!(script);

#[cfg(test)]
mod tests {
    use monkeyci_sdk::testing::Simulation;

    use super::*;

    #[test]
    fn the_jobs_have_no_faults() {
        // It panics with all that there are.
        Simulation::new().branch("main").graph(script);
    }
}
