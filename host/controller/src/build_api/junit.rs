//! JUnit XML: the form of test reports that every test runner can write.
//!
//! There is no standard; what counts here is what all dialects share: `testcase` elements, with `failure`, `error` or
//! `skipped` in them, and their `name`, `classname` and `time`. Numbers in `testsuite` elements are not believed.

use monkeyci_build::{TestFailure, TestSummary};
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

/// How deep elements may be nested.
const DEPTH: usize = 100;
/// The longest name or message of a failure, in characters.
const WORDS: usize = 300;

/// A test case that is being read.
#[derive(Default)]
struct Case {
    name: String,
    failure: Option<String>,
    /// The text inside the failure counts where it has no message.
    reading_failure: bool,
    skipped: bool,
    seconds: f64,
}

/// Counts the tests of a report.
///
/// # Errors
/// Says what is wrong with the document.
pub(crate) fn parse(xml: &[u8]) -> Result<TestSummary, String> {
    let mut reader = Reader::from_reader(xml);
    let (mut summary, mut case, mut depth, mut seen_root) = (TestSummary::default(), None::<Case>, 0_usize, false);
    let mut seconds = 0.0;
    loop {
        let event = reader.read_event().map_err(|error| format!("{error} (at byte {})", reader.error_position()))?;
        match event {
            Event::Eof if depth > 0 => return Err("the document ends in the middle".to_owned()),
            Event::Eof if !seen_root => return Err("the document is empty".to_owned()),
            Event::Eof => break,
            Event::Start(element) => {
                depth += 1;
                if depth > DEPTH {
                    return Err(format!("elements are nested deeper than {DEPTH}"));
                }
                open(&element, &mut case, &mut seen_root)?;
            }
            Event::Empty(element) => {
                open(&element, &mut case, &mut seen_root)?;
                close(element.local_name().as_ref(), &mut case, &mut summary, &mut seconds);
            }
            Event::End(element) => {
                depth = depth.saturating_sub(1);
                close(element.local_name().as_ref(), &mut case, &mut summary, &mut seconds);
            }
            Event::Text(text) => add_text(&mut case, &text),
            Event::CData(text) => add_text(&mut case, &text),
            _ => {}
        }
    }
    // A report may claim any time; what does not fit is as good as the largest that does.
    summary.duration_ms = (seconds * 1000.0) as u64;
    Ok(summary)
}

fn open(element: &BytesStart<'_>, case: &mut Option<Case>, seen_root: &mut bool) -> Result<(), String> {
    let name = element.local_name();
    if !std::mem::replace(seen_root, true) && !matches!(name.as_ref(), b"testsuites" | b"testsuite") {
        let name = String::from_utf8_lossy(name.as_ref()).into_owned();
        return Err(format!("its outermost element is {name:?}, and not \"testsuites\" or \"testsuite\""));
    }
    match (name.as_ref(), &mut *case) {
        (b"testcase", _) => {
            let of = |wanted: &str| attribute(element, wanted);
            let own = of("name").unwrap_or_else(|| "(no name)".to_owned());
            let name = match of("classname") {
                Some(class) if !class.is_empty() => format!("{class}: {own}"),
                _ => own,
            };
            let seconds = of("time").and_then(|time| time.replace(',', "").parse::<f64>().ok());
            let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0).unwrap_or_default();
            *case = Some(Case { name, seconds, ..Case::default() });
        }
        (b"failure" | b"error", Some(case)) => {
            case.failure.get_or_insert_default();
            case.reading_failure = true;
            if let (Some(message), Some(failure)) = (attribute(element, "message"), &mut case.failure)
                && failure.is_empty()
            {
                *failure = message;
                case.reading_failure = false;
            }
        }
        (b"skipped", Some(case)) => case.skipped = true,
        _ => {}
    }
    Ok(())
}

fn close(name: &[u8], case: &mut Option<Case>, summary: &mut TestSummary, seconds: &mut f64) {
    match (name, &mut *case) {
        (b"failure" | b"error", Some(case)) => case.reading_failure = false,
        (b"testcase", Some(_)) => {
            let Some(ended) = case.take() else { return };
            let one = TestSummary {
                total: 1,
                failed: u32::from(ended.failure.is_some()),
                skipped: u32::from(ended.skipped && ended.failure.is_none()),
                duration_ms: 0,
                failures: ended
                    .failure
                    .map(|message| TestFailure { name: short(&ended.name), message: short(message.trim()) })
                    .into_iter()
                    .collect(),
            };
            summary.add(one);
            *seconds += ended.seconds;
        }
        _ => {}
    }
}

fn add_text(case: &mut Option<Case>, text: &[u8]) {
    if let Some(Case { reading_failure: true, failure: Some(failure), .. }) = case
        && failure.len() < 4 * WORDS
    {
        failure.push_str(&String::from_utf8_lossy(text));
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok()??;
    let text = String::from_utf8_lossy(&found.value).into_owned();
    Some(unescape(&text).map(|text| text.into_owned()).unwrap_or(text))
}

/// The first line, not too long.
fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let TestSummary { total, failed, skipped, duration_ms, failures } = parse(xml).expect("a report");
        assert_eq!((total, failed, skipped, duration_ms), (4, 2, 1, 1_000_750));
        let failures: Vec<_> =
            failures.iter().map(|failure| (failure.name.as_str(), failure.message.as_str())).collect();
        assert_eq!(failures, [("math: divides", "1 < 2"), ("breaks", "boom")]);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let deep = format!("<testsuite>{}", "<a>".repeat(200));
        for xml in ["", "no xml", "<html/>", "<testsuite><testcase></testsuite>", "<testsuite>", deep.as_str()] {
            assert!(parse(xml.as_bytes()).is_err(), "{xml:.40}");
        }
    }

    #[test]
    fn entities_of_the_document_are_not_expanded() {
        let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
            <testsuite><testcase name="&b;"><failure>&b;</failure></testcase></testsuite>"#;
        let summary = parse(bomb.as_bytes()).expect("a report");
        assert!(summary.failures.iter().all(|failure| failure.name.len() < 20 && failure.message.len() < 20));
    }
}
