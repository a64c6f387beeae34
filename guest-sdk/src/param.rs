//! Parameters that a script declares.

use std::fmt;
use std::marker::PhantomData;

use crate::error::Told;
use crate::host::params;
use crate::{Error, ErrorContext, HostError, Result};

/// A parameter with a type, to be given to [`Build::declare`](crate::Build::declare). Made by [`param`].
///
/// `T` is the type of its values; `P` says whether there always is one.
#[derive(Clone, Debug)]
pub struct Param<T, P = Optional> {
    name: String,
    kind: &'static str,
    choices: Vec<String>,
    default: Option<String>,
    required: bool,
    description: Option<String>,
    types: PhantomData<(T, P)>,
}

/// There may be no value: the parameter has no default and is not required.
#[derive(Clone, Copy, Debug)]
pub struct Optional;

/// There always is a value: the parameter has a default or is required.
#[derive(Clone, Copy, Debug)]
pub struct Always;

/// A parameter of the name `name`: a text, unless more is said. Without [`default`](Param::default) and
/// [`required`](Param::required), its value is an `Option`.
///
/// ```
/// # use monkeyci_sdk::prelude::*;
/// fn script(build: &Build) -> Result<impl IntoJobs> {
///     let workers: i64 = build.declare(param("workers").integer().default(4).description("how many tests run at a time"))?;
///     let profile: String = build.declare(param("profile").choice(["debug", "release"]).default("debug"))?;
///     let version: String = build.declare(param("version").required().description("what this release is called"))?;
///     let notes: Option<String> = build.declare(param("notes"))?;
///     let line = format!("make test WORKERS={workers} PROFILE={profile} VERSION={version}");
///     Ok(container("test", "debian:12").shell([line]).label("notes", notes.unwrap_or_default()))
/// }
/// ```
pub fn param(name: impl Into<String>) -> Param<String> {
    Param {
        name: name.into(),
        kind: "text",
        choices: Vec::new(),
        default: None,
        required: false,
        description: None,
        types: PhantomData,
    }
}

impl Param<String> {
    /// Its values are whole numbers.
    pub fn integer(self) -> Param<i64> {
        self.of_kind("integer")
    }

    /// Its values are numbers.
    pub fn number(self) -> Param<f64> {
        self.of_kind("number")
    }

    /// Its values are `true` and `false`.
    pub fn boolean(self) -> Param<bool> {
        self.of_kind("boolean")
    }

    /// Its values are these.
    pub fn choice<S: Into<String>>(mut self, values: impl IntoIterator<Item = S>) -> Self {
        self.choices = values.into_iter().map(Into::into).collect();
        self.of_kind("choice")
    }
}

impl<T> Param<T> {
    /// The value where nobody gave one.
    pub fn default(mut self, value: impl Into<T>) -> Param<T, Always>
    where
        T: fmt::Display,
    {
        self.default = Some(value.into().to_string());
        self.retyped()
    }

    /// A build to which nobody gave a value can't run.
    pub fn required(mut self) -> Param<T, Always> {
        self.required = true;
        self.retyped()
    }
}

impl<T, P> Param<T, P> {
    /// What the parameter is for, in a sentence.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    fn of_kind<U>(mut self, kind: &'static str) -> Param<U, P> {
        self.kind = kind;
        self.retyped()
    }

    fn retyped<U, Q>(self) -> Param<U, Q> {
        let Self { name, kind, choices, default, required, description, types: PhantomData } = self;
        Param { name, kind, choices, default, required, description, types: PhantomData }
    }

    /// Declares it, and reads its value.
    ///
    /// A value that does not fit is a fault of the graph, whatever the script does with it: the host reports it, with all
    /// others, and nothing runs. So that the script gets as far as to tell of the others, it goes on with what it gets when
    /// nobody gave a value. Where there is no such thing, it ends here.
    fn ask(&self) -> Result<Option<String>> {
        let host = params::Param::new(&self.name);
        host.kind(self.kind);
        if self.kind == "choice" {
            host.choices(&self.choices);
        }
        if let Some(value) = &self.default {
            host.default(value);
        }
        if self.required {
            host.required();
        }
        if let Some(text) = &self.description {
            host.description(text);
        }
        match host.value().told() {
            Err(error) if !self.required && is_invalid(&error) => Ok(self.default.clone()),
            told => told.with_context(|| format!("the parameter {:?}", self.name)),
        }
    }
}

fn is_invalid(error: &Error) -> bool {
    matches!(error.downcast_ref(), Some(HostError::Invalid(_)))
}

/// A type that values of parameters have.
pub trait ParamValue: sealed::Sealed + Sized {
    #[doc(hidden)]
    fn read(text: &str) -> Option<Self>;
}

/// Whether a parameter always has a value, and so the type of what [`Build::declare`](crate::Build::declare) returns.
pub trait Presence<T>: sealed::Sealed {
    /// `T`, or `Option<T>`.
    type Value;

    #[doc(hidden)]
    fn value(value: Option<T>, name: &str) -> Result<Self::Value>;
}

impl<T> Presence<T> for Optional {
    type Value = Option<T>;

    fn value(value: Option<T>, _: &str) -> Result<Option<T>> {
        Ok(value)
    }
}

impl<T> Presence<T> for Always {
    type Value = T;

    fn value(value: Option<T>, name: &str) -> Result<T> {
        value.with_context(|| format!("the parameter {name:?} has no value"))
    }
}

pub(crate) fn declare<T: ParamValue, P: Presence<T>>(param: &Param<T, P>) -> Result<P::Value> {
    let read = |text: String| {
        T::read(&text)
            .with_context(|| format!("the parameter {:?} is {text:?}; it has to be a {}", param.name, param.kind))
    };
    P::value(param.ask()?.map(read).transpose()?, &param.name)
}

impl ParamValue for String {
    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

macro_rules! parsed {
    ($($type:ty)*) => {
        $(impl ParamValue for $type {
            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        })*
    };
}

parsed!(i64 f64 bool);

mod sealed {
    pub trait Sealed {}

    impl Sealed for String {}
    impl Sealed for i64 {}
    impl Sealed for f64 {}
    impl Sealed for bool {}
    impl Sealed for super::Optional {}
    impl Sealed for super::Always {}
}
