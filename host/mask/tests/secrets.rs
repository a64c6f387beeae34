//! Which secrets are masked, and what of them.
#![allow(clippy::unwrap_used)]

use monkeyci_mask::{MaskError, Masks};

const PEM: &str = "-----BEGIN PRIVATE KEY-----
MIIBVAIBADANBgkqhkiG9w0BAQEFAASCAT4wggE6AgEAAkEAuNI8xYtSsVP9Yp8k
Jl1n0v3uQXGm2r5oTjv4c9a1Zk7wHyL8sB6eDqPiRtUfNx3MhCgWbKzAoXyEVSYd
ZGVhZA==
-----END PRIVATE KEY-----
";

fn masks(secret: &str) -> Masks {
    Masks::new([("secret", secret)]).unwrap()
}

#[test]
fn a_secret_too_short_to_mask_is_named_and_left() {
    let secrets = [("empty", ""), ("blank", "  \t\r\n  "), ("one", "x"), ("three", " abc\n"), ("four", "abcd")];
    let masks = Masks::new(secrets).unwrap();
    assert_eq!(masks.unmaskable(), ["empty", "blank", "one", "three"]);
    assert_eq!(masks.mask("x abc abcd"), "x abc ***");
}

#[test]
fn a_secret_that_looks_like_the_mask_is_named_and_left() {
    let masks = Masks::new([("mask", "***"), ("more", "*****")]).unwrap();
    assert_eq!(masks.unmaskable(), ["mask", "more"]);
    assert_eq!(masks.mask("*******"), "*******");
}

#[test]
fn blanks_around_a_secret_need_not_appear() {
    assert_eq!(masks("  the-secret\n").mask("[the-secret] [  the-secret\n]"), "[***] [  ***\n]");
    // printf '  the-secret\n' | base64
    assert_eq!(masks("  the-secret\n").mask("ICB0aGUtc2VjcmV0Cg=="), "ICB***Cg==");
}

#[test]
fn a_private_key_is_one_mask_with_either_kind_of_newline() {
    for text in [PEM.to_owned(), PEM.replace('\n', "\r\n")] {
        assert_eq!(masks(PEM).mask(&text).trim_end(), "***");
        assert_eq!(masks(&text).mask(PEM).trim_end(), "***");
    }
}

#[test]
fn a_private_key_is_masked_in_json() {
    assert_eq!(masks(PEM).mask(&PEM.replace('\n', "\\n")), "***\\n");
}

#[test]
fn the_lines_of_a_private_key_are_masked_each_but_not_its_armour() {
    let indented: String = PEM.lines().map(|line| format!("  | {line}\n")).collect();
    assert_eq!(
        masks(PEM).mask(&indented),
        "  | -----BEGIN PRIVATE KEY-----\n  | ***\n  | ***\n  | ***\n  | -----END PRIVATE KEY-----\n"
    );
    assert_eq!(masks(PEM).mask("-----BEGIN CERTIFICATE-----"), "-----BEGIN CERTIFICATE-----");
}

#[test]
fn short_lines_of_a_secret_document_are_masked_only_with_the_others() {
    let masks = masks("{\n  \"a\": 1,\n  \"password\": \"hunter2\"\n}");
    assert_eq!(masks.mask("{ \"a\": 1, }"), "{ \"a\": 1, }");
    assert_eq!(masks.mask("x {\n  \"a\": 1,\n  \"password\": \"hunter2\"\n} y"), "x *** y");
    assert_eq!(masks.mask("\t\"password\": \"hunter2\""), "\t***");
}

#[test]
fn a_secret_that_is_the_beginning_or_the_end_of_another_leaves_nothing_of_it() {
    let masks = Masks::new([("a", "secret"), ("b", "secret-suffix"), ("c", "prefix-secret")]).unwrap();
    assert_eq!(masks.mask("[secret] [secret-suffix] [prefix-secret] [secret-suff]"), "[***] [***] [***] [***-suff]");
}

#[test]
fn matches_that_overlap_or_touch_are_one_mask() {
    let masks = Masks::new([("a", "abcdef"), ("b", "defghi"), ("c", "1234")]).unwrap();
    assert_eq!(masks.mask("abcdefghi abcdef1234 12341234 1234 1234"), "*** *** *** *** ***");
    assert_eq!(masks.mask("abcdefabcdefghi"), "***");
}

#[test]
fn a_secret_of_16_kb_is_masked_wherever_the_chunks_end() {
    let secret: String =
        (0..16 * 1024).map(|n: u32| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 24) as u8 % 26)).collect();
    let (masks, text) = (masks(&secret), format!("before {secret} after"));
    for length in [1, 7, 1000, 16 * 1024, 20_000] {
        let (mut stream, mut out) = (masks.stream(), Vec::new());
        for chunk in text.as_bytes().chunks(length) {
            stream.push(chunk, &mut out);
        }
        stream.finish(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), "before *** after", "chunks of {length}");
    }
}

#[test]
fn a_secret_of_equal_letters_takes_no_longer_than_another() {
    // Quadratic, this would be some 10^11 steps.
    let masks = masks(&format!("{}b", "a".repeat(50_000)));
    let text = "a".repeat(2_000_000);
    let (mut stream, mut out) = (masks.stream(), Vec::new());
    text.as_bytes().chunks(8192).for_each(|chunk| stream.push(chunk, &mut out));
    stream.finish(&mut out);
    assert_eq!(out, text.as_bytes());
}

#[test]
fn a_secret_of_lines_that_end_each_other_takes_no_more_memory_than_another() {
    // To remember of each state all the lines that end there would take 10 GB.
    let mut lines: Vec<_> = (8..400).map(|n| "a".repeat(n)).collect();
    lines.push("a".repeat(80_000));
    assert_eq!(masks(&lines.join("\n")).mask(&lines.join(" ")), "*** ".repeat(lines.len()).trim_end());
}

#[test]
fn secrets_too_large_to_be_searched_for_are_an_error() {
    let error = Masks::new([("large", vec![b'x'; 40 << 20])]).unwrap_err();
    assert!(matches!(error, MaskError::TooLarge { .. }), "{error}");
}

#[test]
fn a_secret_that_is_not_text_is_masked() {
    let masks = Masks::new([("binary", [0, 255, 10, 200, 0, 1])]).unwrap();
    assert_eq!(*masks.mask_bytes(&[1, 0, 255, 10, 200, 0, 1, 1]), *b"\x01***\x01");
    assert_eq!(masks.mask("00ff0ac80001"), "***");
    assert_eq!(masks.mask("\\u00ff"), "\\u00ff");
}

#[test]
fn a_prompt_that_may_be_a_secret_appears_when_the_stream_pauses() {
    let (mut stream, mut out) = (masks("years of secrets").stream(), Vec::new());
    stream.push(b"Continue? y", &mut out);
    assert_eq!(out, b"Continue? ");
    stream.finish(&mut out);
    stream.push(b"es\n", &mut out);
    assert_eq!(out, b"Continue? yes\n");
}

#[test]
fn a_stream_after_another_has_masks_of_its_own() {
    let (mut stream, mut out) = (masks("swordfish").stream(), Vec::new());
    for _ in 0..2 {
        stream.push(b"swordfish", &mut out);
        stream.finish(&mut out);
    }
    assert_eq!(out, b"******");
}

#[test]
fn nothing_of_a_secret_is_in_the_debug_form() {
    let masks = masks("swordfish");
    let mut stream = masks.stream();
    stream.push(b"sword", &mut Vec::new());
    let text = format!("{masks:?} {stream:?}");
    assert!(!text.contains("sword") && !text.contains("115, 119"), "{text}");
}

/// A text as UTF-16.
fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_secret_is_masked_whatever_unseen_things_stand_between_its_letters() {
    let masks = masks("swordfish");
    let written: [&[u8]; 8] = [
        b"sword\x1b[01;31m\x1b[Kfish\x1b[m\x1b[K",
        b"s\x08w\x08o\x08r\x08d\x08f\x08i\x08s\x08h",
        &utf_16("swordfish"),
        b"sword\x1b]8;;https://example.org/\x1b\\fish",
        b"sword\x1b]0;title\x07fish",
        "sword\u{200b}fish".as_bytes(),
        "sword\u{202e}\u{85}fish".as_bytes(),
        b"sword\x1bcfi\r\0sh",
    ];
    for text in written {
        let shown = text.escape_ascii();
        let masked = masks.mask_bytes(text);
        assert!(masked.starts_with(b"***") && masked.len() < 12, "{shown}: {}", masked.escape_ascii());
        for size in 1..text.len() {
            let (mut stream, mut out) = (masks.stream(), Vec::new());
            text.chunks(size).for_each(|chunk| stream.push(chunk, &mut out));
            stream.finish(&mut out);
            assert_eq!(out, *masked, "{shown} in chunks of {size}");
        }
    }
}

#[test]
fn letters_that_a_space_or_a_line_parts_are_no_secret() {
    let text = "sword fish, sword\nfish, sword\tfish, sword\u{e9}fish, \x1b[31msword\x1b[0m-fish\n";
    assert_eq!(masks("swordfish").mask(text), text);
}

#[test]
fn an_escape_sequence_without_an_end_is_not_held_back_for_ever() {
    let (mut stream, mut out) = (masks("swordfish").stream(), Vec::new());
    stream.push(b"sword\x1b]0;", &mut out);
    let title = [b'x'; 4096];
    for _ in 0..256 {
        stream.push(&title, &mut out);
        assert!(stream.held_back() < 80 << 10, "{}", stream.held_back());
    }
    assert!(out.starts_with(b"sword\x1b]0;x"));
    stream.push(b"\x07 swordfish", &mut out);
    assert!(out.ends_with(b"x\x07 ***"), "{}", out[out.len() - 20..].escape_ascii());
}

#[test]
fn a_secret_that_is_only_seen_in_a_text_is_named_too() {
    let masks = masks("swordfish");
    assert_eq!(masks.find("sword\u{200b}fish"), masks.find("swordfish"));
    assert!(masks.find("sword\x1b[1mfish").is_some() && masks.find("sword fish").is_none());
}
