//! What jobs say of their results.

use monkeyci_sdk::prelude::*;

use crate::probe::{Case, Probe, all, refused};

const JUNIT: &str = r#"<?xml version="1.0"?><testsuites><testsuite name="suite" tests="4" failures="1" errors="1" skipped="1"><testcase classname="suite" name="good" time="0.25"/><testcase classname="suite" name="bad" time="0.5"><failure message="1 is not 2"/></testcase><testcase classname="suite" name="broken"><error message="boom"/></testcase><testcase classname="suite" name="later"><skipped/></testcase></testsuite></testsuites>"#;

pub fn jobs(case: &str, probe: &Probe) -> Case {
    let sh = |id: &str, lines: &[&str]| probe.sh(id, lines);
    match case {
        "outputs" => {
            let make = sh(
                "make",
                &["echo version=1.2.3 >>\"$MONKEYCI_OUTPUTS\"", "echo 'title=a = b' >>\"$MONKEYCI_OUTPUTS\""],
            );
            let act = action("act", |context| {
                context.output("number", 42)?;
                context.output("lines", "one\ntwo")
            });
            let use_it =
                sh("use", &["echo \"version $VERSION number $NUMBER\"", "echo \"lines $(echo \"$TEXT\" | wc -l)\""])
                    .output_env("VERSION", &make, "version")
                    .output_env("NUMBER", &act, "number")
                    .output_env("TEXT", &act, "lines");
            let look = action("look", |context| {
                println!("make: {:?}", context.look_up("make")?.outputs());
                println!(
                    "act: {:?} {:?}",
                    context.look_up("act")?.output("number"),
                    context.look_up("act")?.output("none")
                );
                Ok(())
            });
            all((make, act, use_it, look.needs("use")))
        }
        "outputs-missing" => {
            all((sh("make", &["true"]), sh("use", &["echo never"]).output_env("X", "make", "nothing")))
        }
        "outputs-broken" => all(sh("make", &["echo a=1 >>$MONKEYCI_OUTPUTS", "echo 'b: 2' >>$MONKEYCI_OUTPUTS"])),
        "outputs-told" => all((
            sh(
                "tells",
                &[
                    "printf 'notes<<END\\none\\ntwo\\nEND\\n' >>$MONKEYCI_OUTPUTS",
                    "echo monkeyci.coverage=81.5 >>$MONKEYCI_OUTPUTS",
                    "echo monkeyci.message=all is well >>$MONKEYCI_OUTPUTS",
                    "echo monkeyci.link.site=https://example.com/1 >>$MONKEYCI_OUTPUTS",
                ],
            ),
            action("look", |context| {
                let told = context.look_up("tells")?;
                println!("{:?} {:?} {:?}", told.output("notes"), told.coverage(), told.links());
                Ok(())
            })
            .needs("tells"),
        )),
        "results" => all((
            action("warns", |context| {
                context.message("this is not the last word")?;
                context.message("all is well, nearly")?;
                context.warn("one thing is odd")?;
                context.link("the site", "https://example.com/1")?;
                context.coverage(81.5)?;
                refused("a link to a file", context.link("a file", "file:///etc/passwd"))?;
                refused("a coverage of 101", context.coverage(101.0))?;
                refused("an output with a space", context.output("a b", 1))
            }),
            action("skips", |context| context.skip("there is nothing to do")),
            sh("after-skips", &["echo after the skip"]).needs("skips"),
            action("fails", |context| {
                context.output("reached", "here")?;
                context.message("it was like this")?;
                bail!("no luck today")
            })
            .allow_failure(),
            action("look", look).needs_all(["warns", "skips", "after-skips", "fails"]).always(),
        )),
        "junit" => {
            let write = format!("mkdir reports && printf %s '{JUNIT}' >reports/TEST-all.xml");
            let tests = sh("tests", &[&write, "exit 2"]).test_report("reports/*.xml").allow_failure();
            let own = action("own", |context| {
                refused("a report that is not XML", context.test_report("no XML"))?;
                context.test_report(JUNIT)
            });
            let none = sh("no-report", &["true"]).test_report("reports/*.xml");
            let cut = sh("cut-off", &["echo '<testsuite><testcase name=\"a\"' >cut.xml"]).test_report("*.xml");
            let look = action("look", |context| {
                for id in ["tests", "own", "no-report"] {
                    println!("{id}: {:?}", context.look_up(id)?.tests());
                }
                Ok(())
            });
            all((tests, own, none, cut, look.needs_all(["tests", "own", "no-report"])))
        }
        _ => Ok(None),
    }
}

fn look(context: &Context) -> Result<()> {
    for id in ["warns", "skips", "after-skips", "fails"] {
        let it = context.look_up(id)?;
        println!("{id}: {:?} {:?} {:?} {:?} {:?}", it.status(), it.message(), it.links(), it.coverage(), it.outputs());
    }
    Ok(())
}
