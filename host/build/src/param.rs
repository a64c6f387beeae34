//! Parameters as a script declares them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::short;

/// A parameter that a script declared: checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamSpec {
    /// The name.
    pub name: String,
    /// What its values look like.
    pub kind: ParamKind,
    /// The value where nobody gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether a value has to be given.
    #[serde(default)]
    pub required: bool,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What the values of a parameter look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParamKind {
    /// Any text.
    Text,
    /// A whole number, as an `i64` can hold it.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these.
    Choice(Vec<String>),
}

impl ParamSpec {
    /// Whether a value fits the declaration.
    ///
    /// # Errors
    ///
    /// What would fit, in words for whoever gave the value.
    pub fn accepts(&self, value: &str) -> Result<(), String> {
        let fits = match &self.kind {
            ParamKind::Text => true,
            ParamKind::Integer => value.parse::<i64>().is_ok(),
            // Rust reads "inf" and "NaN" as numbers; nobody who counts workers means them.
            ParamKind::Number => value.parse::<f64>().is_ok_and(f64::is_finite),
            ParamKind::Boolean => matches!(value, "true" | "false"),
            ParamKind::Choice(choices) => choices.iter().any(|choice| choice == value),
        };
        if fits { Ok(()) } else { Err(format!("{:?} is not {}", short(value), self.kind.words())) }
    }
}

impl fmt::Display for ParamSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name: _, kind, default, required, description } = self;
        write!(f, "{kind}")?;
        if let Some(default) = default {
            write!(f, ", {default} by default")?;
        }
        if *required {
            f.write_str(", required")?;
        }
        if let Some(description) = description {
            write!(f, ": {description}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ParamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Integer => f.write_str("integer"),
            Self::Number => f.write_str("number"),
            Self::Boolean => f.write_str("boolean"),
            Self::Choice(choices) => write!(f, "one of {}", choices.join(", ")),
        }
    }
}

impl ParamKind {
    /// What a value has to be.
    fn words(&self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Integer => "a whole number; give one from -2^63 to 2^63-1".to_owned(),
            Self::Number => "a number; give one such as 12 or 0.5".to_owned(),
            Self::Boolean => "true or false; give one of the two".to_owned(),
            Self::Choice(choices) => {
                const SHOWN: usize = 20;
                let mut shown: Vec<String> =
                    choices.iter().take(SHOWN).map(|choice| format!("{:?}", short(choice))).collect();
                if choices.len() > SHOWN {
                    shown.push(format!("… ({} more)", choices.len() - SHOWN));
                }
                format!("one of the choices; give one of {}", shown.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_told_with_its_type_its_default_and_what_it_is_for() {
        let param = |kind| ParamSpec { name: "p".into(), kind, default: None, required: false, description: None };
        let level = ParamSpec {
            default: Some("low".into()),
            description: Some("how much".into()),
            ..param(ParamKind::Choice(vec!["low".into(), "high".into()]))
        };
        assert_eq!(level.to_string(), "one of low, high, low by default: how much");
        assert_eq!(ParamSpec { required: true, ..param(ParamKind::Integer) }.to_string(), "integer, required");
    }
}
