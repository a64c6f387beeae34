//! What went wrong, in words: the error, with the place in the author's files.

use rquickjs::{CaughtError, Coerced, Ctx, Error, Object, Value};

use crate::engine::shared;

/// How a call ends that does not succeed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// For whoever reads how the build ended.
    pub message: String,
    /// The error with its stack, for the log.
    pub stack: Option<String>,
}

/// How many errors behind an error are told.
const DEEPEST: usize = 8;

impl Failure {
    /// One that has no place.
    pub fn plain(message: String) -> Self {
        Self { message, stack: None }
    }

    /// What QuickJS has caught.
    pub fn of(ctx: &Ctx<'_>, error: Error) -> Self {
        match CaughtError::from_error(ctx, error) {
            CaughtError::Exception(exception) => Self::thrown(ctx, exception.into_object().into_value()),
            CaughtError::Value(value) => Self::thrown(ctx, value),
            CaughtError::Error(error) => Self::at(&format!("InternalError: {error}"), None),
        }
    }

    /// What was thrown.
    pub fn thrown<'js>(ctx: &Ctx<'js>, thrown: Value<'js>) -> Self {
        let Some(error) = thrown.as_object().filter(|it| it.is_error()) else {
            let shown = in_words(ctx, &thrown);
            return Self::at(&format!("{shown} was thrown, which is no Error and so does not know its place"), None);
        };
        let stack = text(error, "stack").unwrap_or_default();
        let said = named(error);
        let place = place(&stack).or_else(|| lacking(&said).and_then(crate::modules::importing));
        // The façade's own name is no author's word.
        let mut failure = Self::at(&said.replace("'monkeyci:script'", "'monkeyci'"), place.as_deref());
        let mut cause = caused(error);
        for _ in 0..DEEPEST {
            let Some(error) = cause else { break };
            failure.message.push_str(&format!("; caused by {}", named(&error)));
            cause = caused(&error);
        }
        // One frame is in the message already.
        failure.stack =
            Some(described(error)).filter(|it| it.matches("\n    at ").count() > 1 || it.contains("\ncaused by "));
        failure
    }

    /// A promise that nothing can settle any more.
    pub fn never() -> Self {
        let shared = shared();
        let running = shared.running.borrow();
        Self::at(&format!("the promise of {} never settles: nothing is left that could do it", running.0), None)
    }

    /// A script that was stopped.
    pub fn endless() -> Self {
        let shared = shared();
        let running = shared.running.borrow();
        Self::at(&format!("{} computes without end, and was stopped", running.0), None)
    }

    /// The rejection of a promise that nobody has asked.
    pub fn unasked(mut self) -> Self {
        self.message.push_str(" (in a promise that nobody awaits)");
        self
    }

    /// At this place, or else where the function stands that runs.
    fn at(what: &str, place: Option<&str>) -> Self {
        let shared = shared();
        let running = shared.running.borrow();
        let place = place.unwrap_or(&running.1);
        Self::plain(if place.is_empty() { what.to_owned() } else { format!("{place}: {what}") })
    }
}

/// Whether a frame is of the façade, or of QuickJS itself.
fn is_inner(frame: &str) -> bool {
    frame.contains("monkeyci:") || frame.contains("(native)") || frame.trim() == "at"
}

/// The first place of a stack that is in a file of the author's; else in one of a package.
pub fn place(stack: &str) -> Option<String> {
    let frames = || stack.lines().filter(|frame| frame.trim_start().starts_with("at ") && !is_inner(frame));
    let frame = frames().find(|frame| !frame.contains("node_modules/")).or_else(|| frames().next())?;
    let frame = frame.trim_start().strip_prefix("at ")?;
    let inner = frame.rsplit_once('(').map_or(frame, |(_, place)| place.trim_end_matches(')'));
    Some(inner.trim().to_owned()).filter(|it| it.contains(':'))
}

/// The name that a module has not, and that another one imports: QuickJS does not say which one.
fn lacking(message: &str) -> Option<&str> {
    message.strip_prefix("SyntaxError: Could not find export '")?.split('\'').next()
}

fn text(object: &Object<'_>, name: &str) -> Option<String> {
    let value: Option<Coerced<String>> = object.get(name).ok()?;
    value.map(|it| it.0).filter(|it| !it.is_empty())
}

fn caused<'js>(error: &Object<'js>) -> Option<Object<'js>> {
    let cause: Option<Object<'js>> = error.get("cause").ok()?;
    cause.filter(|it| it.is_error())
}

/// Name and message of an error; what it has of several errors, too.
fn named(error: &Object<'_>) -> String {
    let name = text(error, "name").unwrap_or_else(|| "Error".to_owned());
    let message = text(error, "message");
    let several: Vec<Object<'_>> = error.get("errors").ok().flatten().unwrap_or_default();
    let several: Vec<String> = several.iter().take(DEEPEST).map(named).collect();
    let mut all = match message {
        Some(message) if name == "HostError" => message,
        Some(message) => format!("{name}: {message}"),
        None => name,
    };
    if !several.is_empty() {
        all.push_str(&format!(" ({})", several.join("; ")));
    }
    all
}

/// An error with its stack, without frames that are none of the author's, and with what caused it.
pub fn described(error: &Object<'_>) -> String {
    let mut shown = String::new();
    let mut next = Some(error.clone());
    for depth in 0..DEEPEST {
        let Some(error) = next else { break };
        if depth > 0 {
            shown.push_str("\ncaused by ");
        }
        shown.push_str(&named(&error));
        let stack = text(&error, "stack").unwrap_or_default();
        for frame in stack.lines().filter(|frame| !frame.trim().is_empty() && !is_inner(frame)) {
            shown.push_str(&format!("\n{frame}"));
        }
        next = caused(&error);
    }
    shown
}

fn in_words<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> String {
    let json = ctx.json_stringify(value.clone()).ok().flatten().and_then(|it| it.to_string().ok());
    json.unwrap_or_else(|| value.type_name().to_owned())
}
