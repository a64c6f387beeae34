//! The host's calls, as the façade makes them: one function, with a name and arguments. What the host refuses is thrown.

pub mod chance;
mod files;
mod held;
pub mod jobs;
mod told;

use rquickjs::function::Rest;
use rquickjs::{Ctx, Error, Exception, FromJs, Function, IntoJs, Object, Persistent, Result, TypedArray, Value};

use crate::bindings::monkeyci::script::{events, params, results, secrets, types};
use crate::engine::{self, shared};
use crate::modules;

/// The time limit of an action that names none, in milliseconds.
const USUAL_LIMIT: f64 = 3_600_000.0;

/// Why a call did not succeed.
pub enum Refused {
    /// The host said no.
    Host(types::Error),
    /// QuickJS did.
    Engine(Error),
}

impl From<types::Error> for Refused {
    fn from(error: types::Error) -> Self {
        Self::Host(error)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

/// What a call came to.
pub type Answer<'js> = std::result::Result<Value<'js>, Refused>;

/// The arguments of a call.
pub struct Call<'js> {
    pub ctx: Ctx<'js>,
    arguments: Vec<Value<'js>>,
}

impl<'js> Call<'js> {
    /// An argument, counted from 1.
    pub fn get<T: FromJs<'js>>(&self, at: usize) -> Result<T> {
        let value = self.arguments.get(at).cloned().unwrap_or_else(|| Value::new_undefined(self.ctx.clone()));
        T::from_js(&self.ctx, value)
    }

    /// A text.
    pub fn text(&self, at: usize) -> Result<String> {
        self.get(at)
    }

    /// Bytes.
    pub fn bytes(&self, at: usize) -> Result<Vec<u8>> {
        let bytes: TypedArray<'js, u8> = self.get(at)?;
        // SAFETY: nothing of the script runs while they are copied.
        Ok(unsafe { bytes.as_bytes() }.unwrap_or_default().to_vec())
    }

    /// What the call comes to.
    pub fn value(&self, it: impl IntoJs<'js>) -> Answer<'js> {
        Ok(engine::value(&self.ctx, it)?)
    }

    /// Bytes as what the call comes to.
    pub fn of_bytes(&self, bytes: Vec<u8>) -> Answer<'js> {
        Ok(TypedArray::new(self.ctx.clone(), bytes)?.into_value())
    }
}

/// A number as JavaScript has them.
#[allow(clippy::cast_precision_loss)]
pub fn number(it: u64) -> f64 {
    it as f64
}

/// A whole number that JavaScript has given; the façade has looked whether it is one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn whole(it: f64) -> u64 {
    it as u64
}

/// What the host said, as its kind and its words.
pub fn in_words(error: &types::Error) -> (&'static str, String) {
    let (code, what, message) = match error {
        types::Error::Denied(message) => ("denied", "denied: ", message),
        types::Error::NotFound(message) => ("not-found", "not found: ", message),
        types::Error::Invalid(message) => ("invalid", "invalid: ", message),
        types::Error::Conflict(message) => ("conflict", "conflict: ", message),
        types::Error::Quota(message) => ("quota", "a limit is reached: ", message),
        types::Error::Unavailable(message) => ("unavailable", "not available now: ", message),
        types::Error::Other(message) => ("other", "", message),
    };
    (code, format!("{what}{message}"))
}

/// A call of the façade's.
pub fn call<'js>(ctx: Ctx<'js>, arguments: Rest<Value<'js>>) -> Result<Value<'js>> {
    let call = Call { ctx, arguments: arguments.0 };
    let name = call.text(0)?;
    shared().pauses.set(0);
    match answer(&call, &name) {
        Ok(value) => Ok(value),
        Err(Refused::Engine(error)) => Err(error),
        Err(Refused::Host(error)) => Err(thrown(&call.ctx, &error)),
    }
}

fn thrown(ctx: &Ctx<'_>, error: &types::Error) -> Error {
    let (code, message) = in_words(error);
    let made = || -> Result<Value<'_>> {
        let Some(class) = shared().host_error.borrow().clone() else {
            return Ok(Exception::from_message(ctx.clone(), &message)?.into_object().into_value());
        };
        let class = class.restore(ctx)?;
        class.as_constructor().ok_or(Error::Unknown)?.construct((code, message.as_str()))
    };
    match made() {
        Ok(error) => ctx.throw(error),
        Err(error) => error,
    }
}

fn answer<'js>(call: &Call<'js>, name: &str) -> Answer<'js> {
    match name {
        "entries" => {
            let entries: Object<'js> = call.get(1)?;
            shared().entries.replace(Some(Persistent::save(&call.ctx, entries)));
        }
        "timers" => drop(shared().timers.replace(Some(function(call)?))),
        "whereabouts" => drop(shared().whereabouts.replace(Some(function(call)?))),
        "host-error" => drop(shared().host_error.replace(Some(function(call)?))),
        "running" => {
            shared().running.replace((call.text(1)?, call.text(2)?));
            shared().limit.set(call.get::<Option<f64>>(3)?.unwrap_or(USUAL_LIMIT));
        }
        "print" => told::print(&call.text(1)?, &call.text(2)?),
        "describe" => return call.value(modules::described(&call.get(1)?)),
        "common" => return Ok(modules::common_function(&call.ctx, &call.text(1)?)?),
        "required" => return call.value(modules::required(&call.ctx, &call.text(1)?, &call.text(2)?)?),
        "folder" => return call.value(modules::folder_of(&call.text(1)?)),
        "utf8-encode" => return call.of_bytes(call.get::<rquickjs::Coerced<String>>(1)?.0.into_bytes()),
        "utf8-decode" => return decoded(call),
        "utf8-decode-if" => return call.value(String::from_utf8(call.bytes(1)?).ok()),
        "matches" => return call.value(crate::glob::matches(&call.text(1)?, &call.text(2)?)),
        "random" => return call.value(chance::next()),
        "now" => return call.value(chance::now()),
        "sleep" => chance::sleep(call.get(1)?),
        "secret" => drop(secrets::named(&call.text(1)?)?),
        "reveal" => return call.of_bytes(secrets::named(&call.text(1)?)?.reveal()?),
        "secret-names" => return call.value(secrets::names()?),
        "param" => return param(call),
        "param-names" => return call.value(params::names()?),
        "message" => results::message(&call.text(1)?)?,
        "warn" => results::warn(&call.text(1)?)?,
        "skip" => results::skip(&call.text(1)?)?,
        "output" => results::output(&call.text(1)?, &call.text(2)?)?,
        "link" => results::link(&call.text(1)?, &call.text(2)?)?,
        "test-report" => results::test_report(&call.text(1)?)?,
        "coverage" => results::coverage(call.get(1)?)?,
        "publish" => events::publish(&call.text(1)?, &call.text(2)?)?,
        "report" => events::report(&call.text(1)?)?,
        "log" => events::log(told::level(&call.text(1)?), &call.text(2)?),
        "build" | "changes" => return told::build(call, name),
        "subscribe" | "next-event" => return told::subscription(call, name),
        "declare" | "submit" | "look-up" | "outcome" | "wait-any" | "argument" => return jobs::answer(call, name),
        _ => return files::answer(call, name),
    }
    Ok(Value::new_undefined(call.ctx.clone()))
}

fn function<'js>(call: &Call<'js>) -> Result<Persistent<Function<'static>>> {
    let function: Function<'js> = call.get(1)?;
    Ok(Persistent::save(&call.ctx, function))
}

fn decoded<'js>(call: &Call<'js>) -> Answer<'js> {
    let (bytes, fatal): (_, bool) = (call.bytes(1)?, call.get(2)?);
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes);
    match String::from_utf8(bytes) {
        Ok(text) => call.value(text),
        Err(_) if fatal => Err(Exception::throw_type(&call.ctx, "the bytes are not UTF-8").into()),
        Err(error) => call.value(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// Declares a parameter, and says which value it has. One that does not fit is a fault of the graph, so the default does meanwhile.
fn param<'js>(call: &Call<'js>) -> Answer<'js> {
    let (name, options): (String, Object<'js>) = (call.get(1)?, call.get(2)?);
    let host = params::Param::new(&name);
    host.kind(&options.get::<_, String>("kind")?);
    if let Some(choices) = options.get::<_, Option<Vec<String>>>("choices")? {
        host.choices(&choices);
    }
    let initial: Option<String> = options.get("initial")?;
    if let Some(initial) = &initial {
        host.default(initial);
    }
    let required: bool = options.get("required")?;
    if required {
        host.required();
    }
    if let Some(text) = options.get::<_, Option<String>>("description")? {
        host.description(&text);
    }
    match host.value() {
        Err(types::Error::Invalid(_)) if !required => call.value(initial),
        told => call.value(told?),
    }
}
