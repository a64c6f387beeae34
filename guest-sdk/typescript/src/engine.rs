//! The engine of an instance: `define` makes it, and `act` or `refine` goes on with it.

use std::cell::{Cell, OnceCell, RefCell};
use std::io::Write as _;
use std::rc::Rc;

use rquickjs::promise::PromiseState;
use rquickjs::{Array, Context, Ctx, Function, IntoJs, Module, Object, Persistent, Promise, Runtime, Value};

use crate::bindings::monkeyci::script::jobs::Job;
use crate::failure::Failure;
use crate::host;
use crate::modules::{self, Modules};

/// What scripts may have of memory: less than the host gives an instance, so that who asks for more learns where he did.
const MOST_MEMORY: usize = 192 << 20;
/// What they may have of the stack, of which the host gives 512 KiB: a function that calls itself without end learns where, too.
const MOST_STACK: usize = 128 << 10;
/// How often QuickJS asks whether to go on (each time some 10,000 steps later) until `define` or `refine` is taken for endless: what
/// they may take is ten seconds, and their clock stands still.
const MOST_PAUSES: u64 = 5_000;
/// After how many of them the log says where an action computes, for the first time.
const FIRST_PAUSES: u64 = 4_096;
/// How long before its time limit an action is stopped that computes without asking the host anything, in milliseconds, but at most
/// a third of the limit: the host could not say where it was.
const MARGIN: f64 = 10_000.0;

/// The files that are a script, by their names in `.monkeyci`.
const SCRIPTS: [&str; 3] = ["build.ts", "build.js", "build.mjs"];

type Rejection = (Persistent<Value<'static>>, Persistent<Value<'static>>);

/// What the engine and the host's calls know of each other.
#[derive(Default)]
pub struct Shared {
    /// The façade's functions that are called from here.
    pub entries: RefCell<Option<Persistent<Object<'static>>>>,
    /// Runs the next timer; false when there is none.
    pub timers: RefCell<Option<Persistent<Function<'static>>>>,
    /// Tells where the script is.
    pub whereabouts: RefCell<Option<Persistent<Function<'static>>>>,
    /// The façade's class of errors of the host.
    pub host_error: RefCell<Option<Persistent<Function<'static>>>>,
    /// Which of the author's functions runs, and where it stands.
    pub running: RefCell<(String, String)>,
    /// Promises that were rejected and that nobody has asked, and why.
    rejected: RefCell<Vec<Rejection>>,
    /// Whether an action runs, whose clock goes.
    pub acts: Cell<bool>,
    /// The time limit of the action that runs, in milliseconds.
    pub limit: Cell<f64>,
    /// How often it was asked whether to go on since the script has called the host, and when the clock is looked at next.
    pub pauses: Cell<u64>,
    look: Cell<u64>,
    /// Whether the script was stopped, because it computed without end.
    stopped: Cell<bool>,
}

thread_local! {
    static ENGINE: OnceCell<(Runtime, Context)> = const { OnceCell::new() };
    static SHARED: Rc<Shared> = Rc::default();
}

/// What is shared with the host's calls.
pub fn shared() -> Rc<Shared> {
    SHARED.with(Rc::clone)
}

/// Evaluates the script's files and declares their jobs.
pub fn define() -> Result<(), String> {
    ended(start().and_then(|()| within(evaluate)))
}

/// Calls the function of an action or handler.
pub fn act(job: &str) -> Result<(), String> {
    let shared = shared();
    shared.acts.set(true);
    shared.pauses.set(0);
    host::chance::begin_action();
    ended(within(|ctx| {
        let act: Function<'_> = entry(ctx, "act")?;
        let returned = settled(ctx, act.call((job,)))?;
        drop(returned);
        Ok(())
    }))
}

/// Calls the function that completes a late job, and tells the host what it has said.
pub fn refine(job: &Job, id: &str) -> Result<(), String> {
    shared().pauses.set(0);
    ended(within(|ctx| {
        let refine: Function<'_> = entry(ctx, "refine")?;
        let said: Array<'_> = settled(ctx, refine.call((id,)))?.get().map_err(|error| Failure::of(ctx, error))?;
        host::jobs::apply(ctx, job, &said).map_err(|error| Failure::of(ctx, error))
    }))
}

/// What an export returns. What is in the standard library's buffer is written: nobody else does.
fn ended(result: Result<(), Failure>) -> Result<(), String> {
    let message = result.map_err(|failure| {
        if let Some(stack) = &failure.stack {
            eprintln!("{stack}");
        }
        failure.message
    });
    // Nobody is there to be told when this fails.
    let _ = std::io::stdout().flush();
    message
}

fn start() -> Result<(), Failure> {
    let made = || -> rquickjs::Result<(Runtime, Context)> {
        let runtime = Runtime::new()?;
        runtime.set_memory_limit(MOST_MEMORY);
        runtime.set_max_stack_size(MOST_STACK);
        runtime.set_loader(Modules::default(), Modules::default());
        runtime.set_host_promise_rejection_tracker(Some(Box::new(track)));
        runtime.set_interrupt_handler(Some(Box::new(pause)));
        let context = Context::full(&runtime)?;
        Ok((runtime, context))
    };
    let made = made().map_err(|error| Failure::plain(format!("the engine of scripts can't start: {error}")))?;
    ENGINE.with(|engine| drop(engine.set(made)));
    within(|ctx| {
        modules::prepare(ctx).map_err(|error| Failure::of(ctx, error))?;
        let facade = settled(ctx, modules::import(ctx, crate::resolve::FACADE.1));
        facade.map(drop)
    })
}

fn within<T>(run: impl for<'js> FnOnce(&Ctx<'js>) -> Result<T, Failure>) -> Result<T, Failure> {
    // The context is used by one call at a time; it is there as long as the instance.
    let context = ENGINE.with(|engine| engine.get().map(|(_, context)| context.clone()));
    let context = context.ok_or_else(|| Failure::plain("the engine of scripts has not started".to_owned()))?;
    context.with(|ctx| run(&ctx))
}

fn entry<'js>(ctx: &Ctx<'js>, name: &str) -> Result<Function<'js>, Failure> {
    let entries = shared().entries.borrow().clone();
    let entries = entries.ok_or_else(|| Failure::plain("the façade has not started".to_owned()))?;
    entries.restore(ctx).and_then(|entries| entries.get(name)).map_err(|error| Failure::of(ctx, error))
}

fn evaluate(ctx: &Ctx<'_>) -> Result<(), Failure> {
    let names = modules::scripts(&SCRIPTS).map_err(Failure::plain)?;
    if names.is_empty() {
        let all = SCRIPTS.map(|name| format!(".monkeyci/{name}"));
        return Err(Failure::plain(format!("there is no script: none of {}", all.join(", "))));
    }
    for path in names {
        *shared().running.borrow_mut() = (format!("the module {path}"), format!("{path}:1:1"));
        let (module, evaluated) =
            modules::declare(ctx, &path).and_then(Module::eval).map_err(|error| Failure::of(ctx, error))?;
        settled(ctx, Ok(evaluated.into_value()))?;
        let script: Value<'_> = module
            .namespace()
            .and_then(|namespace| namespace.get("default"))
            .map_err(|error| Failure::of(ctx, error))?;
        let define: Function<'_> = entry(ctx, "define")?;
        settled(ctx, define.call((path.as_str(), script)))?;
    }
    Ok(())
}

/// What a call comes to: a promise is driven to its end, and then all that is left to run. Who rejects without being asked has failed.
fn settled<'js>(ctx: &Ctx<'js>, called: rquickjs::Result<Value<'js>>) -> Result<Value<'js>, Failure> {
    let value = called.map_err(|error| Failure::of(ctx, error));
    not_stopped(ctx)?;
    let value = value?;
    let promise = value.as_promise().cloned();
    loop {
        while ctx.execute_pending_job() {}
        not_stopped(ctx)?;
        if let Some(failed) = promise.as_ref().filter(|it| it.state() == PromiseState::Rejected) {
            return Err(rejection(ctx, failed));
        }
        if let Some((_, reason)) = shared().rejected.take().into_iter().next() {
            let reason = reason.restore(ctx).map_err(|error| Failure::of(ctx, error))?;
            return Err(Failure::thrown(ctx, reason).unasked());
        }
        if !next_timer(ctx)? {
            break;
        }
    }
    let Some(promise) = promise else { return Ok(value) };
    match promise.result::<Value<'js>>() {
        Some(result) => result.map_err(|error| Failure::of(ctx, error)),
        None => Err(Failure::never()),
    }
}

fn rejection<'js>(ctx: &Ctx<'js>, promise: &Promise<'js>) -> Failure {
    match promise.result::<Value<'js>>() {
        Some(Err(error)) => Failure::of(ctx, error),
        Some(Ok(_)) | None => Failure::never(),
    }
}

/// A script that was stopped has failed, whatever it made of that.
fn not_stopped(ctx: &Ctx<'_>) -> Result<(), Failure> {
    if !shared().stopped.get() {
        return Ok(());
    }
    drop(ctx.catch());
    Err(Failure::endless())
}

fn next_timer(ctx: &Ctx<'_>) -> Result<bool, Failure> {
    let timers = shared().timers.borrow().clone();
    let Some(timers) = timers else { return Ok(false) };
    let ran = timers.restore(ctx).and_then(|next| next.call(()));
    let ran = ran.map_err(|error| Failure::of(ctx, error));
    not_stopped(ctx)?;
    ran
}

/// Notes promises that are rejected while nobody has asked what they come to.
fn track<'js>(ctx: Ctx<'js>, promise: Value<'js>, reason: Value<'js>, asked: bool) {
    let shared = shared();
    let Ok(mut rejected) = shared.rejected.try_borrow_mut() else { return };
    if !asked {
        rejected.push((Persistent::save(&ctx, promise), Persistent::save(&ctx, reason)));
        return;
    }
    rejected.retain(|(other, _)| !other.clone().restore(&ctx).is_ok_and(|other| other == promise));
}

/// Called again and again while the script computes. True stops it.
fn pause() -> bool {
    let shared = shared();
    let pauses = shared.pauses.get() + 1;
    shared.pauses.set(pauses);
    let endless = if shared.acts.get() { is_late(&shared, pauses) } else { pauses >= MOST_PAUSES };
    if endless && !shared.stopped.get() {
        let at = here();
        shared.running.borrow_mut().1 = at;
        shared.stopped.set(true);
    }
    if shared.acts.get() && pauses >= FIRST_PAUSES && pauses.is_power_of_two() {
        eprintln!("still computing, in {}", here());
    }
    shared.stopped.get()
}

/// Whether an action's time is nearly over. Each look at the clock is recorded, so there are few: always when an eighth of the rest
/// should be over.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn is_late(shared: &Shared, pauses: u64) -> bool {
    if pauses > 1 && pauses < shared.look.get() {
        return false;
    }
    let now = host::chance::now();
    let limit = shared.limit.get();
    let rest = limit - (limit / 3.0).min(MARGIN) - now;
    let pace = pauses as f64 / now.max(1.0);
    shared.look.set(pauses + ((rest * pace / 8.0) as u64).max(16));
    rest <= 0.0
}

/// Where the script is.
fn here() -> String {
    let told = || -> Option<String> {
        let whereabouts = shared().whereabouts.borrow().clone()?;
        let context = ENGINE.with(|engine| engine.get().map(|(_, context)| context.as_raw()))?;
        // SAFETY: the context lives as long as the instance, and it is the one that computes now.
        let ctx = unsafe { Ctx::from_raw(context) };
        let stack: String = whereabouts.restore(&ctx).ok()?.call(()).ok()?;
        crate::failure::place(&stack)
    };
    told().unwrap_or_else(|| shared().running.borrow().1.clone())
}

/// A value for JavaScript.
pub fn value<'js>(ctx: &Ctx<'js>, it: impl IntoJs<'js>) -> rquickjs::Result<Value<'js>> {
    it.into_js(ctx)
}
