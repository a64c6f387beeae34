//! What the name in an `import` means: a file beside the one that imports, or a package of `node_modules`.

use serde_json::{Map, Value};

/// The façade, by the name that authors write, and by the one that it has.
pub const FACADE: (&str, &str) = ("monkeyci", "monkeyci:script");

/// What is looked for in place of a name without an ending, and in a folder.
const ENDINGS: [&str; 6] = [".ts", ".mts", ".js", ".mjs", ".json", ".cjs"];
/// Conditions of a package's `exports` that hold here.
const CONDITIONS: [&str; 4] = ["monkeyci", "import", "module", "default"];
/// The same for what is required and not imported.
const REQUIRED: [&str; 3] = ["monkeyci", "require", "default"];

/// Names that are modules of Node.
const OF_NODE: [&str; 24] = [
    "assert",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "crypto",
    "dns",
    "events",
    "fs",
    "http",
    "https",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "readline",
    "stream",
    "timers",
    "tls",
    "url",
    "util",
    "worker_threads",
    "zlib",
];

/// The files of the code that is built.
pub trait Files {
    /// Whether there is a file at this path.
    fn is_file(&self, path: &str) -> bool;
    /// The text of a file; none when it is not there, or no text.
    fn text(&self, path: &str) -> Option<String>;
}

/// The folder that a file is in; empty for the root.
pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The path of the module that `name` means in the file `base`. An error says what is wrong, but not where.
pub fn resolve(base: &str, name: &str, required: bool, files: &dyn Files) -> Result<String, String> {
    if name == FACADE.0 {
        return Ok(FACADE.1.to_owned());
    }
    if name.starts_with("monkeyci:") && base.starts_with("monkeyci:") {
        return Ok(name.to_owned());
    }
    let is_relative = |start: &str| name == start || name.strip_prefix(start).is_some_and(|rest| rest.starts_with('/'));
    if is_relative(".") || is_relative("..") {
        let path = joined(folder(base), name).ok_or_else(|| format!("{name:?} leads out of the code that is built"))?;
        return at(&path, files)
            .ok_or_else(|| format!("there is no module {name:?}: neither {path} nor {}", tried(&path)));
    }
    if name.starts_with('/') || name.contains("://") || name.starts_with("data:") {
        return Err(format!(
            "{name:?} can't be imported: modules are files of the code that is built, named as in \"./lib.ts\""
        ));
    }
    if let Some(mapped) = name.starts_with('#').then(|| own_imports(base, name, required, files)) {
        return mapped.ok_or_else(|| format!("no package.json above {base} has {name:?} among its imports"));
    }
    package(base, name, required, files)
}

fn tried(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name.contains('.') { format!("{path}/index.ts or the like") } else { format!("{path}.ts or the like") }
}

/// A path with another one behind it, without `.` and `..`; none when it leads out.
fn joined(folder: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The file that a path means: itself, with an ending, or the index of a folder.
fn at(path: &str, files: &dyn Files) -> Option<String> {
    // TypeScript's files are imported by the name of what they are compiled to, too.
    let compiled = [(".js", ".ts"), (".mjs", ".mts")]
        .into_iter()
        .find_map(|(js, ts)| Some(format!("{}{ts}", path.strip_suffix(js)?)));
    let exact = path.rsplit('/').next().is_some_and(|name| name.contains('.')).then(|| path.to_owned());
    let mut all = exact.into_iter().chain(compiled).chain(ENDINGS.iter().map(|ending| format!("{path}{ending}")));
    all.find(|path| files.is_file(path)).or_else(|| {
        if let Some(main) = manifest(path, files).and_then(|it| entry(&it, path, files)) {
            return Some(main);
        }
        ENDINGS.iter().map(|ending| format!("{path}/index{ending}")).find(|path| files.is_file(path))
    })
}

fn manifest(folder: &str, files: &dyn Files) -> Option<Map<String, Value>> {
    let path = if folder.is_empty() { "package.json".to_owned() } else { format!("{folder}/package.json") };
    if !files.is_file(&path) {
        return None;
    }
    match serde_json::from_str(&files.text(&path)?) {
        Ok(Value::Object(it)) => Some(it),
        _ => None,
    }
}

/// What a package without `exports` is.
fn entry(manifest: &Map<String, Value>, folder: &str, files: &dyn Files) -> Option<String> {
    let named = ["module", "main"].iter().filter_map(|key| manifest.get(*key)?.as_str());
    named.filter_map(|name| joined(folder, name)).find_map(|path| {
        if files.is_file(&path) {
            Some(path)
        } else {
            ENDINGS
                .iter()
                .map(|end| format!("{path}{end}"))
                .chain(ENDINGS.iter().map(|end| format!("{path}/index{end}")))
                .find(|it| files.is_file(it))
        }
    })
}

/// The folders from a file's own up to the root.
fn above(base: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder(base)), |dir| (!dir.is_empty()).then(|| folder(dir)))
}

fn package(base: &str, name: &str, required: bool, files: &dyn Files) -> Result<String, String> {
    let parts = if name.starts_with('@') { 2 } else { 1 };
    let mut ends = name.match_indices('/').map(|(at, _)| at);
    let end = ends.nth(parts - 1).unwrap_or(name.len());
    let (package, inner) = name.split_at(end);
    let bare = name.strip_prefix("node:").unwrap_or(name);
    let mut looked = Vec::new();
    for dir in above(base).filter(|dir| !dir.ends_with("node_modules")) {
        let modules = if dir.is_empty() { "node_modules".to_owned() } else { format!("{dir}/node_modules") };
        let folder = format!("{modules}/{package}");
        if let Some(manifest) = manifest(&folder, files) {
            return in_package(&folder, inner, &manifest, required, files).ok_or_else(|| {
                format!(
                    "the package {package} in {folder} has no module {name:?} that can be {}",
                    if required { "required" } else { "imported" }
                )
            });
        }
        looked.push(modules);
    }
    if name.starts_with("node:") || OF_NODE.contains(&bare.split('/').next().unwrap_or(bare)) {
        return Err(format!(
            "{name:?} is a module of Node, and scripts do not run in Node: \"monkeyci\" has workspace for files, and container for programs"
        ));
    }
    Err(format!("there is no package {package:?}: neither in {}", looked.join(" nor in ")))
}

fn in_package(
    folder: &str,
    inner: &str,
    manifest: &Map<String, Value>,
    required: bool,
    files: &dyn Files,
) -> Option<String> {
    if let Some(exports) = manifest.get("exports") {
        let target = exported(exports, &format!(".{inner}"), if required { &REQUIRED } else { &CONDITIONS })?;
        return joined(folder, &target).filter(|path| files.is_file(path));
    }
    match inner {
        "" => {
            let main = if required {
                let main = manifest.get("main").and_then(Value::as_str).and_then(|main| joined(folder, main));
                main.and_then(|main| at(&main, files))
            } else {
                entry(manifest, folder, files)
            };
            main.or_else(|| {
                ENDINGS.iter().map(|ending| format!("{folder}/index{ending}")).find(|path| files.is_file(path))
            })
        }
        inner => at(&joined(folder, inner.trim_start_matches('/'))?, files),
    }
}

/// `#name` in a file of a package: what its own `imports` say.
fn own_imports(base: &str, name: &str, required: bool, files: &dyn Files) -> Option<String> {
    let dir = above(base).find(|dir| manifest(dir, files).is_some())?;
    let it = manifest(dir, files)?;
    let target = exported(it.get("imports")?, name, if required { &REQUIRED } else { &CONDITIONS })?;
    joined(dir, &target).filter(|path| files.is_file(path))
}

/// What `exports` say of a module of the package, `.` or `./inner`.
fn exported(exports: &Value, wanted: &str, conditions: &[&str]) -> Option<String> {
    let by_path = exports.as_object().filter(|it| it.keys().all(|key| key.starts_with(['.', '#'])));
    let Some(by_path) = by_path else {
        return (wanted == ".").then(|| chosen(exports, conditions)).flatten();
    };
    if let Some(target) = by_path.get(wanted) {
        return chosen(target, conditions);
    }
    let mut patterns: Vec<_> =
        by_path.iter().filter_map(|(key, target)| Some((key.split_once('*')?, target))).collect();
    patterns.sort_by_key(|((before, _), _)| std::cmp::Reverse(before.len()));
    patterns.into_iter().find_map(|((before, after), target)| {
        let middle = wanted.strip_prefix(before)?.strip_suffix(after)?;
        Some(chosen(target, conditions)?.replace('*', middle))
    })
}

/// The first target whose conditions hold.
fn chosen(target: &Value, conditions: &[&str]) -> Option<String> {
    match target {
        Value::String(path) => Some(path.clone()),
        Value::Array(all) => all.iter().find_map(|one| chosen(one, conditions)),
        Value::Object(all) => all
            .iter()
            .filter(|(key, _)| conditions.contains(&key.as_str()))
            .find_map(|(_, one)| chosen(one, conditions)),
        _ => None,
    }
}

/// Whether a file is a module of the old kind, which is required: one of a package that does not say otherwise.
pub fn is_common(path: &str, files: &dyn Files) -> bool {
    if path.ends_with(".cjs") {
        return true;
    }
    if !path.ends_with(".js") || !path.split('/').any(|part| part == "node_modules") {
        return false;
    }
    let nearest = above(path).take_while(|dir| !dir.ends_with("node_modules")).find_map(|dir| manifest(dir, files));
    let Some(nearest) = nearest else { return true };
    // What a bundler takes as a module is one, though Node would not.
    let bundled =
        nearest.get("module").and_then(Value::as_str).is_some_and(|name| path.ends_with(name.trim_start_matches("./")));
    nearest.get("type").and_then(Value::as_str) != Some("module") && !bundled
}

#[cfg(test)]
mod tests;
