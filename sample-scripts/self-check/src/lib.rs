//! Checks the repository of monkeyci-host itself: the rules of its house that a shell can check, in parallel jobs.
//! With `--param cargo-image=IMAGE` (an image with the Rust toolchain) also formatting and the unit tests of the core.

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<impl IntoJobs> {
    let image = build.param_or("image", "busybox:1.37")?;

    let layout = container("layout", &image).shell([
        "unknown=$(ls | grep -vxE 'Cargo.toml|Cargo.lock|LICENSE.*|README.md|host|wit|guest-sdk|sample-scripts|tests|target' || true)",
        "if [ -n \"$unknown\" ]; then echo \"not in the agreed layout: $unknown\" >&2; exit 1; fi",
        "test -s README.md && ls LICENSE* >/dev/null",
    ]);

    let left_overs = container("left-overs", &image).shell([
        "found=$(find host guest-sdk -name '*.rs' | xargs grep -nE '^[^/\"]*(todo|unimplemented|dbg)!\\(' || true)",
        "if [ -n \"$found\" ]; then echo \"left-overs: $found\" >&2; exit 1; fi",
    ]);

    let long_files = container("long-files", &image).shell([
        "find host guest-sdk -name '*.rs' | xargs wc -l | awk '$2 != \"total\" && $1 > 450 { print; bad = 1 } END { exit bad }'",
    ]);

    let contract = container("contract", &image).shell([
        "for file in wit/*.wit; do grep -q '^package monkeyci:script@' $file || { echo \"$file names no package\" >&2; exit 1; }; done",
        "cat wit/*.wit | awk '/: (static )?func|constructor\\(/ && before !~ /\\/\\/\\// { print \"undocumented: \" $0; bad = 1 } { before = $0 } END { exit bad }'",
    ]);

    let cargo = build.param("cargo-image")?.map(|image| {
        container("cargo", image)
            .shell(["cargo fmt --all --check", "cargo test -p monkeyci-build"])
            .cache("cargo-target", "target")
            .needs(&layout)
    });

    let checks: Vec<ContainerJob> = [layout, left_overs, long_files, contract].into_iter().chain(cargo).collect();
    let names: Vec<String> = checks.iter().map(|job| JobRef::id(job).to_owned()).collect();
    let report = action("report", move |context| context.report(format!("checked: {}", names.join(", "))));
    let report = report.needs_all(&checks);
    Ok((checks, report))
}

monkeyci_sdk::script!(script);
