//! Parameters, as a host sees them.

/// A parameter, as a host sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeclaredParam {
    /// Its name.
    pub name: String,
    /// What its values look like: `text`, `integer`, `number`, `boolean` or `choice`.
    pub kind: String,
    /// The values of a choice.
    pub choices: Vec<String>,
    /// The value where nobody gave one.
    pub default: Option<String>,
    /// Whether a value has to be given.
    pub required: bool,
    /// What it is for.
    pub description: Option<String>,
    /// The value that was given.
    pub given: Option<String>,
}

impl DeclaredParam {
    /// Why a value does not fit, if it does not.
    pub(crate) fn unfit(&self, value: &str) -> Option<String> {
        let (fits, wanted) = match self.kind.as_str() {
            "integer" => (value.parse::<i64>().is_ok(), "a whole number".to_owned()),
            "number" => (value.parse::<f64>().is_ok_and(f64::is_finite), "a number".to_owned()),
            "boolean" => (value.parse::<bool>().is_ok(), "true or false".to_owned()),
            "choice" => {
                (self.choices.iter().any(|choice| choice == value), format!("one of {}", self.choices.join(", ")))
            }
            _ => (true, String::new()),
        };
        (!fits).then(|| format!("{value:?} is not {wanted}"))
    }

    /// What is wrong with the declaration and the value.
    pub(crate) fn faults(&self, faults: &mut Vec<String>) {
        let mut add = |what: String| faults.push(format!("parameter {:?}: {what}", self.name));
        let named = (1..=128).contains(&self.name.chars().count());
        if !named || self.name.contains(|char: char| char == '=' || char.is_control()) {
            add("a name is 1 to 128 characters, none of them = or a control character".to_owned());
        }
        if self.kind == "choice" && self.choices.is_empty() {
            add("there is nothing to choose from".to_owned());
        }
        if let Some(why) = self.default.as_deref().and_then(|value| self.unfit(value)) {
            add(format!("the default {why}"));
        }
        match &self.given {
            Some(value) => self.unfit(value).into_iter().for_each(&mut add),
            None if self.required => add("is required, and nobody gave it".to_owned()),
            None => {}
        }
    }

    /// Whether it is declared in the same way.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self == other
    }
}
