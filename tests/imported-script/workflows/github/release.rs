//! The build "Release": a draft that `monkeyci-host import github` made of release.yml. 14 parts of it are not
//! translated, or not as they stand there: the comments that begin with their lines say why. `monkeyci-host check`
//! shows the jobs, `monkeyci-host run` runs them.

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<Vec<ContainerJob>> {
    // Line 6 (on.push.paths-ignore): jobs run whatever changed; say with `build.touched(…)` what they are for
    // Line 7 (on.release): builds of this host are not started by `release`; whoever sees it may run `monkeyci-host
    // run --trigger api`
    // Line 72 (jobs.mirror): it runs another workflow; import that one, and share what both have in a crate

    let cargo_token = build.secret("CARGO_TOKEN")?;
    let github_token = build.secret("GITHUB_TOKEN")?;

    let wanted = (build.branch().is_some() && !build.branch_matches("dependabot/**")) || build.tag_matches("v*") || build.triggered_by("api");

    // Line 12 (jobs.version.runs-on): the machine became the image `ubuntu:24.04`, which has few of GitHub's tools;
    // name one that has what the job needs
    // Line 15 (jobs.version.outputs.digest): only what a step writes to `$GITHUB_OUTPUT` is an output here; write it
    // to `$MONKEYCI_OUTPUTS`
    // Line 20 (jobs.version.steps[2]): `docker/build-push-action@v6` is a program of GitHub's; say with commands, or
    // another image, what it does
    let version = container("version", "ubuntu:24.04")
        .shell([
            r#"echo "tag=${GITHUB_REF_NAME#v}" >> "$MONKEYCI_OUTPUTS""#,
        ])
        .shell_program(["/bin/bash"])
        .env("GITHUB_REF_NAME", build.tag().or_else(|| build.branch()).unwrap_or_default())
        .only_if(wanted, "the workflow does not run for this");

    // Line 29 (jobs.binaries.strategy.max-parallel): how many jobs run at a time is said of all, by `monkeyci-host
    // run --jobs N`
    let mut binaries = Vec::new();
    for (id, target, image) in [
        ("binaries-x86_64-unknown-linux-musl-rust-1.95", "x86_64-unknown-linux-musl", "rust:1.95"),
        ("binaries-aarch64-unknown-linux-musl-rust-1.95-bookworm", "aarch64-unknown-linux-musl", "rust:1.95-bookworm"),
    ] {
        binaries.push(container(id, image)
            .shell([
                format!("rustup target add {target}"),
            ])
            .shell([
                format!("cargo build --release --target {target}"),
            ])
            .shell([
                // Line 42 (jobs.binaries.steps[2].env.VERSION): it is a variable of the job, and all of its steps see
                // it; make the step a job of its own if the others must not
                format!("tar czf app-{target}.tar.gz -C target/{target}/release app"),
            ])
            .shell_each()
            .output_env("VERSION", &version, "tag")
            .save(artifact(format!("app-{target}"), ".").files([format!("app-{target}*.gz"), String::from("LICENSE")]))
            .needs(&version)
            .fail_fast("binaries")
            .only_if(wanted, "the workflow does not run for this"));
    }

    // Line 54 (jobs.publish.runs-on): jobs run in containers of Linux, on the machine of the host; name an image that
    // has what this one needs
    // Line 56 (jobs.publish.permissions): jobs get no token of GitHub; give one as a secret to the job that needs it
    let publish = container("publish", "ubuntu:24.04")
        .shell([
            // Line 60 (jobs.publish.steps[1]): it takes all artifacts of the run; name each with
            // `.restore_artifact(…)`
            r#"gh release create "v${VERSION_TAG}" dist/*"#,
            // Line 67 (jobs.publish.steps[3].env.GH_TOKEN): it is a variable of the job, and all of its steps see it;
            // make the step a job of its own if the others must not
            // Line 68 (jobs.publish.steps[3].continue-on-error): a line that fails ends the job; end it with `||
            // true` where it may fail
            // Line 70 (jobs.publish.steps[4].run): `${{ secrets.CARGO_TOKEN }}` became `${CARGO_TOKEN}`, a variable
            // of the job, and all of its steps see it; make the step a job of its own if the others must not
            // Crate
            "cargo publish --token ${CARGO_TOKEN}",
        ])
        .shell_each()
        .shell_program(["/bin/bash"])
        .secret_env("GH_TOKEN", &github_token)
        .output_env("VERSION_TAG", &version, "tag")
        .secret_env("CARGO_TOKEN", &cargo_token)
        .restore_artifact_as_if_there("app-x86_64-unknown-linux-musl", "dist")
        .needs(&version)
        .needs_all(&binaries)
        .only_if(wanted, "the workflow does not run for this")
        .only_if(build.triggered_by("webhook/push") && build.tag().is_some() && format!("{}/{}", build.org(), build.repo()) == "example/app", "only if github.event_name == 'push' && startsWith(github.ref, 'refs/tags/') && github.repository == 'example/app'");

    let mut jobs = vec![version, publish];
    jobs.extend(binaries);
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
        Simulation::new().branch("main").secret("CARGO_TOKEN", "a secret").secret("GITHUB_TOKEN", "a secret").graph(script);
    }
}
