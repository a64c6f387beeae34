//! What a secret may look like, as other programs write it.
#![allow(clippy::unwrap_used)]

use monkeyci_mask::Masks;

/// Has what each encoding escapes.
const SECRET: &str = "pä\"s's&w<o>r/d\\$x`+ =~!#y";

/// Made with the programs named.
const WRITTEN: &[(&str, &str)] = &[
    ("plain", r##"pä"s's&w<o>r/d\$x`+ =~!#y"##),
    ("Python json.dumps", r##"p\u00e4\"s's&w<o>r/d\\$x`+ =~!#y"##),
    ("JavaScript JSON.stringify", r##"pä\"s's&w<o>r/d\\$x`+ =~!#y"##),
    ("Go json.Marshal", r##"pä\"s's\u0026w\u003co\u003er/d\\$x`+ =~!#y"##),
    ("PHP json_encode", r##"p\u00e4\"s's&w<o>r\/d\\$x`+ =~!#y"##),
    (".NET JsonSerializer", r##"p\u00E4\u0022s\u0027s\u0026w\u003Co\u003Er/d\\$x\u0060\u002B =~!#y"##),
    ("JSON in JSON", r##"pä\\\"s's&w<o>r/d\\\\$x`+ =~!#y"##),
    ("Python quote", "p%C3%A4%22s%27s%26w%3Co%3Er/d%5C%24x%60%2B%20%3D~%21%23y"),
    ("Python quote_plus", "p%C3%A4%22s%27s%26w%3Co%3Er%2Fd%5C%24x%60%2B+%3D~%21%23y"),
    (".NET EscapeDataString", "p%C3%A4%22s%27s%26w%3Co%3Er%2Fd%5C%24x%60%2B%20%3D~%21%23y"),
    ("lower-case percent-encoding", "p%c3%a4%22s%27s%26w%3co%3er%2fd%5c%24x%60%2b%20%3d~%21%23y"),
    ("JavaScript encodeURIComponent", "p%C3%A4%22s's%26w%3Co%3Er%2Fd%5C%24x%60%2B%20%3D~!%23y"),
    ("JavaScript encodeURI", "p%C3%A4%22s's&w%3Co%3Er/d%5C$x%60+%20=~!#y"),
    ("JavaScript URLSearchParams", "p%C3%A4%22s%27s%26w%3Co%3Er%2Fd%5C%24x%60%2B+%3D%7E%21%23y"),
    ("Python html.escape", r##"pä&quot;s&#x27;s&amp;w&lt;o&gt;r/d\$x`+ =~!#y"##),
    ("Python saxutils.escape", r##"pä"s's&amp;w&lt;o&gt;r/d\$x`+ =~!#y"##),
    (".NET SecurityElement.Escape", r##"pä&quot;s&apos;s&amp;w&lt;o&gt;r/d\$x`+ =~!#y"##),
    ("Go html.EscapeString", r##"pä&#34;s&#39;s&amp;w&lt;o&gt;r/d\$x`+ =~!#y"##),
    ("Python shlex.quote", r##"pä"s'"'"'s&w<o>r/d\$x`+ =~!#y"##),
    ("Python repr", r##"pä"s\'s&w<o>r/d\\$x`+ =~!#y"##),
    ("bash set -x", r##"pä"s'\''s&w<o>r/d\$x`+ =~!#y"##),
    ("bash printf %q", r##"pä\"s\'s\&w\<o\>r/d\\\$x\`+\ =\~\!#y"##),
    ("a shell's double quotes", r##"pä\"s's&w<o>r/d\\\$x\`+ =~!#y"##),
    ("a command line on Windows", r##"pä\"s's&w<o>r/d\$x`+ =~!#y"##),
    ("PowerShell's double quotes", r##"pä`"s's&w<o>r/d\`$x``+ =~!#y"##),
    ("PowerShell's single quotes, SQL, YAML, expressions", r##"pä"s''s&w<o>r/d\$x`+ =~!#y"##),
    ("CSV", r##"pä""s's&w<o>r/d\$x`+ =~!#y"##),
    ("hexadecimal", "70c3a42273277326773c6f3e722f645c2478602b203d7e212379"),
    ("upper-case hexadecimal", "70C3A42273277326773C6F3E722F645C2478602B203D7E212379"),
    ("base64", "cMOkInMncyZ3PG8+ci9kXCR4YCsgPX4hI3k="),
    ("base64 without padding", "cMOkInMncyZ3PG8+ci9kXCR4YCsgPX4hI3k"),
    ("URL-safe base64", "cMOkInMncyZ3PG8-ci9kXCR4YCsgPX4hI3k="),
];

fn masks(secret: &str) -> Masks {
    Masks::new([("secret", secret)]).unwrap()
}

#[test]
fn a_secret_is_masked_as_every_program_writes_it() {
    let masks = masks(SECRET);
    for (program, text) in WRITTEN {
        assert_eq!(masks.mask(&format!("a [{text}] b")), "a [***] b", "{program}");
    }
}

#[test]
fn every_encoding_is_masked_wherever_the_chunk_ends() {
    let masks = masks(SECRET);
    for (program, text) in WRITTEN {
        let text = format!("a [{text}] b");
        for at in 0..=text.len() {
            let (mut stream, mut out) = (masks.stream(), Vec::new());
            let (first, second) = text.as_bytes().split_at(at);
            stream.push(first, &mut out);
            stream.push(second, &mut out);
            stream.finish(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), "a [***] b", "{program}, cut at {at}");
        }
    }
}

#[test]
fn in_longer_base64_no_more_than_a_character_at_each_end_of_the_secret_is_left() {
    let masks = masks("user-secret-value");
    // `base64` of "user-secret-value" after nothing, "x" and "xy", and before "z".
    for (text, left) in [
        ("dXNlci1zZWNyZXQtdmFsdWV6", "***V6"),
        ("eHVzZXItc2VjcmV0LXZhbHVleg==", "eH***eg=="),
        ("eHl1c2VyLXNlY3JldC12YWx1ZXo=", "eHl***Xo="),
    ] {
        assert_eq!(masks.mask(text), left);
    }
}

#[test]
fn at_the_end_of_longer_base64_nothing_of_the_secret_is_left() {
    let masks = masks("user-secret-value");
    for text in ["dXNlci1zZWNyZXQtdmFsdWU=", "dXNlci1zZWNyZXQtdmFsdWU"] {
        assert_eq!(masks.mask(text), "***");
    }
    // With a newline after the secret.
    assert_eq!(masks.mask("dXNlci1zZWNyZXQtdmFsdWUK"), "***K");
}

#[test]
fn base64_in_lines_is_masked_line_by_line() {
    let masks = masks(&"0123456789".repeat(6));
    let text = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2\nNzg5";
    assert_eq!(masks.mask(text), "***");
    let text = "  MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3\n  ODkwMTIzNDU2Nzg5";
    assert_eq!(masks.mask(text), "  ***\n  ***");
}

#[test]
fn powershell_may_print_the_parts_at_an_ampersand_apart() {
    assert_eq!(masks("secret1&secret2&secret3").mask("[secret1&secret2&] [secret3]"), "[***] [***]");
    assert_eq!(masks("secret1&+Xsecret2&secret3").mask("[secret1&+] X [secret2&secret3]"), "[***] X [***]");
    // Parts this short would be over-masked.
    assert_eq!(masks("a&b&longer").mask("[a&b&] [longer]"), "[a&b&] [***]");
}

#[test]
fn a_secret_in_quotes_is_masked_without_them_too() {
    assert_eq!(masks("\"the-secret\"").mask("the-secret"), "***");
    assert_eq!(masks("'the-secret'").mask("the-secret \"the-secret\""), "*** \"***\"");
    assert_eq!(masks("\"abc\"").mask("abc \"abc\""), "abc ***");
}

#[test]
fn a_secret_of_control_characters_is_masked_as_bash_and_python_quote_it() {
    let masks = masks("two\nli'nes\t\\x\u{1b}[0m");
    assert_eq!(masks.mask(r"$'two\nli\'nes\t\\x\E[0m'"), "$'***'");
    assert_eq!(masks.mask(r#""two\nli'nes\t\\x\x1b[0m""#), "\"***\"");
}
