//! The templates for other CIs, in `ci/`: each is YAML, and every command in it is one of this program.

use std::collections::BTreeSet;

use clap::Parser;
use serde_json::Value;

use crate::args::Args;

const TEMPLATES: [(&str, &str); 3] = [
    ("github/action.yml", include_str!("../ci/github/action.yml")),
    ("gitlab/monkeyci.yml", include_str!("../ci/gitlab/monkeyci.yml")),
    ("buildkite/pipeline.yml", include_str!("../ci/buildkite/pipeline.yml")),
];

/// All texts in a value.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(map) => map.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// The words of a call of the program, without those that may be none.
fn call(line: &str) -> Option<Vec<String>> {
    let rest = ["\"$PROGRAM\" ", "monkeyci-host "].iter().find_map(|program| line.trim().strip_prefix(program))?;
    let words = rest.split_whitespace().filter(|word| !word.starts_with('$'));
    let words = words.map(|word| word.trim_matches('"').to_owned());
    Some(std::iter::once("monkeyci-host".to_owned()).chain(words).collect())
}

#[test]
fn every_command_and_option_in_a_template_is_one_of_this_program() {
    for (name, text) in TEMPLATES {
        let template: Value = serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut commands = BTreeSet::new();
        for line in texts(&template).iter().flat_map(|text| text.lines()) {
            let Some(words) = call(line) else { continue };
            assert!(Args::try_parse_from(&words).is_ok(), "{name}: {line}: {:?}", Args::try_parse_from(&words).err());
            commands.insert(words[1].clone());
        }
        let all: Vec<&str> = commands.iter().map(String::as_str).collect();
        assert!(all.contains(&"doctor") && all.contains(&"run"), "{name}: {all:?}");
    }
    // What is no option is found.
    let words = call("\"$PROGRAM\" run --no-such-option $X").expect("a call");
    assert_eq!(words, ["monkeyci-host", "run", "--no-such-option"]);
    assert!(Args::try_parse_from(words).is_err());
}

#[test]
fn what_the_page_says_of_each_template_is_there() {
    let page = include_str!("../OTHER-CIS.md");
    for (name, _) in TEMPLATES {
        assert!(page.contains(&format!("(ci/{name})")), "{name} is not on the page");
    }
    let calls = page.lines().filter_map(call);
    let wrong: Vec<_> = calls.filter(|words| Args::try_parse_from(words).is_err()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
