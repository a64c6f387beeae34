//! What a script learns of its build.

use monkeyci_sdk::prelude::*;
use monkeyci_sdk::testing::Simulation;

/// Lets a closure look at the build that a simulation makes.
#[track_caller]
fn look(simulation: Simulation, look: impl FnOnce(&Build)) {
    simulation.graph(look);
}

#[test]
fn a_build_is_what_the_simulation_says() {
    let simulation = Simulation::new()
        .id("me/app/7")
        .trigger("webhook/push")
        .branch("main")
        .commit("abc")
        .base_commit("def")
        .changed(["src/b.rs", "src/a.rs"])
        .renamed("old", "new");
    look(simulation.clone(), |build| {
        assert_eq!(
            (build.id(), build.org(), build.repo(), build.build()),
            ("me/app/7".into(), "me".into(), "app".into(), "7".into())
        );
        assert!(build.triggered_by("webhook") && build.triggered_by("webhook/push"));
        assert!(!build.triggered_by("web") && !build.triggered_by("webhook/pull") && !build.triggered_by("cli"));
        assert!(build.on_main_branch() && build.branch_matches("m*") && !build.tag_matches("*"));
        assert_eq!((build.commit().as_deref(), build.base_commit().as_deref()), (Some("abc"), Some("def")));
        assert_eq!(build.git_ref().as_deref(), Some("refs/heads/main"));
        assert!(build.touched("src/*.rs") && build.touched("old") && !build.touched("doc/**"));
        assert_eq!(
            build.changes().map(|changes| changes.modified.clone()),
            Some(vec!["src/a.rs".into(), "src/b.rs".into()])
        );
    });
    look(simulation.tag("v1"), |build| assert!(build.branch().is_none() && build.tag_matches("v?")));
    look(Simulation::new(), |build| assert!(build.changes().is_none() && build.touched("anything")));
}

#[test]
fn declared_parameters_have_types() {
    let script = |build: &Build| -> Result<()> {
        let workers: i64 = build.declare(param("workers").integer().default(4))?;
        let ratio: f64 = build.declare(param("ratio").number().default(0.5))?;
        let fast: Option<bool> = build.declare(param("fast").boolean())?;
        let mode: String = build.declare(param("mode").choice(["a", "b"]).default("a"))?;
        let version: String = build.declare(param("version").required().description("what to call it"))?;
        println!("{workers} {ratio} {fast:?} {mode} {version}");
        ensure!((workers, fast, version.as_str()) == (7, Some(true), "v1"), "{workers} {fast:?} {version}");
        ensure!((ratio, mode.as_str()) == (0.5, "a"), "{ratio} {mode}");
        Ok(())
    };
    let simulation = Simulation::new().param("workers", "7").param("fast", "true").param("version", "v1");
    let graph = simulation.graph(script);
    assert_eq!(graph.params().len(), 5);
    assert_eq!(graph.params()[4].description.as_deref(), Some("what to call it"));
}

#[test]
fn a_script_goes_on_after_an_unfit_value_so_that_all_faults_are_found() {
    let script = |build: &Build| -> Result<_> {
        let workers = build.declare(param("workers").integer().default(4))?;
        let fast = build.declare(param("fast").boolean())?;
        assert_eq!((workers, fast), (4, None));
        Ok(container("a", "debian:12").shell(["true"]).needs("nobody"))
    };
    let simulation = Simulation::new().param("workers", "many").param("fast", "maybe");
    let faults = simulation.try_graph(script).expect_err("there are faults");
    assert_eq!(
        faults,
        [
            "parameter \"workers\": \"many\" is not a whole number",
            "parameter \"fast\": \"maybe\" is not true or false",
            "job \"a\": there is no job \"nobody\", which it needs"
        ]
    );
}

#[test]
fn a_script_ends_at_a_required_parameter_without_value_and_its_fault_is_reported() {
    let script = |build: &Build| build.declare(param("version").required()).map(|_| ());
    let faults = Simulation::new().try_graph(script).expect_err("nobody gave it");
    assert_eq!(faults, ["parameter \"version\": is required, and nobody gave it"]);
    let unfit = |build: &Build| build.declare(param("count").integer().required()).map(|_| ());
    let faults = Simulation::new().param("count", "x").try_graph(unfit).expect_err("it does not fit");
    assert_eq!(faults, ["parameter \"count\": \"x\" is not a whole number"]);
}

#[test]
fn a_declaration_that_is_wrong_is_a_fault() {
    let faults = |script: fn(&Build) -> Result<()>| Simulation::new().try_graph(script).err().unwrap_or_default();
    let twice = faults(|build| {
        build.declare(param("a").default("1"))?;
        build.declare(param("a").integer().default(1))?;
        Ok(())
    });
    assert_eq!(twice, ["parameter \"a\": is declared in two ways"]);
    let name = faults(|build| build.declare(param("a=b")).map(|_| ()));
    assert_eq!(name.len(), 1);
    let default = faults(|build| build.declare(param("a").choice(["x"]).default("y")).map(|_| ()));
    assert_eq!(default, ["parameter \"a\": the default \"y\" is not one of x"]);
    let same = faults(|build| {
        build.declare(param("a").default("1"))?;
        build.declare(param("a").default("1"))?;
        Ok(())
    });
    assert_eq!(same, [""; 0]);
}

#[test]
fn simulations_do_not_see_each_other() {
    let simulation = Simulation::new().param("a", "1");
    for _ in 0..2 {
        look(simulation.clone().changed(["x"]), |build| {
            assert_eq!(build.param("a").ok().flatten().as_deref(), Some("1"));
            Simulation::new()
                .graph(|inner| assert!(inner.param("a").is_ok_and(|a| a.is_none()) && inner.changes().is_none()));
            assert_eq!(build.params().unwrap_or_default(), ["a"]);
        });
    }
}
