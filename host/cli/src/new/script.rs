//! The build of this project. `monkeyci-host check` shows its jobs, `monkeyci-host run` runs them, and `monkeyci-host test` runs the
//! tests below.

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<impl IntoJobs> {
    let image = build.param_or("image", "debian:12")?;

    // Each line is run by a shell, in a copy of the code.
    let test = container("test", &image).shell(["ls -l", "echo 'put the commands of your tests here'"]);

    // Runs here, not in a container.
    let report = action("report", |context| {
        let took = context.look_up("test")?.duration().unwrap_or_default();
        context.report(format!("tested in {:.1} s", took.as_secs_f64()))
    });

    Ok((test, report.needs("test")))
}

monkeyci_sdk::script!(script);

#[cfg(test)]
mod tests {
    use monkeyci_sdk::testing::Simulation;

    use super::*;

    #[test]
    fn the_code_is_tested_and_then_reported() {
        let graph = Simulation::new().graph(script);
        assert_eq!(graph.ids(), ["test", "report"]);
    }
}
