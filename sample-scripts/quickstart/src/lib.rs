//! The quickstart: an action job, two container jobs side by side (one with a service), a package, a report.
//!
//! It builds the project in `sample-scripts/demo-project`, and needs an image with a shell and the usual small tools;
//! the parameter `image` names it.

use monkeyci_sdk::prelude::*;

fn script(build: &Build) -> Result<impl IntoJobs> {
    let image = build.param_or("image", "busybox:1.37")?;
    let commit = build.commit().unwrap_or_else(|| "uncommitted".to_owned());

    let prepare = action("prepare", |context| {
        let build = context.build();
        let branch = build.branch().unwrap_or_else(|| "no branch".to_owned());
        println!("building {} on {branch}", build.id());
        if let Some(message) = build.message() {
            println!("last change: {}", message.lines().next().unwrap_or_default());
        }
        context.publish("quickstart/prepared", format!(r#"{{"branch":"{branch}"}}"#))
    });

    let unit_test = container("unit-test", &image).shell(["sh tests/greeting_test.sh"]).needs(&prepare);

    let web = service("web", &image)
        .argv([
            "sh",
            "-c",
            "mkdir /www && echo 'hello from the service' >/www/index.html && exec httpd -f -p 8080 -h /www",
        ])
        .ready_port(8080);
    let integration_test = container("integration-test", &image)
        .shell([
            "answer=$(wget -q -O - http://web:8080/)",
            "echo \"the service says: $answer\"",
            "test \"$answer\" = 'hello from the service'",
        ])
        .service(web)
        .needs(&prepare);

    let package = container("package", &image)
        .env("COMMIT", commit)
        .shell([
            "mkdir -p dist",
            "cp -r src version dist/",
            "echo \"$COMMIT\" >dist/commit",
            "tar -C dist -czf greeting.tar.gz .",
            "ls -l greeting.tar.gz",
        ])
        .save_artifact("greeting", "greeting.tar.gz")
        .needs(&unit_test)
        .needs(&integration_test);

    let report = action("report", |context| {
        let package = context.look_up("package")?;
        ensure!(package.succeeded(), "package: {}", package.message().unwrap_or_default());
        let took = package.duration().unwrap_or_default();
        context.report(format!("greeting is packaged (in {:.1} s), artifact `greeting`", took.as_secs_f64()))
    })
    .needs(&package);

    Ok((prepare, unit_test, integration_test, package, report))
}

monkeyci_sdk::script!(script);
