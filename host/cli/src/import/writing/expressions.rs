//! Texts and conditions as Rust has them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::import::condition::Cond;
use crate::import::model::{Fact, Part, Text};
use crate::text::is_plain;

/// What differs between the rows of a job's matrix, as its script has it.
#[derive(Debug, Default)]
pub struct Axes {
    /// The id of a job without a matrix; of others, a variable has it.
    pub id: Option<String>,
    /// The variables of axes.
    pub variables: BTreeMap<String, String>,
}

impl Axes {
    /// The text of a part that is the same in all rows of this job.
    fn known<'a>(&'a self, part: &'a Part) -> Option<&'a str> {
        match part {
            Part::Literal(text) => Some(text),
            Part::Id => self.id.as_deref(),
            // Its matrix is gone.
            Part::Axis(axis) if !self.variables.contains_key(axis) => Some(""),
            _ => None,
        }
    }

    /// A text of which all is a literal that is one for this job.
    pub fn text(&self, text: &Text) -> Text {
        let mut made = Text::default();
        for part in &text.0 {
            made.push(self.known(part).map_or_else(|| part.clone(), |text| Part::Literal(text.to_owned())));
        }
        made
    }
}

/// Whether a character may stand in a source as it is. Others could make a line look like something else, as those do that nobody sees.
fn is_visible(c: char) -> bool {
    is_plain(c) && !matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text as a literal. Lines stay lines where a raw literal can have them.
pub fn literal(text: &str) -> String {
    if !text.chars().all(|c| is_visible(c) || c == '\n') || !text.contains(['"', '\\', '\n']) {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                '\n' => quoted.push_str("\\n"),
                c if is_visible(c) => quoted.push(c),
                c => {
                    let _ = write!(quoted, "{}", c.escape_unicode());
                }
            }
        }
        return quoted + "\"";
    }
    let longest = text.split('"').skip(1).map(|rest| rest.chars().take_while(|c| *c == '#').count()).max();
    let hashes = longest.map_or_else(String::new, |longest| "#".repeat(longest + 1));
    format!("r{hashes}\"{text}\"{hashes}")
}

/// A text as a comment can have it, on one line.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| is_visible(*c)).collect()
}

/// A list of literals.
pub fn list<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    let all: Vec<String> = texts.into_iter().map(|text| literal(text)).collect();
    format!("[{}]", all.join(", "))
}

/// A list of texts, all of which have one type in Rust.
pub fn texts(all: &[Text], axes: &Axes) -> String {
    let literals = all.iter().all(|one| axes.text(one).literal().is_some());
    let is_made = |one: &str| literals || one.starts_with("format!(");
    let all = all.iter().map(|one| text(one, axes));
    let all = all.map(|one| if is_made(&one) { one } else { format!("String::from({one})") });
    format!("[{}]", all.collect::<Vec<_>>().join(", "))
}

fn fact(fact: Fact) -> &'static str {
    match fact {
        Fact::Commit => "build.commit().unwrap_or_default()",
        Fact::ShortCommit => "build.commit().unwrap_or_default().chars().take(8).collect::<String>()",
        Fact::Branch => "build.branch().unwrap_or_default()",
        Fact::Tag => "build.tag().unwrap_or_default()",
        Fact::Ref => "build.git_ref().unwrap_or_default()",
        Fact::RefName => "build.tag().or_else(|| build.branch()).unwrap_or_default()",
        Fact::Slug => "slug(build)",
        Fact::MainBranch => "build.main_branch().unwrap_or_default()",
        Fact::Org => "build.org()",
        Fact::Repo => "build.repo()",
        Fact::Slashed => "format!(\"{}/{}\", build.org(), build.repo())",
        Fact::Build => "build.build()",
        Fact::Message => "build.message().unwrap_or_default()",
        Fact::Author => "build.author().unwrap_or_default()",
        Fact::Url => "build.git_url().unwrap_or_default()",
    }
}

/// What Rust makes the function `slug` of, for scripts that call it.
pub const SLUG: &str = r#"
/// The name of what is built, as host names and images have it.
fn slug(build: &Build) -> String {
    let name = build.tag().or_else(|| build.branch()).unwrap_or_default().to_ascii_lowercase();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    name.trim_matches('-').to_owned()
}
"#;

/// The variable of a matrix's loop that has the id of the job.
pub const ID: &str = "id";

fn part(part: &Part, axes: &Axes) -> String {
    if let Some(text) = axes.known(part) {
        return literal(text);
    }
    match part {
        Part::Literal(text) => literal(text),
        Part::Axis(axis) => axes.variables.get(axis).cloned().unwrap_or_default(),
        Part::Id => ID.to_owned(),
        Part::Param { name, default } => format!("build.param_or({}, {})?", literal(name), literal(default)),
        // Where no file matches, other systems have an empty text.
        Part::Hash(files) => format!("build.workspace().hash_files({}).unwrap_or_default()", list(files)),
        Part::Fact(known) => fact(*known).to_owned(),
    }
}

/// A text, as an expression.
pub fn text(text: &Text, axes: &Axes) -> String {
    let text = &axes.text(text);
    if let Some(known) = text.literal() {
        return literal(known);
    }
    if let [only] = text.0.as_slice() {
        return part(only, axes);
    }
    let (mut format, mut arguments) = (String::new(), Vec::new());
    for one in &text.0 {
        match one {
            Part::Literal(text) => format.push_str(&text.replace('{', "{{").replace('}', "}}")),
            other => {
                let expression = part(other, axes);
                // Names stand in the text, all else after it.
                if expression.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                    let _ = write!(format, "{{{expression}}}");
                } else {
                    format.push_str("{}");
                    arguments.push(expression);
                }
            }
        }
    }
    let arguments: String = arguments.iter().map(|argument| format!(", {argument}")).collect();
    format!("format!({}{arguments})", literal(&format))
}

/// A condition, as an expression; inside of another one where `inner` says so.
pub fn condition(cond: &Cond, axes: &Axes, inner: bool) -> String {
    let joined = |parts: &[Cond], by: &str| {
        let parts: Vec<String> = parts.iter().map(|part| condition(part, axes, true)).collect();
        let all = parts.join(by);
        if inner { format!("({all})") } else { all }
    };
    match cond {
        Cond::True => "true".to_owned(),
        Cond::False => "false".to_owned(),
        Cond::MainBranch => "build.on_main_branch()".to_owned(),
        Cond::Branch(glob) if glob == "**" => "build.branch().is_some()".to_owned(),
        Cond::Branch(glob) => format!("build.branch_matches({})", literal(glob)),
        Cond::Tag(glob) if glob == "**" => "build.tag().is_some()".to_owned(),
        Cond::Tag(glob) => format!("build.tag_matches({})", literal(glob)),
        Cond::Touched(glob) => format!("build.touched({})", literal(glob)),
        Cond::Trigger(what) => format!("build.triggered_by({})", literal(what)),
        Cond::Exists(glob) => format!("!build.workspace().glob([{}])?.is_empty()", literal(glob)),
        Cond::Is(value, text) => match axes.known(value) {
            Some(known) => (known == text).to_string(),
            None => format!("{} == {}", part(value, axes), literal(text)),
        },
        Cond::Not(part) => match part.as_ref() {
            Cond::Is(value, text) if axes.known(value).is_some_and(|known| known == text) => "false".to_owned(),
            Cond::Is(value, _) if axes.known(value).is_some() => "true".to_owned(),
            Cond::Is(value, text) => format!("{} != {}", self::part(value, axes), literal(text)),
            Cond::Exists(glob) => format!("build.workspace().glob([{}])?.is_empty()", literal(glob)),
            Cond::Branch(glob) if glob == "**" => "build.branch().is_none()".to_owned(),
            Cond::Tag(glob) if glob == "**" => "build.tag().is_none()".to_owned(),
            part => format!("!{}", condition(part, axes, true)),
        },
        Cond::All(parts) => joined(parts, " && "),
        Cond::Any(parts) => joined(parts, " || "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_the_text_that_it_was_made_of() {
        for (text, written) in [
            ("cargo test", "\"cargo test\""),
            ("echo \"a\"", "r#\"echo \"a\"\"#"),
            ("a \"#\" b", "r##\"a \"#\" b\"##"),
            (r"a\b", "r\"a\\b\""),
            ("a\nb", "r\"a\nb\""),
            ("a\r\n\"b\"", r#""a\u{d}\n\"b\"""#),
            ("tab\tand \u{202e}turned", r#""tab\u{9}and \u{202e}turned""#),
            ("{braces}", "\"{braces}\""),
        ] {
            assert_eq!(literal(text), written, "{text:?}");
        }
    }

    #[test]
    fn what_is_known_later_stands_in_a_format() {
        let axes = Axes { id: None, variables: BTreeMap::from([("node".to_owned(), "node".to_owned())]) };
        let mut image = Text::from("node:");
        image.push(Part::Axis("node".to_owned()));
        assert_eq!(text(&image, &axes), "format!(\"node:{node}\")");
        let mut key = Text::from("{a}-");
        key.push(Part::Hash(vec!["Cargo.lock".to_owned()]));
        let written = "format!(\"{{a}}-{}\", build.workspace().hash_files([\"Cargo.lock\"]).unwrap_or_default())";
        assert_eq!(text(&key, &axes), written);
    }

    #[test]
    fn the_id_of_a_job_is_a_literal_where_no_loop_has_it() {
        let (id, in_loop) = (Axes { id: Some("te\"st".to_owned()), ..Axes::default() }, Axes::default());
        let name = Text::from(Part::Id).within("job-", "{}");
        assert_eq!(text(&name, &id), "r#\"job-te\"st{}\"#");
        assert_eq!(text(&name, &in_loop), "format!(\"job-{id}{{}}\")");
        let cond = Cond::Is(Part::Id, "test".to_owned());
        assert_eq!(condition(&cond, &in_loop, false), "id == \"test\"");
        assert_eq!(condition(&cond, &id, false), "false");
        assert_eq!(condition(&cond.not(), &id, false), "true");
    }

    #[test]
    fn texts_of_which_one_is_known_later_have_one_type() {
        let axes = Axes { id: None, variables: BTreeMap::from([("node".to_owned(), "node".to_owned())]) };
        let mut all = vec![Text::from("echo x.to_owned(), y"), Text::from("r")];
        assert_eq!(texts(&all, &axes), "[\"echo x.to_owned(), y\", \"r\"]");
        all.push(Part::Axis("node".to_owned()).into());
        all.push(Text::from(Part::Axis("node".to_owned())).within("v", ""));
        let written =
            "[String::from(\"echo x.to_owned(), y\"), String::from(\"r\"), String::from(node), format!(\"v{node}\")]";
        assert_eq!(texts(&all, &axes), written);
    }

    #[test]
    fn conditions_keep_their_order() {
        let branch = |name: &str| Cond::Branch(name.to_owned());
        let cond = Cond::all([Cond::any([branch("a"), branch("b")]), Cond::all([Cond::MainBranch.not()])]);
        let written = "(build.branch_matches(\"a\") || build.branch_matches(\"b\")) && !build.on_main_branch()";
        assert_eq!(condition(&cond, &Axes::default(), false), written);
        assert_eq!(condition(&cond.not(), &Axes::default(), false), format!("!({written})"));
    }
}
