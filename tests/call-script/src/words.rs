//! How a line of a program is read.

/// A line: a call, and what it is given.
pub struct Line<'a> {
    /// How often.
    pub times: u64,
    /// Whether an error is no end.
    pub tries: bool,
    pub call: String,
    words: Vec<&'a str>,
}

/// What a call is given.
pub struct Given(Vec<String>);

impl<'a> Line<'a> {
    pub fn of(line: &'a str) -> Self {
        let mut words = line.split_whitespace().peekable();
        let (mut times, mut tries) = (1, false);
        loop {
            match words.peek() {
                Some(&"x") => {
                    words.next();
                    times = words.next().and_then(|times| times.parse().ok()).unwrap_or(0);
                }
                Some(&"try") => {
                    words.next();
                    tries = true;
                }
                _ => break,
            }
        }
        let call = words.next().unwrap_or_default().to_owned();
        Self { times, tries, call, words: words.collect() }
    }

    /// What the call is given in its turn.
    pub fn given(&self, turn: u64) -> Given {
        Given(self.words.iter().map(|word| value(word, turn)).collect())
    }
}

fn value(word: &str, turn: u64) -> String {
    if word == "''" {
        return String::new();
    }
    let (times, text) = match word.split_once('*') {
        Some((times, text)) if times.parse::<usize>().is_ok() => (times.parse().unwrap_or(1), text),
        _ => (1, word),
    };
    let signs = [("\\n", "\n"), ("\\e", "\x1b"), ("\\s", " "), ("\\0", "\0")];
    let text = signs.iter().fold(text.replace('#', &turn.to_string()), |text, (sign, is)| text.replace(sign, is));
    text.repeat(times)
}

impl Given {
    pub fn text(&self, at: usize) -> &str {
        self.0.get(at).map_or("", String::as_str)
    }

    pub fn number<T: std::str::FromStr + Default>(&self, at: usize) -> T {
        self.text(at).parse().unwrap_or_default()
    }

    pub fn rest(&self, from: usize) -> &[String] {
        self.0.get(from..).unwrap_or_default()
    }
}
