//! The build: a draft that `monkeyci-host import gitlab` made of python-matrix.yml. 3 parts of it are not translated,
//! or not as they stand there: the comments that begin with their lines say why. `monkeyci-host check` shows the
//! jobs, `monkeyci-host run` runs them.

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<Vec<ContainerJob>> {
    // Line 12 (cache[1].paths[0]): the path is left out: it is not in the workspace; have the tool keep its files
    // there

    let pypi_token = build.secret("PYPI_TOKEN")?;

    let mut test = Vec::new();
    for (id, python, database) in [
        ("test-3.11-postgres", "3.11", "postgres"),
        ("test-3.12-postgres", "3.12", "postgres"),
        ("test-3.13-postgres", "3.13", "postgres"),
        ("test-3.13-mysql", "3.13", "mysql"),
    ] {
        test.push(container(id, format!("python:{python}"))
            .shell([
                "pip install -e .[test]",
                "pytest --junitxml=report.xml --db=$DATABASE",
            ])
            .env("PYTHON", python)
            .env("PIP_CACHE_DIR", ".pip")
            .env("POSTGRES_PASSWORD", "test")
            .env("DATABASE", database)
            .service(service("postgres", "postgres:16").env("PYTHON", python).env("DATABASE", database).env("PIP_CACHE_DIR", ".pip").env("POSTGRES_PASSWORD", "test").ready_port(5432))
            .service(service("mysql", "mysql:8").argv([String::from("--default-authentication-plugin=mysql_native_password"), format!("--init-file=/sql/{database}.sql")]).env("PYTHON", python).env("DATABASE", database).env("PIP_CACHE_DIR", ".pip").env("POSTGRES_PASSWORD", "test").env("MYSQL_ROOT_PASSWORD", "test").ready_port(3306))
            .keep(cache("pip", ".pip").key(format!("pip-{}", slug(build))).fallback("pip-main"))
            .keep(cache("tools", ".tools").key("tools").save(SavePolicy::Never))
            .test_report("report.xml")
            .retry(2)
            .retry_on(RetryOn::Error)
            .retry_on(RetryOn::Timeout));
    }

    let mut shards = Vec::new();
    for (id, ci_node_index, ci_node_total) in [
        ("shards-1", "1", "3"),
        ("shards-2", "2", "3"),
        ("shards-3", "3", "3"),
    ] {
        shards.push(container(id, "python:3.12")
            .shell([
                "pytest --shard=$CI_NODE_INDEX/$CI_NODE_TOTAL",
            ])
            .env("PIP_CACHE_DIR", ".pip")
            .env("POSTGRES_PASSWORD", "test")
            .env("CI_NODE_INDEX", ci_node_index)
            .env("CI_NODE_TOTAL", ci_node_total)
            .keep(cache("pip", ".pip").key(format!("pip-{}", slug(build))).fallback("pip-main"))
            .keep(cache("tools", ".tools").key("tools").save(SavePolicy::Never)));
    }

    // Line 56 (wheel.artifacts.name): the artifact has the id of its job
    let wheel = container("wheel", "python:3.12")
        .shell([
            "python -m build",
            r#"for FILE in dist/*; do echo "$FILE"; done"#,
        ])
        .env("PIP_CACHE_DIR", ".pip")
        .env("POSTGRES_PASSWORD", "test")
        .save(artifact("wheel", ".").files(["dist/*.whl", "dist/*.tar.gz"]))
        .keep(cache("pip", ".pip").key(format!("pip-{}", slug(build))).fallback("pip-main"))
        .keep(cache("tools", ".tools").key("tools").save(SavePolicy::Never))
        .needs_all(&test)
        .needs_all(&shards)
        .only_if(build.branch_matches("main") || build.tag_matches("main") || build.branch_matches("release-**") || build.tag_matches("release-**") || build.tag().is_some(), "`only` of the job says so");

    // Line 62 (upload): `$PYPI_TOKEN` is set by nobody in this file: it is taken for a secret
    let upload = container("upload", "python:3.12")
        .shell([
            r#"twine upload dist/* -p "$PYPI_TOKEN""#,
        ])
        .env("PIP_CACHE_DIR", ".pip")
        .env("POSTGRES_PASSWORD", "test")
        .secret_env("PYPI_TOKEN", &pypi_token)
        .restore_artifact_if_there("wheel", ".")
        .keep(cache("pip", ".pip").key(format!("pip-{}", slug(build))).fallback("pip-main"))
        .keep(cache("tools", ".tools").key("tools").save(SavePolicy::Never))
        .needs_all(&test)
        .needs_all(&shards)
        .needs(&wheel)
        .only_if(build.tag().is_some(), "`only` of the job says so")
        .only_if(build.param_or("SKIP_UPLOAD", "")? != "yes", "`except` of the job says so")
        .manual();

    let mut jobs = vec![wheel, upload];
    jobs.extend(test);
    jobs.extend(shards);
    Ok(jobs)
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
        Simulation::new().branch("main").secret("PYPI_TOKEN", "a secret").graph(script);
    }
}
