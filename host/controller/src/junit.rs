//! JUnit XML: the form of test reports that every test runner can write.
//!
//! There is no standard; what counts here is what all dialects share: `testcase` elements, with `failure`, `error` or
//! `skipped` in them, and their `name`, `classname`, `time` and `status`. Numbers in `testsuite` elements are not believed.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use monkeyci_build::{TestFailure, TestSummary};
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// How much memory the tests of a build take, in bytes, that are told by name.
pub(crate) const MAX_NAMED: usize = 64 * 1024 * 1024;
/// How deep elements may be nested.
pub(crate) const DEPTH: usize = 100;
/// The longest name or message of a failure, in characters.
pub(crate) const WORDS: usize = 300;

/// A test case that is being read.
#[derive(Default)]
struct Case {
    name: String,
    failure: Option<Failure>,
    /// Whether what is read is inside the first failure.
    in_failure: bool,
    skipped: bool,
    /// Whether it is disabled, or did not run.
    not_run: bool,
    seconds: f64,
}

/// What a test case says of its failure.
#[derive(Default)]
struct Failure {
    message: String,
    text: String,
    kind: String,
}

impl Failure {
    /// The message; where there is none the text, and then the type.
    fn words(&self) -> &str {
        let filled = |text: &&str| !text.trim().is_empty();
        [self.message.as_str(), &self.text, &self.kind].into_iter().find(filled).unwrap_or_default().trim()
    }
}

/// The text of a report, whatever its encoding: that of its byte order mark, or of its XML declaration, or UTF-8.
///
/// # Errors
/// Says which encoding is not known.
pub(crate) fn decode(xml: &[u8]) -> Result<Cow<'_, str>, String> {
    if let Some((encoding, mark)) = Encoding::for_bom(xml) {
        return Ok(encoding.decode_without_bom_handling(&xml[mark..]).0);
    }
    let encoding = match xml {
        [b'<', 0, ..] => UTF_16LE,
        [0, b'<', ..] => UTF_16BE,
        _ => match declared(xml) {
            Some(label) => {
                let unknown = || format!("its encoding {:?} is not known", String::from_utf8_lossy(label));
                let encoding = Encoding::for_label(label).ok_or_else(unknown)?;
                // What says that it is UTF-16, and could be read so far as it is, is something else.
                if encoding == UTF_16LE || encoding == UTF_16BE { UTF_8 } else { encoding }
            }
            None => UTF_8,
        },
    };
    Ok(encoding.decode_without_bom_handling(xml).0)
}

/// The encoding that an XML declaration names.
fn declared(xml: &[u8]) -> Option<&[u8]> {
    let end = xml.windows(2).take(1000).position(|two| two == b"?>")?;
    let declaration = xml[..end].trim_ascii_start().strip_prefix(b"<?xml")?;
    let name = b"encoding";
    let at = declaration.windows(name.len()).position(|word| word == name)?;
    let value = declaration[at + name.len()..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let quote = *value.first().filter(|quote| matches!(quote, b'"' | b'\''))?;
    value[1..].split(|byte| *byte == quote).next()
}

/// A test case of a report.
pub(crate) struct Told<'a> {
    /// Its name, with its class or suite in front.
    pub(crate) name: &'a str,
    /// What it says of its failure; `None` if it did not fail.
    pub(crate) failure: Option<&'a str>,
    /// Whether it was skipped.
    pub(crate) skipped: bool,
    /// Whether it is disabled, or did not run for another reason that is no skip.
    pub(crate) not_run: bool,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// Counts the tests of a report. What is said of failures goes through `mask` before it is cut: what is left of a secret that
/// was cut in two would not be known any more.
///
/// # Errors
/// Says what is wrong with the document.
pub(crate) fn parse(xml: &str, mask: impl Fn(&str) -> String) -> Result<TestSummary, String> {
    let (mut summary, mut seconds) = (TestSummary::default(), 0.0);
    read(xml, &mut |case: Told<'_>| {
        let said = |failure: &str| TestFailure { name: short(&mask(case.name)), message: short(mask(failure).trim()) };
        let one = TestSummary {
            total: 1,
            failed: u32::from(case.failure.is_some()),
            skipped: u32::from(case.skipped),
            not_run: u32::from(case.not_run),
            duration_ms: 0,
            failures: case.failure.map(said).into_iter().collect(),
        };
        summary.add(one);
        seconds += case.seconds;
    })?;
    // A report may claim any time; what does not fit is as good as the largest that does.
    summary.duration_ms = (seconds * 1000.0).round() as u64;
    Ok(summary)
}

/// Hands each test case of a report to `each`.
///
/// # Errors
/// Says what is wrong with the document.
pub(crate) fn read(xml: &str, each: &mut dyn FnMut(Told<'_>)) -> Result<(), String> {
    let mut reader = Reader::from_str(xml);
    let (mut case, mut depth, mut seen_root) = (None::<Case>, 0_usize, false);
    loop {
        let event = reader.read_event().map_err(|error| format!("{error} (at byte {})", reader.error_position()))?;
        match event {
            Event::Eof if depth > 0 => return Err("the document ends in the middle".to_owned()),
            Event::Eof if !seen_root => return Err("the document is empty".to_owned()),
            Event::Eof => return Ok(()),
            Event::Start(element) => {
                depth += 1;
                if depth > DEPTH {
                    return Err(format!("elements are nested deeper than {DEPTH}"));
                }
                open(&element, &mut case, &mut seen_root)?;
            }
            Event::Empty(element) => {
                open(&element, &mut case, &mut seen_root)?;
                close(element.local_name().as_ref(), &mut case, each);
            }
            Event::End(element) => {
                depth = depth.saturating_sub(1);
                close(element.local_name().as_ref(), &mut case, each);
            }
            Event::Text(text) => add_text(&mut case, &String::from_utf8_lossy(&text)),
            Event::CData(text) => add_text(&mut case, &String::from_utf8_lossy(&text)),
            Event::GeneralRef(reference) => add_text(&mut case, &resolved(&reference)),
            _ => {}
        }
    }
}

/// The character that a reference stands for. The document's own entities are not expanded: they stay as they are written.
fn resolved(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return character.to_string();
    }
    let written = format!("&{};", String::from_utf8_lossy(reference));
    unescape(&written).map(Cow::into_owned).unwrap_or(written)
}

fn open(element: &BytesStart<'_>, case: &mut Option<Case>, seen_root: &mut bool) -> Result<(), String> {
    let name = element.local_name();
    if !std::mem::replace(seen_root, true) && !matches!(name.as_ref(), b"testsuites" | b"testsuite") {
        let name = String::from_utf8_lossy(name.as_ref()).into_owned();
        return Err(format!("its outermost element is {name:?}, and not \"testsuites\" or \"testsuite\""));
    }
    let of = |wanted: &str| attribute(element, wanted);
    match (name.as_ref(), &mut *case) {
        (b"testcase", _) => {
            let own = of("name").unwrap_or_else(|| "(no name)".to_owned());
            let name = match of("classname") {
                Some(class) if !class.is_empty() => format!("{class}: {own}"),
                _ => own,
            };
            let seconds = of("time").and_then(|time| seconds_of(&time)).unwrap_or_default();
            let not_run = of("status")
                .is_some_and(|status| ["disabled", "notrun"].iter().any(|word| status.eq_ignore_ascii_case(word)));
            *case = Some(Case { name, seconds, not_run, ..Case::default() });
        }
        (b"failure" | b"error", Some(case)) if case.failure.is_none() => {
            let (message, kind) = (of("message").unwrap_or_default(), of("type").unwrap_or_default());
            case.failure = Some(Failure { message, kind, text: String::new() });
            case.in_failure = true;
        }
        (b"skipped", Some(case)) => case.skipped = true,
        _ => {}
    }
    Ok(())
}

/// `0.5`, `1,000.25` and, where a locale's decimal comma was printed, `0,5`.
fn seconds_of(time: &str) -> Option<f64> {
    let time = time.trim();
    let plain = match (time.find('.'), time.matches(',').count()) {
        (Some(_), _) => time.replace(',', ""),
        (None, 1) => time.replace(',', "."),
        (None, _) => time.replace(',', ""),
    };
    plain.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
}

fn close(name: &[u8], case: &mut Option<Case>, each: &mut dyn FnMut(Told<'_>)) {
    match (name, &mut *case) {
        (b"failure" | b"error", Some(case)) => case.in_failure = false,
        (b"testcase", Some(_)) => {
            let Some(ended) = case.take() else { return };
            let has_failed = ended.failure.is_some();
            each(Told {
                name: &ended.name,
                failure: ended.failure.as_ref().map(Failure::words),
                skipped: ended.skipped && !has_failed,
                not_run: ended.not_run && !ended.skipped && !has_failed,
                seconds: ended.seconds,
            });
        }
        _ => {}
    }
}

fn add_text(case: &mut Option<Case>, text: &str) {
    if let Some(Case { in_failure: true, failure: Some(failure), .. }) = case {
        failure.text.push_str(text);
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok()??;
    let text = String::from_utf8_lossy(&found.value).into_owned();
    Some(unescape(&text).map(Cow::into_owned).unwrap_or(text))
}

/// The first line, not too long.
pub(crate) fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(xml: &[u8]) -> Result<TestSummary, String> {
        parse(&decode(xml)?, str::to_owned)
    }

    /// The failures of a report, each as `name | message`.
    fn failures(xml: &[u8]) -> Vec<String> {
        let summary = counted(xml).expect("a report");
        summary.failures.into_iter().map(|failure| format!("{} | {}", failure.name, failure.message)).collect()
    }

    fn real(name: &str) -> Vec<u8> {
        let path = format!("{}/../../tests/fixtures/junit/{name}.xml", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn the_reports_of_real_tools_give_their_counts() {
        for (name, counts) in [
            ("pytest", (19, 12, 2)),
            ("jest", (6, 3, 1)),
            ("jest-suite-errors", (8, 5, 1)),
            ("vitest", (6, 2, 2)),
            ("surefire", (6, 2, 2)),
            ("nextest", (6, 4, 0)),
            ("ctest", (7, 3, 2)),
            ("phpunit", (9, 5, 2)),
            ("gotestsum", (6, 3, 1)),
            ("enc-utf16le-bom", (6, 2, 2)),
            ("enc-latin1", (6, 2, 2)),
            ("enc-utf16-name-utf8-bytes", (6, 2, 2)),
        ] {
            let summary = counted(&real(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((summary.total, summary.failed, summary.skipped), counts, "{name}");
        }
        assert!(counted(&real("bats")).is_err(), "it is cut off");
    }

    #[test]
    fn texts_keep_what_is_escaped_in_them() {
        let php = failures(&real("phpunit"));
        assert!(
            php.contains(
                &"ATest: testP with data set \"two <2>\" | ATest::testP with data set \"two <2>\" (2)".to_owned()
            ),
            "{php:?}"
        );
        let jest = failures(&real("jest"));
        assert!(jest.contains(&"outer inner throws: outer inner throws | Error: boom < & >".to_owned()), "{jest:?}");
        let xml =
            b"<testsuite><testcase name='a'><failure>&#60;b&#x3e; &amp;&lt;&unknown;</failure></testcase></testsuite>";
        assert_eq!(failures(xml), ["a | <b> &<&unknown;"]);
    }

    #[test]
    fn an_empty_message_gives_way_to_the_text_and_that_to_the_type() {
        let xml = br#"<testsuite>
            <testcase name="a"><failure message="" type="T">
               the text</failure></testcase>
            <testcase name="b"><failure message=" " type="T"> </failure></testcase>
            <testcase name="c"><error message="said" type="T">the text</error><failure message="second"/></testcase>
            </testsuite>"#;
        assert_eq!(failures(xml), ["a | the text", "b | T", "c | said"]);
        let nextest = failures(&real("nextest"));
        assert!(nextest.contains(&"rs: tests::hangs | test timeout".to_owned()), "{nextest:?}");
        assert_eq!(failures(&real("ctest")), ["bad: bad | ", "slow: slow | ", "segv: segv | "], "it has no words");
    }

    #[test]
    fn a_test_that_is_disabled_or_did_not_run_is_no_pass() {
        let xml = br#"<testsuite><testcase name="a" status="disabled"/><testcase name="b" status="notrun"/>
            <testcase name="c" status="run"/><testcase name="d" status="notrun"><skipped/></testcase></testsuite>"#;
        let summary = counted(xml).expect("a report");
        assert_eq!((summary.total, summary.failed, summary.skipped, summary.not_run), (4, 0, 1, 2));
        assert_eq!(counted(&real("ctest")).expect("a report").not_run, 1);
    }

    #[test]
    fn names_are_whole_in_every_encoding() {
        let vitest = failures(&real("vitest"));
        for name in ["enc-utf16le-bom", "enc-utf16-name-utf8-bytes"] {
            assert_eq!(failures(&real(name)), vitest, "{name}");
        }
        let real_latin = failures(&real("enc-latin1"));
        assert_eq!(real_latin.len(), vitest.len());
        let words = "expected '<div>a & b</div>' to be '<div>c</div>' // Object.is equality";
        assert!(real_latin.contains(&format!("v/a.test.mjs: pr\u{fc}fen <tag> | {words}")), "{real_latin:?}");
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><testsuite><testcase name='\xfcber'><error/></testcase></testsuite>";
        assert_eq!(failures(latin), ["\u{fc}ber | "]);
        let mut bytes: Vec<u8> = "<testsuite><testcase name='\u{fc}ber'><error/></testcase></testsuite>"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        assert_eq!(failures(&bytes), ["\u{fc}ber | "]);
        bytes.splice(0..0, *b"\xfe\xff");
        assert_eq!(failures(&bytes), ["\u{fc}ber | "]);
        let unknown = decode(b"<?xml version='1.0' encoding='klingon'?><testsuite/>").expect_err("nobody knows it");
        assert!(unknown.contains("klingon"), "{unknown}");
    }

    #[test]
    fn a_decimal_comma_is_no_separator_of_thousands() {
        for (time, seconds) in
            [("0,25", 0.25), ("1,000.5", 1000.5), ("1,234,567", 1_234_567.0), (" 2 ", 2.0), ("12,5", 12.5)]
        {
            assert_eq!(seconds_of(time), Some(seconds), "{time}");
        }
        assert_eq!((seconds_of("NaN"), seconds_of("-1"), seconds_of("soon")), (None, None, None));
    }

    #[test]
    fn a_secret_at_the_end_of_what_is_shown_is_masked_before_the_rest_is_cut_off() {
        let secret = "swordfish-of-the-deep";
        for inside in [WORDS - 5, WORDS - 1, 4 * WORDS - 5] {
            let words = format!("{}{secret} tail", "x".repeat(inside));
            for failure in [format!("<failure message='{words}'/>"), format!("<failure>{words}</failure>")] {
                let xml = format!("<testsuite><testcase name='{words}'>{failure}</testcase></testsuite>");
                let summary = parse(&xml, |text| text.replace(secret, "***")).expect("a report");
                let said = format!("{summary:?}");
                assert!(!said.contains("sword"), "{said}");
            }
        }
    }

    #[test]
    fn tests_of_all_suites_are_counted_and_failures_named() {
        let xml = br#"<?xml version="1.0"?>
            <testsuites tests="999">
              <testsuite name="a">
                <testcase classname="math" name="adds" time="0.5"/>
                <testcase classname="math" name="divides" time="1,000.25"><failure message="1 &lt; 2">long
                  trace</failure></testcase>
              </testsuite>
              <testsuite name="b">
                <testsuite><testcase name="later"><skipped/></testcase></testsuite>
                <testcase name="breaks"><error><![CDATA[boom
                  at line 3]]></error><system-out>noise</system-out></testcase>
              </testsuite>
            </testsuites>"#;
        let TestSummary { total, failed, skipped, duration_ms, failures, .. } = counted(xml).expect("a report");
        assert_eq!((total, failed, skipped, duration_ms), (4, 2, 1, 1_000_750));
        let failures: Vec<_> =
            failures.iter().map(|failure| (failure.name.as_str(), failure.message.as_str())).collect();
        assert_eq!(failures, [("math: divides", "1 < 2"), ("breaks", "boom")]);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let deep = format!("<testsuite>{}", "<a>".repeat(200));
        for xml in ["", "no xml", "<html/>", "<testsuite><testcase></testsuite>", "<testsuite>", deep.as_str()] {
            assert!(counted(xml.as_bytes()).is_err(), "{xml:.40}");
        }
    }

    #[test]
    fn entities_of_the_document_are_not_expanded() {
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
            <testsuite><testcase name="&b;"><failure>&b;</failure></testcase></testsuite>"#;
        let summary = counted(bomb.as_bytes()).expect("a report");
        assert!(summary.failures.iter().all(|failure| failure.name.len() < 20 && failure.message.len() < 20));
    }
}
