//! What the author of a script says of it, for simulations.

use std::cell::RefCell;
use std::collections::BTreeSet;

/// Says that this holds, whatever happens. A simulation (`monkeyci-host sim`) in which it does not hold breaks the rule `always`; in a build it is
/// not looked at, so a script is none the worse for it. In a test that runs natively it is as `assert!`.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// fn script(build: &Build) -> Result<impl IntoJobs> {
///     let targets = build.declare(param("targets").default("linux"))?;
///     let packages: Vec<_> =
///         targets.split(',').filter(|target| !target.is_empty()).map(|target| container(target, "debian:12").shell(["make"])).collect();
///     assert_always(!packages.is_empty(), "something is packaged");
///     Ok(packages)
/// }
/// ```
pub fn assert_always(holds: bool, what: &str) {
    if holds {
        return;
    }
    if cfg!(not(target_arch = "wasm32")) {
        panic!("this does not hold always: {what}");
    }
    say("always broken", what);
}

/// Says that this is so in some builds. `monkeyci-host sim` fails where none of its seeds comes to it: then the tests are not worth what
/// they seem to be, or the code behind it is never run. Of a call that no seed reaches, nothing is known. In a build it is not looked at.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// fn script(_: &Build) -> Result<impl IntoJobs> {
///     let deploy = container("deploy", "debian:12").shell(["make deploy"]);
///     let tell = action("tell", |context| {
///         let deployed = context.look_up("deploy")?.succeeded();
///         assert_sometimes(!deployed, "somebody is told of a deployment that failed");
///         context.report(format!("deployed: {deployed}"))
///     });
///     Ok((deploy, tell.needs("deploy").always()))
/// }
/// ```
pub fn assert_sometimes(is_so: bool, what: &str) {
    say(if is_so { "sometimes reached" } else { "sometimes missed" }, what);
}

thread_local! {
    /// What has been said: once is enough.
    static SAID: RefCell<BTreeSet<(&'static str, String)>> = const { RefCell::new(BTreeSet::new()) };
}

/// A line of its own kind in the script's output, which the simulation reads. Nobody sees it in a build: only a simulation sets the variable.
fn say(how: &'static str, what: &str) {
    if std::env::var_os("MONKEYCI_SIMULATION").is_none() {
        return;
    }
    let what = what.replace('\n', " ");
    if SAID.with_borrow_mut(|said| said.insert((how, what.clone()))) {
        println!("monkeyci-assert {how}: {what}");
    }
}
