//! The build "Docs": a draft that `monkeyci-host import github` made of docs-deploy.yml. 11 parts of it are not
//! translated, or not as they stand there: the comments that begin with their lines say why. `monkeyci-host check`
//! shows the jobs, `monkeyci-host run` runs them.

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<Vec<ContainerJob>> {
    // Line 2 (run-name): a build has the id that the host gives it
    // Line 5 (on.push.tags[0]): the pattern `v[0-9]+.[0-9]+.[0-9]+` became `v*.*.*`, which matches more
    // Line 8 (on.workflow_dispatch.inputs.target): it is a parameter here, and its value is any text; say more of it
    // with `build.declare(param(…))`
    // Line 13 (on.schedule): the host starts no builds by the clock; let cron run `monkeyci-host run --trigger
    // schedule` at these times

    let chat_hook = build.secret("CHAT_HOOK")?;
    let docs_token = build.secret("DOCS_TOKEN")?;

    let wanted = (build.tag_matches("v*.*.*") && !build.tag_matches("v0.*")) || build.triggered_by("cli") || build.triggered_by("api") || build.triggered_by("schedule");

    let build_job = container("build", "python:3.12")
        .shell([
            "pip install -r docs/requirements.txt",
            "mkdocs build --strict --site-dir public",
            // Line 27 (jobs.build.steps[4].run): nobody reads `$GITHUB_STEP_SUMMARY`; say what came out with
            // `monkeyci.message=…` in `$MONKEYCI_OUTPUTS`
            // Say where to
            r#"echo "of $GITHUB_REPOSITORY at $GITHUB_REF_NAME"
echo "Docs for ${INPUT_TARGET}" >> $GITHUB_STEP_SUMMARY"#,
        ])
        .shell_each()
        .shell_program(["/bin/bash"])
        .env("INPUT_TARGET", build.param_or("target", "staging")?)
        .env("GITHUB_REF_NAME", build.tag().or_else(|| build.branch()).unwrap_or_default())
        .env("GITHUB_REPOSITORY", format!("{}/{}", build.org(), build.repo()))
        .save(artifact("site", "public"))
        .only_if(wanted, "the workflow does not run for this");

    // Line 37 (jobs.deploy.runs-on): the machine became the image `ubuntu:24.04`, which has few of GitHub's tools;
    // name one that has what the job needs
    // Line 38 (jobs.deploy.environment): the host has no environments; a job that a person has to agree to says
    // `.approval(…)`
    // Line 50 (jobs.deploy.steps[2]): the step is left out: its shell is `pwsh`, and a job's lines are for a POSIX
    // shell; call that program
    let deploy = container("deploy", "ubuntu:24.04")
        .shell([
            // Line 47 (jobs.deploy.steps[1].run): `${{ github.ref_name }}` became the variable
            // `${MONKEYCI_TAG:-${MONKEYCI_BRANCH}}`, and stands between single quotes, where a shell leaves it as it
            // is; use double ones
            // Line 47 (jobs.deploy.steps[1].run): `${{ secrets.DOCS_TOKEN }}` became `${DOCS_TOKEN}`, a variable of
            // the job, and all of its steps see it; make the step a job of its own if the others must not
            // Upload
            r#"curl --fail -T public.tar.gz -H "Authorization: Bearer ${DOCS_TOKEN}" 'https://docs.example.org/${MONKEYCI_TAG:-${MONKEYCI_BRANCH}}'"#,
        ])
        .shell_program(["/bin/bash"])
        .secret_env("DOCS_TOKEN", &docs_token)
        .restore_artifact_as_if_there("site", "public")
        .needs(&build_job)
        .only_if(wanted, "the workflow does not run for this")
        .only_if(build.tag_matches("v**"), "only if startsWith(github.ref, 'refs/tags/v')");

    // Line 57 (jobs.notify.runs-on): the machine became the image `ubuntu:24.04`, which has few of GitHub's tools;
    // name one that has what the job needs
    let notify = container("notify", "ubuntu:24.04")
        .shell([
            r#"curl -d '{"text":"docs failed"}' "$HOOK""#,
        ])
        .shell_program(["/bin/bash"])
        .secret_env("HOOK", &chat_hook)
        .needs(&deploy)
        .only_if(wanted, "the workflow does not run for this")
        .on_failure();

    Ok(vec![build_job, deploy, notify])
}

monkeyci_sdk::script!(script);

#[cfg(test)]
mod tests {
    use monkeyci_sdk::testing::Simulation;

    use super::*;

    #[test]
    fn the_jobs_have_no_faults() {
        // It panics with all that there are.
        Simulation::new().branch("main").secret("CHAT_HOOK", "a secret").secret("DOCS_TOKEN", "a secret").graph(script);
    }
}
