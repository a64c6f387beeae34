//! A journal as a stream of lines.

use monkeyci_storage::journal::{JournalError, export, import};

use crate::database::try_with;
use crate::sample::{BUILD, report, written};

#[test]
fn a_journal_comes_through_a_stream_as_it_is_with_either_database() {
    let mut streams = Vec::new();
    for kind in ["sqlite", "postgres"] {
        try_with(kind, async |database| {
            let host = database.host().await;
            let events = written(&host).await;
            let mut stream = Vec::new();
            export(host.database(), BUILD, &mut stream).await.expect("written");
            assert_eq!(import(&*stream).expect("a journal"), (BUILD.to_owned(), events));
            streams.push(stream);
        });
    }
    assert!(streams[0] == streams[1], "the databases say it in different words");
}

#[test]
fn what_is_no_stream_or_a_newer_one_is_refused_with_the_reason() {
    for (stream, reason) in [
        ("", "it is no journal"),
        ("something else\n", "it is no journal"),
        ("monkeyci journal 2 o/r/1", "it is cut off"),
        ("monkeyci journal 1 o/r/1\n", "its layout is none"),
        ("monkeyci journal 2 o/r/1\nx\n", "it has no checksum"),
        ("monkeyci journal 3 o/r/1\n", "has layout 3"),
    ] {
        let refused = import(stream.as_bytes()).expect_err(stream);
        assert!(refused.to_string().contains(reason), "{stream:?}: {refused}");
    }
    assert_eq!(import(&b"monkeyci journal 2 o/r/1\n"[..]).expect("an empty one"), (BUILD.to_owned(), Vec::new()));
}

#[test]
fn the_records_of_one_build_do_not_pass_for_those_of_another() {
    try_with("sqlite", async |database| {
        let host = database.host().await;
        crate::sample::write(&mut host.begin(BUILD), vec![report("of this build")]).await.expect("written");
        let mut stream = Vec::new();
        export(host.database(), BUILD, &mut stream).await.expect("written");
        let other = String::from_utf8(stream).expect("text").replacen(BUILD, "o/r/2", 1);
        let refused = import(other.as_bytes()).expect_err("it is another build's");
        assert!(matches!(refused, JournalError::Damaged { number: 1, .. }), "{refused:?}");
    });
}
