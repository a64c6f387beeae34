//! A pipeline from tests to a published release, for a Rust program.
//!
//! Tests run on every Rust version that is supported, with a cache for each lock file. On the main branch and on version tags,
//! the program is packaged, the notes are written, and, once a person has approved it, both are published.
//!
//! Parameters: `image` (without a version), `rust` (one version instead of all), `dry-run`. Secret: `PUBLISH_TOKEN`.

#[cfg(test)]
mod tests;

use std::time::Duration;

use monkeyci_sdk::prelude::*;

/// The Rust versions that the program supports; the last one builds the release.
const RUST: [&str; 3] = ["1.93", "1.94", "1.95"];

fn script(build: &Build) -> Result<impl IntoJobs> {
    let image =
        build.declare(param("image").default("rust").description("the image to build in, without its version"))?;
    let rust = build.declare(param("rust").choice(RUST).description("the one Rust version to test with"))?;
    let dry_run = build.declare(param("dry-run").boolean().default(false).description("publish nothing"))?;

    let released = build.on_main_branch() || build.tag_matches("v*");
    let crates = crates(build)?;
    let toolchain = |version: &str| format!("{image}:{version}");

    let tests = matrix()
        .axis("rust", rust.map_or(RUST.map(str::to_owned).to_vec(), |one| vec![one]))
        .axis("features", ["default", "all"])
        .exclude(|c| &c["features"] == "all" && &c["rust"] == RUST[0])
        .jobs(|c| {
            let features = if &c["features"] == "all" { "--all-features" } else { "" };
            container(c.id("test"), toolchain(&c["rust"]))
                .shell([format!("cargo test --locked {features} -- -Z unstable-options --format junit >report.xml")])
                .env("RUSTC_BOOTSTRAP", "1")
                .test_report("report.xml")
                .keep(crates.clone())
                .fail_fast("tests")
                .retry(2)
                .retry_on(RetryOn::Error)
                .timeout(Duration::from_secs(20 * 60))
        });

    let package = container("package", toolchain(RUST[RUST.len() - 1]))
        .shell([
            "cargo build --release --locked",
            "mkdir dist && cp target/release/app LICENSE dist/",
            "echo \"version=$(dist/app --version)\" >>\"$MONKEYCI_OUTPUTS\"",
        ])
        .keep(crates)
        .save(artifact("dist", "dist").files(["app", "LICENSE"]))
        .needs_all(&tests)
        .only_if(released, "only the main branch and version tags are released");

    let notes = action("notes", write_notes)
        .creates_artifact("notes")
        .needs(&package)
        .only_if(released, "only the main branch and version tags are released");

    let mut publish = container("publish", toolchain(RUST[RUST.len() - 1]))
        .shell(["sh tools/publish.sh dist notes"])
        .restore_artifact("dist", ".")
        .restore_artifact("notes", ".")
        .output_env("VERSION", &package, "version")
        .approval("publish this release for everybody?")
        .refine(refine_publish)
        .only_if(released && !dry_run, "only the main branch and version tags are published, and not in a dry run");
    if released && !dry_run {
        publish = publish.secret_env("PUBLISH_TOKEN", &build.secret("PUBLISH_TOKEN")?);
    }

    let summary = action("summary", summarise).needs_all(&tests).needs(&publish).always();
    Ok((tests, package, notes, publish, summary))
}

/// What cargo downloads and builds: one for each lock file, to begin with what was there before.
fn crates(build: &Build) -> Result<Cache> {
    let lock = build.workspace().hash_files(["Cargo.lock"]).context("a release needs a Cargo.lock")?;
    Ok(cache("crates", "target").key(format!("crates-{lock}")).fallback("crates-").save(SavePolicy::Miss))
}

/// Writes what is new, from the top of the change log, into an artifact.
fn write_notes(context: &Context) -> Result<()> {
    let version = context.look_up("package")?.output("version").context("package told no version")?;
    let log = context.workspace().read_to_string("CHANGELOG.md")?;
    let news: Vec<&str> = log.lines().skip_while(|line| !line.starts_with("## ")).skip(1).collect();
    let news: Vec<&str> = news.into_iter().take_while(|line| !line.starts_with("## ")).collect();
    if news.iter().all(|line| line.trim().is_empty()) {
        context.warn("the change log says nothing of this release")?;
    }
    context.write_file("notes/NOTES.md", format!("# {version}\n{}\n", news.join("\n")))?;
    context.artifacts().save("notes", "notes")?;
    Ok(())
}

/// A version that is published already is not published again; one before 1.0 goes to the testers only.
fn refine_publish(job: &mut Refine, context: &Context) -> Result<()> {
    let version = context.look_up("package")?.output("version").unwrap_or_default();
    let published = context.workspace().read_to_string("published-versions").unwrap_or_default();
    if published.lines().any(|line| line == version) {
        job.skip(format!("{version} is published already"));
    }
    job.env("CHANNEL", if version.starts_with("0.") { "testing" } else { "stable" });
    Ok(())
}

/// Says in one line what came of the build.
fn summarise(context: &Context) -> Result<()> {
    let mut tests = (0, 0);
    for job in RUST.iter().flat_map(|rust| [format!("test-{rust}-default"), format!("test-{rust}-all")]) {
        let summary = context.look_up(job).ok().and_then(|outcome| outcome.tests()).unwrap_or_default();
        tests = (tests.0 + summary.total, tests.1 + summary.failed);
    }
    let published = context.look_up("publish").is_ok_and(|publish| publish.succeeded());
    let version = context.look_up("package").ok().and_then(|package| package.output("version"));
    let what = match version {
        Some(version) if published => format!("{version} is published"),
        Some(version) => format!("{version} is packaged, not published"),
        None => "nothing is packaged".to_owned(),
    };
    context.report(format!("{} tests, {} failed; {what}", tests.0, tests.1))
}

monkeyci_sdk::script!(script);
