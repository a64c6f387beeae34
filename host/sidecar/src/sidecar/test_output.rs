//! Test reports without what tests have printed, which may be much more than all the rest.

use std::io::{self, BufRead};

/// A JUnit document without the content of its `system-out` and `system-err` elements, read from `xml`; none when it has more
/// than `max` bytes even so. Nothing but markup is looked at: whoever parses the document says what is wrong with it.
pub(super) fn without_output(xml: &mut impl BufRead, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut kept = Vec::new();
    let mut printed = false;
    loop {
        let text = if printed { None } else { Some(&mut kept) };
        if !copy_until(xml, b"<", text, max)? {
            return Ok(Some(kept).filter(|kept| kept.len() as u64 <= max));
        }
        let mut markup = Vec::new();
        let whole = read_markup(xml, &mut markup, if printed { 64 } else { max })?;
        let end = is_output(markup.strip_prefix(b"/").unwrap_or_default());
        if !printed || end {
            if printed {
                kept.push(b'<');
            }
            kept.extend_from_slice(&markup);
        }
        printed = match printed {
            true => !end,
            false => is_output(&markup) && !markup.ends_with(b"/>"),
        };
        if kept.len() as u64 > max {
            return Ok(None);
        }
        if !whole {
            return Ok(Some(kept));
        }
    }
}

/// Whether a tag, from its name on, is one of an element with output.
fn is_output(tag: &[u8]) -> bool {
    let rest = tag.strip_prefix(b"system-out").or_else(|| tag.strip_prefix(b"system-err"));
    rest.is_some_and(|rest| rest.first().is_some_and(|byte| byte.is_ascii_whitespace() || b"/>".contains(byte)))
}

/// Reads markup to its end, from after its `<`; keeps at most `max` bytes and one more. False when the document ended before it.
fn read_markup(xml: &mut impl BufRead, markup: &mut Vec<u8>, max: u64) -> io::Result<bool> {
    let mut quote = None;
    loop {
        match markup.as_slice() {
            b"![CDATA[" => return copy_until(xml, b"]]>", Some(markup), max),
            b"!--" => return copy_until(xml, b"-->", Some(markup), max),
            _ => {}
        }
        let Some(byte) = next(xml)? else { return Ok(false) };
        if markup.len() as u64 <= max {
            markup.push(byte);
        }
        match (quote, byte) {
            (None, b'>') => return Ok(true),
            (None, b'"' | b'\'') if markup.first() != Some(&b'!') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
}

/// Reads up to `end` and over it, and keeps at most `max` bytes of it and one more. False when the document ended before it.
fn copy_until(xml: &mut impl BufRead, end: &[u8], mut into: Option<&mut Vec<u8>>, max: u64) -> io::Result<bool> {
    let mut last = Vec::with_capacity(end.len());
    while let Some(byte) = next(xml)? {
        if let Some(into) = &mut into
            && into.len() as u64 <= max
        {
            into.push(byte);
        }
        if last.len() == end.len() {
            last.remove(0);
        }
        last.push(byte);
        if last == end {
            return Ok(true);
        }
    }
    Ok(false)
}

fn next(xml: &mut impl BufRead) -> io::Result<Option<u8>> {
    let byte = xml.fill_buf()?.first().copied();
    if byte.is_some() {
        xml.consume(1);
    }
    Ok(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slim(xml: &str, max: u64) -> Option<String> {
        let kept = without_output(&mut xml.as_bytes(), max).expect("it can be read");
        kept.map(|kept| String::from_utf8(kept).expect("UTF-8"))
    }

    #[test]
    fn what_tests_have_printed_is_left_out_and_nothing_else() {
        let noise = "x".repeat(1000);
        let with = |out: &str| {
            format!(
                "<?xml version='1.0'?><testsuite><!-- <system-out> --><testcase name='a > \"b'><system-out>{out}</system-out>\
                <failure>it said <![CDATA[<system-err> ]]]></failure><system-err/></testcase></testsuite>"
            )
        };
        for out in [noise.clone(), format!("<![CDATA[{noise}</system-out>]]>"), format!("<a b='{noise}'/>&lt; ]]>")] {
            assert_eq!(slim(&with(&out), 400).as_deref(), Some(with("").as_str()), "{out:.20}");
        }
    }

    #[test]
    fn what_is_too_large_without_it_is_none_and_what_is_cut_off_stays_so() {
        assert_eq!(slim(&format!("<testsuite>{}</testsuite>", "y".repeat(500)), 400), None);
        assert_eq!(slim(&format!("<testsuite a='{}'/>", "y".repeat(500)), 400), None);
        assert_eq!(slim("<testsuite><testcase na", 400).as_deref(), Some("<testsuite><testcase na"));
        assert_eq!(slim("<testsuite><system-out>never", 400).as_deref(), Some("<testsuite><system-out>"));
    }
}
