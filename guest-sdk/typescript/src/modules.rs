//! Modules: the façade's own, the author's files, and packages.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rquickjs::context::EvalOptions;
use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::{Declarations, Declared, Exports, ModuleDef};
use rquickjs::{Ctx, Error, Exception, Function, Module, Object, Result, Value};

use crate::bindings::monkeyci::script::{types, workspace};
use crate::engine;
use crate::host;
use crate::place::{Fault, position};
use crate::resolve::{Files, folder, is_common, resolve};
use crate::strip::{Language, javascript};

/// The façade, which is part of the interpreter.
const OWN: [(&str, &str); 4] = [
    ("monkeyci:script", include_str!("../js/script.js")),
    ("monkeyci:build", include_str!("../js/build.js")),
    ("monkeyci:options", include_str!("../js/options.js")),
    ("monkeyci:commonjs", include_str!("../js/commonjs.js")),
];
const GLOBALS: &str = include_str!("../js/globals.js");
const URL: &str = include_str!("../js/url.js");

thread_local! {
    /// What was read, so that a place in it can be found and it is read once.
    static SOURCES: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
    static KINDS: RefCell<BTreeMap<String, bool>> = const { RefCell::new(BTreeMap::new()) };
}

/// The workspace, as names are resolved in it.
pub struct Workspace;

impl Files for Workspace {
    fn is_file(&self, path: &str) -> bool {
        if let Some(known) = KINDS.with_borrow(|kinds| kinds.get(path).copied()) {
            return known;
        }
        let is_file = match workspace::stat(path) {
            Ok(Some(it)) => ["file", "symlink"].contains(&it.kind().as_str()),
            Ok(None) | Err(_) => false,
        };
        KINDS.with_borrow_mut(|kinds| kinds.insert(path.to_owned(), is_file));
        is_file
    }

    fn text(&self, path: &str) -> Option<String> {
        read(path).ok()
    }
}

fn read(path: &str) -> std::result::Result<String, String> {
    if let Some(known) = SOURCES.with_borrow(|sources| sources.get(path).cloned()) {
        return Ok(known);
    }
    let bytes = workspace::read_file(path).map_err(|error| host::in_words(&error).1)?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{path} is not a text in UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    SOURCES.with_borrow_mut(|sources| sources.insert(path.to_owned(), text.clone()));
    Ok(text)
}

/// The scripts that are there, of these names.
pub fn scripts(names: &[&str]) -> std::result::Result<Vec<String>, String> {
    let there = match workspace::read_dir(".monkeyci") {
        Ok(there) => there,
        Err(types::Error::NotFound(_)) => return Ok(Vec::new()),
        Err(error) => return Err(format!(".monkeyci can't be read: {}", host::in_words(&error).1)),
    };
    Ok(names.iter().filter(|name| there.iter().any(|it| it == *name)).map(|name| format!(".monkeyci/{name}")).collect())
}

/// Puts into the global scope what scripts find there.
pub fn prepare(ctx: &Ctx<'_>) -> Result<()> {
    let call = Function::new(ctx.clone(), host::call)?;
    for (name, source) in [("monkeyci:url", URL), ("monkeyci:globals", GLOBALS)] {
        let function: Function<'_> = ctx.eval_with_options(format!("({source}\n)"), options(name))?;
        function.call::<_, ()>((call.clone(),))?;
    }
    Ok(())
}

fn options(name: &str) -> EvalOptions {
    let mut options = EvalOptions::default();
    options.filename = Some(name.to_owned());
    options
}

/// Imports a module of the façade's; what comes of it is a promise.
pub fn import<'js>(ctx: &Ctx<'js>, name: &str) -> Result<Value<'js>> {
    let (_, evaluated) = declare(ctx, name)?.eval()?;
    Ok(evaluated.into_value())
}

/// The module `monkeyci:host`: the host's calls, as a function.
struct HostCalls;

impl ModuleDef for HostCalls {
    fn declare(declarations: &Declarations<'_>) -> Result<()> {
        declarations.declare("default")?;
        Ok(())
    }

    fn evaluate<'js>(ctx: &Ctx<'js>, exports: &Exports<'js>) -> Result<()> {
        exports.export("default", Function::new(ctx.clone(), host::call)?)?;
        Ok(())
    }
}

/// Finds and reads modules.
#[derive(Default)]
pub struct Modules;

impl Resolver for Modules {
    fn resolve<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        resolve(base, name, false, &Workspace).map_err(|message| no_module(ctx, base, name, &message))
    }
}

impl Loader for Modules {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        declare(ctx, name)
    }
}

/// Throws an error at the place where `name` is imported, or required.
fn no_module(ctx: &Ctx<'_>, base: &str, name: &str, message: &str) -> Error {
    let found = SOURCES.with_borrow(|sources| {
        let source = sources.get(base)?;
        let at =
            ['"', '\'', '`'].into_iter().filter_map(|quote| source.find(&format!("{quote}{name}{quote}"))).min()?;
        Some(position(source, at))
    });
    let (line, column) = found.unwrap_or((1, 1));
    throw(ctx, "Error", message, &format!("    at {base}:{line}:{column}\n"))
}

/// Where a name is imported: the first place in the author's files.
pub fn importing(name: &str) -> Option<String> {
    let is_word = |source: &str, at: usize| {
        let is_part = |char: char| char.is_alphanumeric() || char == '_' || char == '$';
        !source[..at].ends_with(is_part) && !source[at + name.len()..].starts_with(is_part)
    };
    let in_import = |before: &str| {
        let start = before.rfind("import").max(before.rfind("export"));
        start.is_some_and(|start| !before[start..].contains(['(', ';', '=']))
    };
    SOURCES.with_borrow(|sources| {
        sources.iter().filter(|(path, _)| !path.contains("node_modules/")).find_map(|(path, source)| {
            let mut places = source.match_indices(name).map(|(at, _)| at);
            let at = places.find(|at| is_word(source, *at) && in_import(&source[..*at]))?;
            let (line, column) = position(source, at);
            Some(format!("{path}:{line}:{column}"))
        })
    })
}

/// Throws an error with this stack.
fn throw(ctx: &Ctx<'_>, name: &str, message: &str, stack: &str) -> Error {
    let made = Exception::from_message(ctx.clone(), message).and_then(|error| {
        error.as_object().set("name", name)?;
        error.as_object().set("stack", stack)?;
        Ok(error.throw())
    });
    made.unwrap_or_else(|error| error)
}

/// Reads a module and declares it.
pub fn declare<'js>(ctx: &Ctx<'js>, name: &str) -> Result<Module<'js, Declared>> {
    if let Some((_, source)) = OWN.iter().find(|(own, _)| *own == name) {
        return Module::declare(ctx.clone(), name, *source);
    }
    if name == "monkeyci:host" {
        return Module::declare_def::<HostCalls, _>(ctx.clone(), name);
    }
    let at_start = format!("    at {name}:1:1\n");
    let source = read(name).map_err(|message| throw(ctx, "Error", &message, &at_start))?;
    if name.ends_with(".json") {
        return json(ctx, name, &source);
    }
    if is_common(name, &Workspace) {
        return common(ctx, name);
    }
    let language = match name.rsplit('.').next() {
        Some("ts" | "mts") => Language::TypeScript,
        Some("js" | "mjs") => Language::JavaScript,
        _ => {
            let message = "it is no module: those end in .ts, .mts, .js, .mjs, .cjs or .json";
            return Err(throw(ctx, "Error", message, &at_start));
        }
    };
    // What a package brings is JavaScript, and was looked at by others.
    if language == Language::JavaScript && name.contains("node_modules/") {
        return Module::declare(ctx.clone(), name, source);
    }
    match javascript(&source, language) {
        Ok(javascript) => Module::declare(ctx.clone(), name, javascript),
        Err(fault) => Err(throw(ctx, "SyntaxError", &fault.shown(&source), &fault.stack(name, &source))),
    }
}

fn json<'js>(ctx: &Ctx<'js>, name: &str, source: &str) -> Result<Module<'js, Declared>> {
    if let Err(error) = serde_json::from_str::<serde_json::Value>(source) {
        let line = source.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        let fault = Fault { offset: line + error.column().saturating_sub(1), length: 1, message };
        return Err(throw(ctx, "SyntaxError", &fault.shown(source), &fault.stack(name, source)));
    }
    // As text: in an expression `__proto__` would be something else.
    let text = serde_json::Value::String(source.to_owned());
    Module::declare(ctx.clone(), name, format!("export default JSON.parse({text});"))
}

/// A module of the old kind: it runs at once, so that its names can be exported.
fn common<'js>(ctx: &Ctx<'js>, name: &str) -> Result<Module<'js, Declared>> {
    let exports = load_common(ctx, name)?;
    let mut names = vec!["default".to_owned()];
    if let Some(object) = exports.as_object() {
        names.extend(object.keys::<String>().flatten().filter(|key| key != "default"));
    }
    NAMES.set(names);
    Module::declare_def::<Common, _>(ctx.clone(), name)
}

fn load_common<'js>(ctx: &Ctx<'js>, name: &str) -> Result<Value<'js>> {
    let entries = engine::shared().entries.borrow().clone().ok_or(Error::Unknown)?;
    let load: Function<'js> = entries.restore(ctx)?.get("load")?;
    load.call((name,))
}

thread_local! {
    /// The names that the next module of the old kind exports.
    static NAMES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A module of the old kind, as others import it: what it exports is its default, and each of its names.
struct Common;

impl ModuleDef for Common {
    fn declare(declarations: &Declarations<'_>) -> Result<()> {
        NAMES.take().into_iter().try_for_each(|name| declarations.declare(name).map(drop))
    }

    fn evaluate<'js>(ctx: &Ctx<'js>, exports: &Exports<'js>) -> Result<()> {
        let name: String = exports.module().name()?;
        let it = load_common(ctx, &name)?;
        if let Some(object) = it.as_object() {
            for key in object.keys::<String>().flatten().filter(|key| key != "default") {
                // One that has come meanwhile was not declared, and can't be imported by name.
                let _ = exports.export(key.as_str(), object.get::<_, Value<'js>>(key.as_str())?);
            }
        }
        exports.export("default", it)?;
        Ok(())
    }
}

/// The function of a module of the old kind.
pub fn common_function<'js>(ctx: &Ctx<'js>, name: &str) -> Result<Value<'js>> {
    let source = read(name).map_err(|message| throw(ctx, "Error", &message, &format!("    at {name}:1:1\n")))?;
    if name.ends_with(".json") {
        return ctx.json_parse(source);
    }
    let mut options = options(name);
    options.strict = false;
    ctx.eval_with_options(
        format!("(function (exports, require, module, __filename, __dirname) {{{source}\n}})"),
        options,
    )
}

/// What a module of the old kind requires.
pub fn required(ctx: &Ctx<'_>, base: &str, name: &str) -> Result<String> {
    resolve(base, name, true, &Workspace).map_err(|message| no_module(ctx, base, name, &message))
}

/// The folder of a module.
pub fn folder_of(path: &str) -> String {
    folder(path).to_owned()
}

/// What the façade gets of an object that is an error.
pub fn described(object: &Object<'_>) -> String {
    crate::failure::described(object)
}
