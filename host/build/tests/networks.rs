//! What is said of a job's network.

mod declared;

use declared::{container, faults, jobs, owned};
use monkeyci_build::{JobDraft, NetworkMode};

#[test]
fn what_a_job_reaches_is_a_mode_and_destinations() {
    let draft = JobDraft {
        network: Some("none".into()),
        network_allow: owned(&["10.1.2.3:5432", "Db.Example.org"]),
        ..container("job")
    };
    let jobs = jobs(&[draft, container("other")]);
    let network = |at: usize| {
        let spec = jobs[at].container().expect("a container job");
        (spec.network, spec.network_allow.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(network(0), (NetworkMode::None, owned(&["10.1.2.3:5432", "db.example.org"])));
    assert_eq!(network(1), (NetworkMode::Internet, vec![]));
}

#[test]
fn a_network_that_is_none_is_a_fault() {
    let draft = JobDraft {
        network: Some("intranet".into()),
        network_allow: owned(&["10.1.2.3", "10.0.0.0/40", "http://x"]),
        ..container("job")
    };
    let expected = [
        "job network unknown-word",
        "job network-allow(#2) invalid-destination",
        "job network-allow(#3) invalid-destination",
    ];
    assert_eq!(faults(&[draft]), expected);
    let many = JobDraft { network_allow: vec!["10.0.0.1".into(); 65], ..container("job") };
    assert_eq!(faults(&[many]), ["job network-allow too-many-destinations"]);
}
