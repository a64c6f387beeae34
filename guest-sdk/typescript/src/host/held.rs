//! What scripts hold of the host's: the façade has classes round it. It goes when nobody has it any more.

use std::cell::RefCell;

use rquickjs::class::{JsClass, Readable, Trace, Tracer};
use rquickjs::function::Constructor;
use rquickjs::{Class, Ctx, Exception, JsLifetime, Object, Result};

use super::{Answer, Call};
use crate::bindings::monkeyci::script::{artifacts, events, files, jobs};

/// One of these.
pub enum Held {
    /// Of a file, or an artifact's file.
    Reader(files::Reader),
    /// Of an artifact.
    Writer(artifacts::Writer),
    /// Of events.
    Subscription(events::Subscription),
    /// What is known of a job.
    Outcome(jobs::Outcome),
}

/// The object that holds it; none when it was closed.
struct Handle(RefCell<Option<Held>>);

// SAFETY: it has nothing of JavaScript's.
unsafe impl JsLifetime<'_> for Handle {
    type Changed<'to> = Handle;
}

impl<'js> Trace<'js> for Handle {
    fn trace<'a>(&self, _: Tracer<'a, 'js>) {}
}

impl<'js> JsClass<'js> for Handle {
    const NAME: &'static str = "Handle";
    type Mutable = Readable;

    fn prototype(ctx: &Ctx<'js>) -> Result<Option<Object<'js>>> {
        Object::new(ctx.clone()).map(Some)
    }

    fn constructor(_: &Ctx<'js>) -> Result<Option<Constructor<'js>>> {
        Ok(None)
    }
}

/// Gives something to the script.
pub fn hold<'js>(call: &Call<'js>, it: Held) -> Answer<'js> {
    Ok(Class::instance(call.ctx.clone(), Handle(RefCell::new(Some(it))))?.into_value())
}

/// Does something with what the call's first argument holds.
pub fn with<T>(call: &Call<'_>, run: impl FnOnce(&Held) -> Option<T>) -> Result<T> {
    let handle: Class<'_, Handle> = Class::from_value(&call.get(1)?)?;
    let handle = handle.borrow();
    let done = handle.0.borrow().as_ref().and_then(run);
    done.ok_or_else(|| Exception::throw_type(&call.ctx, "it is closed"))
}

/// Lets go of it.
pub fn close(call: &Call<'_>) -> Result<()> {
    let handle: Class<'_, Handle> = Class::from_value(&call.get(1)?)?;
    drop(handle.borrow().0.replace(None));
    Ok(())
}
