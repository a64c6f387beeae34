//! The build: a draft that `monkeyci-host import gitlab` made of docker-service.yml. 10 parts of it are not
//! translated, or not as they stand there: the comments that begin with their lines say why. `monkeyci-host check`
//! shows the jobs, `monkeyci-host run` runs them.

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<Vec<ContainerJob>> {
    // Line 49 (review): the job is left out: it starts another pipeline; run that one's script by itself

    let ci_registry_password = build.secret("CI_REGISTRY_PASSWORD")?;

    let vet = container("vet", "golang:1.24")
        .shell([
            "go vet ./...",
        ])
        .env("GOFLAGS", "-mod=readonly")
        .env("CGO_ENABLED", "0");

    // Line 24 (test.services[1]): nobody waits until `minio` is ready; say `.ready_port(…)` or `.ready_command(…)`
    // Line 30 (test.after_script): no line of a job runs after one that failed; make it a job that needs this one,
    // with `.always()`
    let test = container("test", "golang:1.24")
        .shell([
            r"go test -race ./... \
  -coverprofile=cover.out",
            "go tool cover -func=cover.out",
        ])
        .env("REDIS_URL", "redis://redis:6379")
        .env("GOFLAGS", "-mod=readonly")
        .env("CGO_ENABLED", "0")
        .service(service("redis", "redis:7").env("REDIS_URL", "redis://redis:6379").env("GOFLAGS", "-mod=readonly").env("CGO_ENABLED", "0").ready_port(6379))
        .service(service("minio", "minio/minio").env("REDIS_URL", "redis://redis:6379").env("GOFLAGS", "-mod=readonly").env("CGO_ENABLED", "0"))
        .save(artifact("test", ".").files(["cover.out", "cover.out/**", "testdata/failures", "testdata/failures/**"]).on_failure());

    // Line 36 (build image): `$CI_REGISTRY_PASSWORD` is set by nobody in this file: it is taken for a secret
    // Line 36 (build image): nobody sets `$CI_REGISTRY_IMAGE` here
    // Line 36 (build image): nobody sets `$CI_REGISTRY_USER` here
    // Line 36 (build image): nobody sets `$CI_REGISTRY` here
    // Line 39 (build image.services[0]): the service is left out: jobs get no container engine; make images with a
    // program that needs none
    // Line 44 (build image.rules[0]): this rule is left out: no glob comes near the regular expression
    // /^(main|next)$/
    let build_image = container("build-image", "docker:27")
        .shell([
            r#"docker login -u "$CI_REGISTRY_USER" -p "$CI_REGISTRY_PASSWORD" $CI_REGISTRY"#,
            r#"docker build -t "$CI_REGISTRY_IMAGE:$CI_COMMIT_REF_SLUG" ."#,
        ])
        .env("CI_COMMIT_REF_SLUG", slug(build))
        .secret_env("CI_REGISTRY_PASSWORD", &ci_registry_password)
        .restore_artifact_if_there("test", ".")
        .label("name", "build image")
        .needs(&vet)
        .needs(&test)
        .only_if(!build.workspace().glob(["Dockerfile"])?.is_empty(), "no rule of the job holds")
        .allow_failure();

    // Line 60 (stop review.needs[0]): the job `review` is not here
    let stop_review = container("stop-review", "alpine:3")
        .shell([
            "./stop.sh $CI_COMMIT_REF_SLUG",
        ])
        .env("GIT_STRATEGY", "none")
        .env("CI_COMMIT_REF_SLUG", slug(build))
        .label("name", "stop review")
        .needs(&build_image)
        .only_if(build.triggered_by("webhook/pull_request"), "no rule of the job holds")
        .manual()
        .allow_failure();

    Ok(vec![vet, test, build_image, stop_review])
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
        Simulation::new().branch("main").secret("CI_REGISTRY_PASSWORD", "a secret").graph(script);
    }
}
