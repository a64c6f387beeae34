//! Conditions that a script can put to its build.

use super::model::Part;

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cond {
    True,
    False,
    /// The main branch is built.
    MainBranch,
    /// A branch is built whose name matches; of `**`, any branch.
    Branch(String),
    /// A tag is built whose name matches; of `**`, any tag.
    Tag(String),
    /// A file that matches was changed.
    Touched(String),
    /// This started the build.
    Trigger(String),
    /// The workspace has a file that matches.
    Exists(String),
    /// A value is this text.
    Is(Part, String),
    Not(Box<Cond>),
    All(Vec<Cond>),
    Any(Vec<Cond>),
}

impl Cond {
    /// Whether all hold.
    pub fn all(parts: impl IntoIterator<Item = Cond>) -> Self {
        let mut all = Vec::new();
        for part in parts {
            match part {
                Self::True => {}
                Self::False => return Self::False,
                Self::All(parts) => all.extend(parts),
                part => all.push(part),
            }
        }
        all.dedup();
        match all.len() {
            0 => Self::True,
            1 => all.remove(0),
            _ => Self::All(all),
        }
    }

    /// Whether any holds.
    pub fn any(parts: impl IntoIterator<Item = Cond>) -> Self {
        let mut any = Vec::new();
        for part in parts {
            match part {
                Self::False => {}
                Self::True => return Self::True,
                Self::Any(parts) => any.extend(parts),
                part => any.push(part),
            }
        }
        any.dedup();
        match any.len() {
            0 => Self::False,
            1 => any.remove(0),
            _ => Self::Any(any),
        }
    }

    pub fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}

/// A pattern of another system in the words of this one, and whether it matches more than it did.
#[derive(Debug, PartialEq, Eq)]
pub struct Glob {
    pub text: String,
    pub wider: bool,
}

/// A glob as GitHub has it for branches, tags and paths: there, `?` and `+` repeat what is before them, and `[…]` is one of these. Woodpecker
/// and GitLab have the `[…]` and `{a,b}` too, but their `?` is one character.
pub fn glob(pattern: &str, repeats: bool) -> Glob {
    let (mut text, mut wider) = (String::new(), false);
    let mut rest = pattern.chars();
    let any = |text: &mut String| {
        if !text.ends_with('*') {
            text.push('*');
        }
    };
    while let Some(c) = rest.next() {
        match c {
            '\\' => text.extend(rest.next()),
            '[' | '{' => {
                let end = if c == '[' { ']' } else { '}' };
                let inside: String = rest.by_ref().take_while(|c| *c != end).collect();
                // A set of one: a special character that is meant as itself.
                match inside.chars().collect::<Vec<_>>().as_slice() {
                    [only] if c == '[' && !['*', '?'].contains(only) => text.push(*only),
                    _ => {
                        any(&mut text);
                        wider = true;
                    }
                }
            }
            '?' | '+' if repeats => {
                if !text.ends_with('*') {
                    text.pop();
                    any(&mut text);
                }
                wider = true;
            }
            c => text.push(c),
        }
    }
    Glob { text, wider }
}

/// A regular expression as a glob; `None` where none comes near.
pub fn regex(expression: &str) -> Option<Glob> {
    let (start, rest) = expression.strip_prefix('^').map_or((false, expression), |rest| (true, rest));
    let (end, rest) = match rest.strip_suffix('$') {
        Some(rest) if !rest.ends_with('\\') => (true, rest),
        _ => (false, rest),
    };
    let (mut text, mut wider) = (String::new(), false);
    if !start {
        text.push_str("**");
    }
    let mut rest = rest.chars().peekable();
    while let Some(c) = rest.next() {
        // What one character may be, or that it may be many.
        let one = match c {
            '\\' => match rest.next()? {
                'd' | 'w' | 'S' => None,
                c if c.is_ascii_alphanumeric() => return None,
                c => Some(c),
            },
            '.' => None,
            '[' => {
                let inside: String = rest.by_ref().take_while(|c| *c != ']').collect();
                if inside.is_empty() {
                    return None;
                }
                wider = true;
                None
            }
            '(' | ')' | '|' | '^' | '$' | '{' | '}' | '*' | '+' | '?' => return None,
            c => Some(c),
        };
        let repeated = rest.next_if(|c| ['*', '+', '?'].contains(c));
        match (one, repeated) {
            (Some(c), None) => text.push(c),
            // `.*` is all there may be; a digit or a word character is not.
            (None, Some('*')) if c == '.' => text.push_str("**"),
            _ => {
                text.push_str("**");
                wider = true;
            }
        }
    }
    if !end {
        text.push_str("**");
    }
    while text.contains("***") {
        text = text.replace("***", "**");
    }
    Some(Glob { text, wider })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_say_nothing_go_away() {
        let main = || Cond::Branch("main".to_owned());
        assert_eq!(Cond::all([Cond::True, main(), main()]), main());
        assert_eq!(Cond::any([Cond::False, Cond::all([])]), Cond::True);
        assert_eq!(Cond::all([main(), Cond::False]), Cond::False);
        assert_eq!(main().not().not(), main());
    }

    #[test]
    fn a_pattern_is_never_narrower_than_what_it_was_made_of() {
        for (pattern, repeats, text, wider) in [
            ("v*", true, "v*", false),
            ("v[0-9]+.[0-9]+", true, "v*.*", true),
            ("releases/**", true, "releases/**", false),
            ("docs?", true, "doc*", true),
            ("doc?", false, "doc?", false),
            ("*.{js,ts}", false, "*.*", true),
            ("a[.]b", false, "a.b", false),
        ] {
            assert_eq!(glob(pattern, repeats), Glob { text: text.to_owned(), wider }, "{pattern}");
        }
        for (expression, text, wider) in [
            (r"^main$", Some("main"), false),
            (r"^release\/.*$", Some("release/**"), false),
            (r"^v\d+\.\d+$", Some("v**.**"), true),
            ("fix", Some("**fix**"), false),
            ("^v[0-9]", Some("v**"), true),
            ("^(a|b)$", None, false),
            (r"\bx", None, false),
        ] {
            assert_eq!(regex(expression), text.map(|text| Glob { text: text.to_owned(), wider }), "{expression}");
        }
    }
}
