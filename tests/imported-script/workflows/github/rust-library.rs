//! The build "CI": a draft that `monkeyci-host import github` made of rust-library.yml. 3 parts of it are not
//! translated, or not as they stand there: the comments that begin with their lines say why. `monkeyci-host check`
//! shows the jobs, `monkeyci-host run` runs them.

use std::time::Duration;

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<Vec<ContainerJob>> {
    // Line 11 (concurrency): builds of this host do not stop each other

    let wanted = build.branch_matches("main") || build.triggered_by("webhook/pull_request");

    // Line 18 (jobs.test.runs-on): jobs run in containers of Linux: those for windows-latest are left out
    let mut test = Vec::new();
    for (id, _os, rust, features) in [
        ("test-ubuntu-latest-1.85", "ubuntu-latest", "1.85", ""),
        ("test-ubuntu-latest-1.95", "ubuntu-latest", "1.95", ""),
        ("test-ubuntu-22.04-1.95", "ubuntu-22.04", "1.95", "--all-features"),
    ] {
        let mut one_test = container(id, format!("rust:{rust}"))
            .shell_each()
            .shell_program(["/bin/bash"])
            .env("CARGO_TERM_COLOR", "always")
            .keep(cache("rust-target", "target").key(format!("rust-{}", build.workspace().hash_files(["**/Cargo.lock"]).unwrap_or_default())).fallback("rust-"))
            .label("name", format!("Test on Rust {rust}"))
            .only_if(wanted, "the workflow does not run for this")
            .timeout(Duration::from_secs(1800));
        one_test = one_test.shell(["rustup component add clippy rustfmt"]);
        // Formatting
        if rust == "1.95" {
            one_test = one_test.shell(["cargo fmt --check"]);
        }
        one_test = one_test.shell(["cargo clippy --all-targets -- -D warnings"]);
        // Tests
        one_test = one_test.shell([format!(r"export RUST_BACKTRACE='1'
cargo test --locked {features}
cargo test --doc")]);
        test.push(one_test);
    }

    let minimal_versions = container("minimal-versions", "rustlang/rust:nightly")
        .shell([
            "cargo update -Z minimal-versions && cargo check",
        ])
        .shell_program(["/bin/bash"])
        .env("CARGO_TERM_COLOR", "always")
        .needs_all(&test)
        .only_if(wanted, "the workflow does not run for this")
        .allow_failure();

    // Line 67 (jobs.coverage.steps[3]): `codecov/codecov-action@v4` is a program of GitHub's; say with commands, or
    // another image, what it does
    let coverage = container("coverage", "rust:1")
        .shell([
            "cargo llvm-cov --lcov --output-path lcov.info",
        ])
        .shell_program(["/bin/bash"])
        .env("CARGO_TERM_COLOR", "always")
        .needs_all(&test)
        .only_if(wanted, "the workflow does not run for this")
        .only_if(build.branch_matches("main"), "only if github.ref == 'refs/heads/main'");

    let mut jobs = vec![minimal_versions, coverage];
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
        Simulation::new().branch("main").graph(script);
    }
}
