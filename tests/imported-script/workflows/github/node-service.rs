//! The build "Node service": a draft that `monkeyci-host import github` made of node-service.yml. 8 parts of it are
//! not translated, or not as they stand there: the comments that begin with their lines say why. `monkeyci-host
//! check` shows the jobs, `monkeyci-host run` runs them.

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<Vec<ContainerJob>> {
    // Line 4 (permissions): jobs get no token of GitHub; give one as a secret to the job that needs it

    let test_api_key = build.secret("TEST_API_KEY")?;

    let lint = container("lint", "node:22")
        .shell([
            r"cd server
npm ci",
            r#"cd server
npm run lint -- --output "lint.txt""#,
        ])
        .shell_each();

    // Line 27 (jobs.test.services.postgres): the job reaches this service as `postgres`, and not as `localhost`
    // Line 33 (jobs.test.services.postgres.options): of these options, only `--health-cmd` is translated, and not
    // `--health-interval 10s --health-retries 5`
    // Line 37 (jobs.test.services.cache): the job reaches this service as `cache`, and not as `localhost`
    // Line 70 (jobs.test.steps[6]): the step is left out, because of its condition `github.actor ==
    // 'dependabot[bot]'`: a script does not know `github.actor`
    // Line 78 (jobs.test.steps[7].with.retention-days): all of a build is kept for as long as `monkeyci-host gc
    // --older-than` says
    let mut test = Vec::new();
    for (id, node) in [
        ("test-20", "20"),
        ("test-22", "22"),
    ] {
        test.push(container(id, format!("node:{node}"))
            .shell([
                // Line 51 (jobs.test.steps[1].with.cache): keep it with `.cache(…)`, in a directory of the workspace
                // that the tool is told of
                // Line 54 (jobs.test.steps[2].with.path): `~/.npm` is not kept: caches are directories of the
                // workspace; have the tool keep its files there (`CARGO_HOME`, `npm_config_cache`, …)
                // Install
                r"cd server
npm ci",
                // Migrate
                r"cd server/db
npx knex migrate:latest",
                // Test
                r#"export NODE_ENV='test'
cd server
npm test -- --reporter="spec" --sha "${MONKEYCI_COMMIT}""#,
            ])
            .shell_each()
            .shell_program(["/bin/bash"])
            .with_git()
            .env("DATABASE_URL", "postgres://postgres:postgres@localhost:5432/app")
            .secret_env("API_KEY", &test_api_key)
            .service(service("postgres", "postgres:16").env("POSTGRES_PASSWORD", "postgres").env("POSTGRES_DB", "app").ready_port(5432).ready_command(["/bin/sh", "-c", "pg_isready -U postgres"]))
            .service(service("cache", "redis:7").ready_port(6379))
            .save(artifact(format!("reports-{node}"), "server/reports").always())
            .keep(cache("server-node_modules", "server/node_modules").key(format!("Linux-node-{node}-{}", build.workspace().hash_files(["server/package-lock.json"]).unwrap_or_default())).fallback(format!("Linux-node-{node}-")).fallback("Linux-node-").save(SavePolicy::Miss))
            .needs(&lint)
            .fail_fast("test"));
    }

    let mut jobs = vec![lint];
    jobs.extend(test);
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
        Simulation::new().branch("main").secret("TEST_API_KEY", "a secret").graph(script);
    }
}
