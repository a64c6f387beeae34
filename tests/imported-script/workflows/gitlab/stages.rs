//! The build: a draft that `monkeyci-host import gitlab` made of stages.yml. 16 parts of it are not translated, or
//! not as they stand there: the comments that begin with their lines say why. `monkeyci-host check` shows the jobs,
//! `monkeyci-host run` runs them.

use std::time::Duration;

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<Vec<ContainerJob>> {
    // Line 1 (include): what other files say is not here; import them too, or write down what the jobs take from them
    // Line 11 (default.tags): jobs run in containers, on the machine of the host
    // Line 14 (variables.CARGO_HOME): `$CI_PROJECT_DIR` stays as it is: this file does not say what it is; write its
    // value down
    // Line 18 (variables.DEPLOY_TO.description): that of a parameter is said with `build.declare(param(…))`
    // Line 38 (.base.interruptible): builds of this host do not stop each other
    // Line 40 (.unused): this is not translated: nothing here stands for it

    let kube_token = build.secret("KUBE_TOKEN")?;

    let wanted = build.triggered_by("webhook/pull_request") || build.tag().is_some() || build.on_main_branch();

    // Line 52 (build.artifacts.expire_in): all of a build is kept for as long as `monkeyci-host gc --older-than` says
    // Line 54 (build.artifacts.reports.dotenv): jobs hand values on by name: write the lines to `$MONKEYCI_OUTPUTS`,
    // and take each with `.output_env(…)`
    let build_job = container("build", "rust:1.95")
        .shell([
            "rustc --version",
            "cargo build --profile $PROFILE",
            r#"echo "BUILT=$CI_COMMIT_SHORT_SHA" > build.env"#,
        ])
        .env("CARGO_HOME", "${CI_PROJECT_DIR}/.cargo")
        .env("PROFILE", "release")
        .env("DEPLOY_TO", build.param_or("DEPLOY_TO", "staging")?)
        .env("CI_COMMIT_SHORT_SHA", build.commit().unwrap_or_default().chars().take(8).collect::<String>())
        .save(artifact("build", "target/release/app"))
        .keep(cache("cargo", ".cargo").and("target").key(format!("{}-{}", slug(build), build.workspace().hash_files(["Cargo.lock"]).unwrap_or_default())))
        .only_if(wanted, "the pipeline does not run for this")
        .retry(1);

    // Line 63 (unit test.coverage): a job says its coverage itself, with `monkeyci.coverage=81.5` in
    // `$MONKEYCI_OUTPUTS`
    let unit_test = container("unit-test", "rust:1.95")
        .shell([
            "rustc --version",
            "rustc --version",
            "cargo test",
        ])
        .env("CARGO_HOME", "${CI_PROJECT_DIR}/.cargo")
        .env("PROFILE", "release")
        .env("DEPLOY_TO", build.param_or("DEPLOY_TO", "staging")?)
        .restore_artifact_if_there("build", ".")
        .keep(cache("cargo", ".cargo").and("target").key(format!("{}-{}", slug(build), build.workspace().hash_files(["Cargo.lock"]).unwrap_or_default())))
        .test_report("target/junit/*.xml")
        .label("name", "unit test")
        .needs(&build_job)
        .only_if(wanted, "the pipeline does not run for this")
        .timeout(Duration::from_secs(5400))
        .retry(1);

    // Line 70 (lint.extends[1]): `.from-elsewhere` is in another file: what it says is not here
    // Line 77 (lint.rules[1]): this rule is left out: a script does not match `$CI_COMMIT_MESSAGE`
    let lint = container("lint", "rust:1.95")
        .shell([
            "rustc --version",
            r#"cargo clippy > "$CI_JOB_NAME.txt""#,
        ])
        .env("CARGO_HOME", "${CI_PROJECT_DIR}/.cargo")
        .env("PROFILE", "release")
        .env("DEPLOY_TO", build.param_or("DEPLOY_TO", "staging")?)
        .env("CI_JOB_NAME", "lint")
        .keep(cache("cargo", ".cargo").and("target").key(format!("{}-{}", slug(build), build.workspace().hash_files(["Cargo.lock"]).unwrap_or_default())))
        .only_if(wanted, "the pipeline does not run for this")
        .only_if(build.touched("**/*.rs") || build.touched("Cargo.*"), "no rule of the job holds")
        .retry(1)
        .allow_failure();

    // Line 80 (deploy): `$KUBE_TOKEN` is set by nobody in this file: it is taken for a secret
    // Line 80 (deploy): `$REGION` is set by nobody in this file: it is a parameter of the build, and empty if nobody
    // gives it
    // Line 88 (deploy.environment): the host has no environments; a job that a person has to agree to says
    // `.approval(…)`
    // Line 89 (deploy.resource_group): builds of this host do not wait for each other
    // Line 91 (deploy.rules[0].if): a regular expression in it became a glob, which matches more
    let mut deploy = container("deploy", "alpine/helm:3")
        .shell([
            r#"helm upgrade --install app ./chart --set tag=$CI_COMMIT_SHA --kube-token "$KUBE_TOKEN""#,
            r#"./scripts/after.sh "$DEPLOY_TO" "$REGION""#,
        ])
        .env("CARGO_HOME", "${CI_PROJECT_DIR}/.cargo")
        .env("PROFILE", "release")
        .env("DEPLOY_TO", build.param_or("DEPLOY_TO", "staging")?)
        .env("CI_COMMIT_SHA", build.commit().unwrap_or_default())
        .secret_env("KUBE_TOKEN", &kube_token)
        .env("REGION", build.param_or("REGION", "")?)
        .restore_artifact_if_there("build", ".")
        .needs(&build_job)
        .needs(&unit_test)
        .needs(&lint)
        .only_if(wanted, "the pipeline does not run for this")
        .only_if(build.tag_matches("v**.**") || (build.on_main_branch() && build.param_or("DEPLOY_TO", "staging")? == "staging"), "no rule of the job holds")
        .retry(1);
    if build.tag_matches("v**.**") {
        deploy = deploy.manual();
    }

    Ok(vec![build_job, unit_test, lint, deploy])
}

monkeyci_sdk::script!(script);

/// The name of what is built, as host names and images have it.
fn slug(build: &Build) -> String {
    let name = build.tag().or_else(|| build.branch()).unwrap_or_default().to_ascii_lowercase();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    name.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use monkeyci_sdk::testing::Simulation;

    use super::*;

    #[test]
    fn the_jobs_have_no_faults() {
        // It panics with all that there are.
        Simulation::new().branch("main").secret("KUBE_TOKEN", "a secret").graph(script);
    }
}
