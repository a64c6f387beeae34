//! Bundles: written, read, and refused.

use monkeyci_build::Phase;
use monkeyci_storage::Journals;
use monkeyci_storage::journal::{Owner, export};

use super::*;

const BUILD: &str = "org/repo/1";

/// The smallest journal that names a script.
async fn journal(script: &[u8]) -> Bytes {
    journal_of(BUILD, script).await
}

async fn journal_of(build: &str, script: &[u8]) -> Bytes {
    let dir = tempfile::tempdir().expect("a directory");
    let journals = Journals::sqlite(&dir.path().join("journal.db"), Owner(1)).await.expect("a journal");
    let mut journal = journals.begin(build);
    let requested = serde_json::json!({
        "script": hex(&Sha256::digest(script)), "source": { "kind": "dir", "path": "/code" }, "max_running": 1,
    });
    let requested: Requested = serde_json::from_value(requested).expect("a request");
    let (id, trigger) = (build.to_owned(), "test".to_owned());
    for body in [
        EventBody::BuildTriggered { build: id, trigger },
        EventBody::BuildRequested { request: Box::new(requested) },
        EventBody::BuildWarned { message: "x".repeat(100) },
    ] {
        journal.append(7, body).expect("queued");
    }
    journal.durable().wait(journal.last()).await.expect("written");
    let mut stream = Vec::new();
    export(journals.database(), build, &mut stream).await.expect("exported");
    stream.into()
}

async fn bundle() -> Bundle {
    let script = Bytes::from_static(b"a script");
    let values = BTreeMap::from([("ab12".to_owned(), Bytes::from_static(b"large"))]);
    Bundle::new(journal(&script).await, script, values).expect("a bundle")
}

fn written(bundle: &Bundle) -> Vec<u8> {
    let mut bytes = Vec::new();
    bundle.write(&mut bytes).expect("written");
    bytes
}

/// The files of a bundle, for somebody who changes them.
fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let files = read_files(bytes, &UnpackLimits::default()).expect("an archive");
    files.into_iter().map(|(path, content)| (path.to_str().expect("text").to_owned(), content)).collect()
}

fn packed(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let files = files.iter().map(|(name, content)| (Path::new(name.as_str()), &content[..]));
    pack_files(files, &mut bytes).expect("packed");
    bytes
}

/// The same files with a manifest that says so.
fn sealed(mut files: BTreeMap<String, Vec<u8>>, layout: u32) -> Vec<u8> {
    let mut manifest: serde_json::Value = serde_json::from_slice(&files[MANIFEST]).expect("JSON");
    manifest["layout"] = layout.into();
    let own = files.iter().filter(|(name, _)| *name != MANIFEST);
    manifest["files"] = own.map(|(name, content)| (name.clone(), serde_json::json!(FileOf::of(content)))).collect();
    files.insert(MANIFEST.to_owned(), manifest.to_string().into_bytes());
    packed(&files)
}

#[tokio::test]
async fn a_bundle_has_all_that_was_written_and_the_same_one_has_the_same_bytes() {
    let bundle = bundle().await;
    let bytes = written(&bundle);
    assert_eq!(bytes, written(&bundle));
    let read = Bundle::read(&bytes).expect("a bundle");
    assert_eq!((read.build(), read.host()), (BUILD, bundle.host()));
    assert_eq!((read.events(), read.script()), (bundle.events(), bundle.script()));
    assert_eq!((&read.values, read.is_over()), (&bundle.values, false));
    assert_eq!(monkeyci_build::BuildState::of(read.events()).phase(), Phase::CheckingOut);
}

#[tokio::test]
async fn a_bundle_of_which_a_byte_has_changed_is_refused_whole_or_says_the_same() {
    let bundle = bundle().await;
    let bytes = written(&bundle);
    let mut taken = Vec::new();
    for at in 0..bytes.len() {
        assert!(Bundle::read(&bytes[..at]).is_err(), "{at} bytes of {}", bytes.len());
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        if let Ok(read) = Bundle::read(&changed) {
            assert_eq!((read.events(), read.script()), (bundle.events(), bundle.script()), "byte {at}");
            assert_eq!((&read.values, read.journal), (&bundle.values, bundle.journal.clone()), "byte {at}");
            taken.push(at);
        }
    }
    // A few bits say how it is compressed, and not what it says.
    assert!(taken.len() < bytes.len() / 50, "{taken:?} of {}", bytes.len());
}

#[tokio::test]
async fn a_bundle_that_somebody_has_put_together_is_refused_with_what_is_wrong_with_it() {
    let all = files(&written(&bundle().await));
    assert!(Bundle::read(&sealed(all.clone(), BUNDLE_LAYOUT)).is_ok(), "as it was");
    let changed = |name: &str, content: Option<&[u8]>| {
        let mut files = all.clone();
        match content {
            Some(content) => drop(files.insert(name.to_owned(), content.to_owned())),
            None => drop(files.remove(name)),
        }
        files
    };
    let journal = String::from_utf8(all[JOURNAL].clone()).expect("text");
    let other = journal.replace(&"x".repeat(100), &"y".repeat(100));
    let cut: String = journal.lines().take(3).map(|line| format!("{line}\n")).collect();
    let another = journal.replacen(BUILD, "..", 1);
    let mut of_two_names: serde_json::Value = serde_json::from_slice(&all[MANIFEST]).expect("JSON");
    of_two_names["files"]["values/./ab12"] = of_two_names["files"]["values/ab12"].clone();
    let mut twice = Vec::new();
    let (name, content) = (Path::new(SCRIPT), &all[SCRIPT][..]);
    pack_files([(name, content), (name, content)], &mut twice).expect("packed");
    let refused = [
        (
            packed(&changed(MANIFEST, Some(of_two_names.to_string().as_bytes()))),
            "values/./ab12: it is not what the manifest says",
        ),
        (twice, "it comes twice"),
        (sealed(changed(JOURNAL, Some(another.as_bytes())), 1), "it is not what its checksum is of"),
        (sealed(changed(SCRIPT, Some(b"another script")), 1), "another one than the build had"),
        (sealed(changed(SCRIPT, None), 1), "script.wasm: it is missing"),
        (sealed(changed(JOURNAL, None), 1), "journal: it is missing"),
        (sealed(changed(JOURNAL, Some(other.as_bytes())), 1), "it is not what its checksum is of"),
        (sealed(changed(JOURNAL, Some(cut.as_bytes())), 1), "not the whole journal"),
        (sealed(changed("notes", Some(b"")), 1), "it is no file of a bundle"),
        (packed(&changed("notes", Some(b""))), "the manifest does not name it"),
        (packed(&changed("values/ab12", Some(b"other"))), "it is not what the manifest says"),
        (packed(&changed(MANIFEST, Some(b"{}"))), "missing field `layout`"),
        (sealed(all.clone(), 0), "none that was ever written"),
        (sealed(all.clone(), BUNDLE_LAYOUT + 1), "a newer host wrote the bundle"),
        (b"#!/bin/sh".to_vec(), "this is no bundle"),
        (Vec::new(), "this is no bundle"),
    ];
    for (bytes, says) in refused {
        let error = Bundle::read(&bytes).expect_err(says);
        assert!(error.to_string().contains(says), "{says}: {error}");
    }
}

#[tokio::test]
async fn a_build_whose_id_would_name_something_else_in_a_home_is_refused() {
    let script = Bytes::from_static(b"a script");
    for id in ["org", "org/repo", "../../1", "org/../1", "org/repo/1/2", "org//1", "/repo/1", "org/repo/", "o r/a/b"] {
        let error = Bundle::new(journal_of(id, &script).await, script.clone(), BTreeMap::new()).expect_err(id);
        assert!(error.to_string().contains("a build that could be one of a home"), "{id}: {error}");
    }
    let id = "local/a.b_c-D/19a2-3";
    assert!(Bundle::new(journal_of(id, &script).await, script, BTreeMap::new()).is_ok());
}
