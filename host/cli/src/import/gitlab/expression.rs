//! Conditions of GitLab: `$CI_COMMIT_TAG =~ /^v/ && $DEPLOY == "yes"`.

use crate::import::condition::{Cond, regex};
use crate::import::model::{Job, Part, Value};

/// How deeply brackets may stand in each other.
const MAX_DEPTH: usize = 32;

/// A condition, and whether it holds more often than it did.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub cond: Cond,
    pub wider: bool,
}

/// What a condition says, of a job with these variables.
pub fn condition(text: &str, job: &Job) -> Result<Found, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, job, wider: false };
    let cond = parser.or(0)?;
    match parser.tokens.get(parser.at) {
        None => Ok(Found { cond, wider: parser.wider }),
        Some(token) => Err(format!("{token:?} is not expected there")),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Variable(String),
    Text(String),
    Regex(String),
    Null,
    Operator(&'static str),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let (mut tokens, mut rest) = (Vec::new(), text.trim_start());
    while let Some(first) = rest.chars().next() {
        let operator = ["==", "!=", "=~", "!~", "&&", "||", "(", ")"].into_iter().find(|word| rest.starts_with(word));
        let (token, length) = match (first, operator) {
            (_, Some(operator)) => (Token::Operator(operator), operator.len()),
            ('$', _) => {
                let inner = rest[1..].trim_start_matches('{');
                let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
                let braces = rest.len() - 1 - inner.len();
                (Token::Variable(inner[..end].to_owned()), 1 + braces * 2 + end)
            }
            (quote @ ('"' | '\''), _) => {
                let end = rest[1..].find(quote).ok_or("a text has no end")?;
                (Token::Text(rest[1..=end].to_owned()), end + 2)
            }
            ('/', _) => {
                let mut end = 1;
                loop {
                    let at = rest[end..].find('/').ok_or("a regular expression has no end")?;
                    end += at + 1;
                    if !rest[..end - 1].ends_with('\\') {
                        break;
                    }
                }
                let flags = rest[end..].chars().take_while(char::is_ascii_alphabetic).count();
                if flags > 0 {
                    return Err(format!(
                        "the regular expression {} does not tell small letters from large ones",
                        &rest[..end]
                    ));
                }
                (Token::Regex(rest[1..end - 1].to_owned()), end)
            }
            _ if rest.starts_with("null") => (Token::Null, 4),
            (other, _) => return Err(format!("{other:?} is not expected there")),
        };
        tokens.push(token);
        rest = rest.get(length..).ok_or("a bracket is not closed")?.trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    job: &'a Job,
    wider: bool,
}

impl Parser<'_> {
    fn take(&mut self, operator: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Operator(known)) if *known == operator);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<Cond, String> {
        if depth > MAX_DEPTH {
            return Err("it is nested too deeply".to_owned());
        }
        let mut all = vec![self.and(depth)?];
        while self.take("||") {
            all.push(self.and(depth)?);
        }
        Ok(Cond::any(all))
    }

    fn and(&mut self, depth: usize) -> Result<Cond, String> {
        let mut all = vec![self.one(depth)?];
        while self.take("&&") {
            all.push(self.one(depth)?);
        }
        Ok(Cond::all(all))
    }

    fn next(&mut self) -> Result<Token, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("it ends too early")?;
        self.at += 1;
        Ok(token)
    }

    fn one(&mut self, depth: usize) -> Result<Cond, String> {
        if self.take("(") {
            let inner = self.or(depth + 1)?;
            return if self.take(")") { Ok(inner) } else { Err("a bracket is not closed".to_owned()) };
        }
        let left = self.next()?;
        for (operator, negative) in [("==", false), ("!=", true)] {
            if self.take(operator) {
                let right = self.next()?;
                let cond = self.is(&left, &right)?;
                return Ok(if negative { cond.not() } else { cond });
            }
        }
        for (operator, negative) in [("=~", false), ("!~", true)] {
            if self.take(operator) {
                let right = self.next()?;
                let cond = self.matches(&left, &right, negative)?;
                return Ok(if negative { cond.not() } else { cond });
            }
        }
        match left {
            Token::Variable(name) => self.is_there(&name),
            _ => Err("a text alone says nothing".to_owned()),
        }
    }

    fn is(&self, left: &Token, right: &Token) -> Result<Cond, String> {
        match (left, right) {
            (Token::Variable(name), Token::Null) | (Token::Null, Token::Variable(name)) => {
                Ok(self.is_there(name)?.not())
            }
            (Token::Variable(name), Token::Text(text)) | (Token::Text(text), Token::Variable(name)) => {
                self.is_text(name, text)
            }
            (Token::Variable(one), Token::Variable(other)) => {
                let main = |name: &str| ["CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"].contains(&name);
                let is_main = main(one) && other == "CI_DEFAULT_BRANCH" || main(other) && one == "CI_DEFAULT_BRANCH";
                if is_main {
                    Ok(Cond::MainBranch)
                } else {
                    Err(format!("a script can't compare `${one}` with `${other}`"))
                }
            }
            _ => Err("what it compares is not known to a script".to_owned()),
        }
    }

    fn is_text(&self, name: &str, text: &str) -> Result<Cond, String> {
        let no_glob =
            |cond: Cond| if text.contains(['*', '?']) { Err("the name has a * in it".to_owned()) } else { Ok(cond) };
        match name {
            "CI_COMMIT_BRANCH" => no_glob(Cond::Branch(text.to_owned())),
            "CI_COMMIT_TAG" => no_glob(Cond::Tag(text.to_owned())),
            "CI_COMMIT_REF_NAME" => no_glob(Cond::any([Cond::Branch(text.to_owned()), Cond::Tag(text.to_owned())])),
            "CI_PIPELINE_SOURCE" => {
                source(text).ok_or_else(|| format!("builds of this host are not started by `{text}`"))
            }
            _ => Ok(Cond::Is(self.part(name)?, text.to_owned())),
        }
    }

    fn is_there(&self, name: &str) -> Result<Cond, String> {
        match name {
            "CI_COMMIT_BRANCH" => Ok(Cond::Branch("**".to_owned())),
            "CI_COMMIT_TAG" => Ok(Cond::Tag("**".to_owned())),
            "CI_MERGE_REQUEST_ID" | "CI_MERGE_REQUEST_IID" => self.is_text("CI_PIPELINE_SOURCE", "merge_request_event"),
            _ => Ok(Cond::Is(self.part(name)?, String::new()).not()),
        }
    }

    fn matches(&mut self, left: &Token, right: &Token, negative: bool) -> Result<Cond, String> {
        let (Token::Variable(name), Token::Regex(expression)) = (left, right) else {
            return Err("a script compares variables with regular expressions only as globs".to_owned());
        };
        let made =
            regex(expression).ok_or_else(|| format!("no glob comes near the regular expression /{expression}/"))?;
        if made.wider && negative {
            return Err(format!("no glob matches the same as the regular expression /{expression}/"));
        }
        self.wider |= made.wider;
        let glob = made.text;
        match name.as_str() {
            "CI_COMMIT_BRANCH" => Ok(Cond::Branch(glob)),
            "CI_COMMIT_TAG" => Ok(Cond::Tag(glob)),
            "CI_COMMIT_REF_NAME" => Ok(Cond::any([Cond::Branch(glob.clone()), Cond::Tag(glob)])),
            _ => Err(format!("a script does not match `${name}`")),
        }
    }

    /// A variable that a script knows: one of the matrix, or a parameter.
    fn part(&self, name: &str) -> Result<Part, String> {
        if name.starts_with("CI_") || name.starts_with("GITLAB_") {
            return Err(format!("a script does not know `${name}`"));
        }
        if self.job.has_axis(name) {
            return Ok(Part::Axis(name.to_owned()));
        }
        if let Some(Value::Text(text)) = self.job.value(name)
            && let [part @ Part::Param { .. }] = text.0.as_slice()
        {
            return Ok(part.clone());
        }
        let default = match self.job.value(name) {
            Some(Value::Text(text)) => text.literal().ok_or_else(|| format!("what `${name}` is depends on others"))?,
            _ => "",
        };
        Ok(Part::Param { name: name.to_owned(), default: default.to_owned() })
    }
}

/// What started a pipeline, in the words of `CI_PIPELINE_SOURCE`; `None` for what starts no builds here.
pub fn source(text: &str) -> Option<Cond> {
    let trigger = |what: &str| Cond::Trigger(what.to_owned());
    Some(match text {
        "push" => trigger("webhook/push"),
        "merge_request_event" => trigger("webhook/pull_request"),
        "web" => Cond::any([trigger("cli"), trigger("api")]),
        "api" | "trigger" => trigger("api"),
        "schedule" => trigger("schedule"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cond(text: &str) -> Result<Cond, String> {
        condition(text, &Job::default()).map(|found| found.cond)
    }

    #[test]
    fn conditions_are_those_of_the_script() {
        let branch = |name: &str| Cond::Branch(name.to_owned());
        let param = |name: &str, value: &str| {
            Cond::Is(Part::Param { name: name.to_owned(), default: String::new() }, value.to_owned())
        };
        for (text, expected) in [
            ("$CI_COMMIT_BRANCH == \"main\"", branch("main")),
            (
                "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH || $CI_COMMIT_BRANCH =~ /^release\\/.*$/",
                Cond::any([Cond::MainBranch, branch("release/**")]),
            ),
            (
                "$CI_COMMIT_TAG && ($DEPLOY == 'yes' || $X != null)",
                Cond::all([Cond::Tag("**".to_owned()), Cond::any([param("DEPLOY", "yes"), param("X", "").not()])]),
            ),
            ("${CI_COMMIT_TAG} == null", Cond::Tag("**".to_owned()).not()),
            ("$CI_PIPELINE_SOURCE == 'merge_request_event'", Cond::Trigger("webhook/pull_request".to_owned())),
        ] {
            assert_eq!(cond(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_a_script_can_not_ask_is_said_and_never_guessed() {
        let deep = "(".repeat(100_000);
        for text in [
            "$CI_COMMIT_MESSAGE =~ /x/",
            "$CI_COMMIT_BRANCH =~ /a|b/",
            "$CI_COMMIT_BRANCH =~ /main/i",
            "$CI_COMMIT_TAG !~ /^v\\d/",
            "$CI_COMMIT_BRANCH == \"open",
            "$A == $B",
            "${",
            "${A",
            "\"text\"",
            "",
            "null",
            "ü",
            &deep,
        ] {
            assert!(cond(text).is_err(), "{}: {:?}", &text[..text.len().min(40)], cond(text));
        }
    }
}
