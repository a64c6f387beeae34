//! Actions of GitHub's that stand for something that this host does itself.

use super::steps::{Step, title};
use super::text::Scope;
use crate::import::condition::Cond;
use crate::import::model::{Cache, Command, Job, Missing, Part, Policy, Restore, Save, SaveWhen, Text};
use crate::import::names;
use crate::import::yaml::Tree;

/// An action that puts a language onto the machine: an image here.
struct Setup {
    action: &'static str,
    /// What names the version.
    version: &'static str,
    image: &'static str,
    default: &'static str,
}

const SETUPS: [Setup; 6] = [
    Setup { action: "actions/setup-node", version: "node-version", image: "node:", default: "22" },
    Setup { action: "actions/setup-python", version: "python-version", image: "python:", default: "3" },
    Setup { action: "actions/setup-go", version: "go-version", image: "golang:", default: "1" },
    Setup { action: "actions/setup-java", version: "java-version", image: "eclipse-temurin:", default: "21" },
    Setup { action: "ruby/setup-ruby", version: "ruby-version", image: "ruby:", default: "3" },
    Setup {
        action: "actions/setup-dotnet",
        version: "dotnet-version",
        image: "mcr.microsoft.com/dotnet/sdk:",
        default: "8.0",
    },
];

/// Reads a step that uses an action.
pub fn read(step: &Step<'_>, uses: &str, scope: &mut Scope<'_>) {
    let (action, version) = uses.split_once('@').unwrap_or((uses, ""));
    // A comment would tell no more than what comes of it.
    title(step.node);
    let with = step.node.get("with").cloned();
    if let Some(condition) = step.node.get("if").filter(|_| step.cond != Cond::True) {
        let why = "what this action stands for is said of the job, without this condition";
        scope.missing.push(Missing { place: condition.place(), why: why.to_owned() });
    }
    match action {
        "actions/checkout" => checkout(with.as_ref(), scope),
        "actions/upload-artifact" => upload(step, with.as_ref(), scope),
        "actions/download-artifact" => download(step.node, with.as_ref(), scope),
        "actions/cache" | "actions/cache/restore" | "actions/cache/save" => {
            cache(step.node, with.as_ref(), action, scope)
        }
        "Swatinem/rust-cache" => {
            let key = Part::Hash(vec!["**/Cargo.lock".to_owned()]);
            let mut text = Text::from("rust-");
            text.push(key);
            scope.job.caches.push(Cache {
                id: "rust-target".to_owned(),
                paths: vec![Text::from("target")],
                key: Some(text),
                fallbacks: vec![Text::from("rust-")],
                save: None,
            });
        }
        "dtolnay/rust-toolchain" | "actions-rs/toolchain" | "actions-rust-lang/setup-rust-toolchain" => {
            // Of the others, the version is that of the action.
            let channel = if action == "dtolnay/rust-toolchain" { version } else { "" };
            rust(step, channel, with.as_ref(), scope);
        }
        _ => match SETUPS.iter().find(|setup| setup.action == action) {
            Some(setup) => self::setup(step.node, setup, with.as_ref(), scope),
            None => {
                let why =
                    format!("`{uses}` is a program of GitHub's; say with commands, or another image, what it does");
                scope.miss(step.node, why);
            }
        },
    }
}

/// The code is there; the question is only what else.
fn checkout(with: Option<&Tree>, scope: &mut Scope<'_>) {
    for entry in with.map(|with| with.entries()).unwrap_or_default() {
        match (entry.key.as_str(), entry.value.peek()) {
            ("fetch-depth" | "fetch-tags", _) => {
                entry.value.cover();
                scope.job.with_git = true;
            }
            ("submodules" | "clean" | "persist-credentials", _) => entry.value.cover(),
            _ => scope.miss(&entry.value, "a job has the code of its build, in its workspace"),
        }
    }
}

/// The image of a job, if no step has named one.
fn image(node: &Tree, image: Text, scope: &mut Scope<'_>) {
    if scope.job.image.is_empty() {
        scope.job.image = image;
    } else {
        scope.miss(node, "a job has one image, and has it already; name one that has all that the job needs");
    }
}

fn setup(node: &Tree, setup: &Setup, with: Option<&Tree>, scope: &mut Scope<'_>) {
    let version = with.and_then(|with| with.get(setup.version));
    let text = version.map_or_else(|| Text::from(setup.default), |version| scope.text(version));
    let text = match text.literal() {
        Some(version) => {
            let plain = version.trim_start_matches(['^', '~', '>', '=', 'v', ' ']).trim_end_matches(".x");
            let plain = match plain {
                "lts/*" | "lts" => "lts",
                "stable" | "latest" | "*" | "x" | "" => setup.default,
                plain => plain,
            };
            Text::from(plain)
        }
        None => text,
    };
    image(node, text.within(setup.image, ""), scope);
    for entry in with.map(|with| with.entries()).unwrap_or_default() {
        match entry.key.as_str() {
            key if key == setup.version => {}
            "cache" => scope.miss(
                &entry.value,
                "keep it with `.cache(…)`, in a directory of the workspace that the tool is told of",
            ),
            "distribution" => {
                scope.miss(&entry.value, format!("the image is of `{}`", setup.image.trim_end_matches(':')))
            }
            _ => scope.miss(&entry.value, "the image decides it; name one that is so"),
        }
    }
}

fn rust(step: &Step<'_>, channel: &str, with: Option<&Tree>, scope: &mut Scope<'_>) {
    let toolchain = with.and_then(|with| with.get("toolchain"));
    let text = toolchain.map_or_else(|| Text::from(channel), |toolchain| scope.text(toolchain));
    let made = match text.literal() {
        Some("stable" | "master" | "v1" | "") => Text::from("rust:1"),
        Some("nightly") => Text::from("rustlang/rust:nightly"),
        Some(version) if version.chars().any(|c| !c.is_ascii_digit() && c != '.') => {
            // A commit of the action, a channel or a day: what stands there names no release.
            let (made, is) = match version.starts_with("nightly") {
                true => ("rustlang/rust:nightly", "the last nightly"),
                false => ("rust:1", "the last stable release"),
            };
            let why = format!("`{version}` is no release of Rust that has an image: this is {is}, `{made}`");
            let node = toolchain.or_else(|| step.node.get("uses")).unwrap_or(step.node);
            scope.missing.push(Missing { place: node.place(), why });
            Text::from(made)
        }
        _ => text.within("rust:", ""),
    };
    let rows = scope.job.matrix.iter().flat_map(|matrix| &matrix.rows).flat_map(|(_, values)| values);
    let by_channel =
        made.literal().is_none() && rows.clone().any(|value| ["stable", "beta", "nightly"].contains(&value.as_str()));
    image(step.node, made, scope);
    if by_channel && let Some(toolchain) = toolchain {
        let why = "there is no image of the name of a channel (stable, beta, nightly): write the versions down, or run `rustup toolchain install`";
        scope.miss(toolchain, why);
    }
    for (key, command) in
        [("components", "rustup component add"), ("targets", "rustup target add"), ("target", "rustup target add")]
    {
        if let Some(list) = with.and_then(|with| with.get(key)) {
            let names = scope.shell(list);
            let mut text = Text::from(command);
            text.push(Part::Literal(" ".to_owned()));
            for part in names.0 {
                text.push(match part {
                    Part::Literal(text) => {
                        let names = text.split([',', ' ', '\n']).filter(|name| !name.is_empty());
                        Part::Literal(names.collect::<Vec<_>>().join(" "))
                    }
                    part => part,
                });
            }
            let line = step.node.place().line;
            scope.job.commands.push(Command { line, title: None, text, when: step.cond.clone() });
        }
    }
}

/// The id of an artifact. A value that can't be in one is replaced by the id of the job.
fn id(name: Option<&Tree>, scope: &mut Scope<'_>) -> Text {
    let text = name.map_or_else(|| Text::from("artifact"), |name| scope.text(name));
    let mut made = Text::default();
    for part in text.0 {
        made.push(match part {
            Part::Literal(text) => Part::Literal(
                text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect(),
            ),
            Part::Axis(axis) => {
                let matrix = scope.job.matrix.iter();
                let at = matrix.clone().find_map(|matrix| matrix.axes.iter().position(|known| *known == axis));
                let fits = matrix
                    .flat_map(|matrix| &matrix.rows)
                    .all(|(_, values)| at.is_some_and(|at| values[at] == names::id(&values[at])));
                if fits { Part::Axis(axis) } else { Part::Id }
            }
            part => part,
        });
    }
    match made.literal() {
        Some(text) => Text::from(names::id(text).as_str()),
        None => made,
    }
}

/// What is saved: a path, and of several the files below the workspace.
fn saved(paths: &[Text], job: &Job) -> (Text, Vec<Text>) {
    let has = |text: &str| text.contains(['*', '?', '[']);
    let or_here = |path: Text| if path.is_empty() { Text::from(".") } else { path };
    if let [only] = paths {
        let path = clean(only);
        if !globs(&path, job) {
            return (or_here(path), Vec::new());
        }
        let Some(path) = path.literal() else { return (Text::from("."), vec![path]) };
        // What comes before the first part with a wildcard.
        let parts: Vec<&str> = path.split('/').collect();
        let fixed = parts.iter().take_while(|part| !has(part)).count();
        let dir = Text::from(parts[..fixed].join("/").as_str());
        return (or_here(dir), vec![Text::from(parts[fixed..].join("/").as_str())]);
    }
    let files = paths.iter().map(|path| match path.literals().ends_with('/') {
        true => clean(path).within("", "/**"),
        false => clean(path),
    });
    (Text::from("."), files.collect())
}

/// A path without what says nothing: `./` before it, and `/` after it.
fn clean(path: &Text) -> Text {
    let mut path = path.trimmed(|_| false, |c| c == '/');
    if let Some(Part::Literal(text)) = path.0.first_mut() {
        *text = text.trim_start_matches("./").to_owned();
    }
    let mut made = Text::default();
    made.extend(&path);
    made
}

/// Whether a path has wildcards, in any row.
fn globs(path: &Text, job: &Job) -> bool {
    path.0.iter().any(|part| match part {
        Part::Literal(text) => text.contains(['*', '?', '[']),
        Part::Axis(axis) => job.values(axis).any(|value| value.contains(['*', '?', '['])),
        _ => false,
    })
}

fn upload(step: &Step<'_>, with: Option<&Tree>, scope: &mut Scope<'_>) {
    let id = id(with.and_then(|with| with.get("name")), scope);
    let mut policy = (false, None);
    for entry in with.map(|with| with.entries()).unwrap_or_default() {
        match (entry.key.as_str(), entry.value.peek()) {
            ("name", _) => {}
            ("path", _) => policy.1 = Some(&entry.value),
            ("if-no-files-found", Some("error")) => entry.value.cover(),
            ("if-no-files-found", Some("ignore")) => {
                entry.value.cover();
                policy.0 = true;
            }
            ("if-no-files-found", _) => scope.miss(
                &entry.value,
                "an artifact that is not there is the job's failure; say `.if_there()` where it need not be",
            ),
            ("retention-days", _) => {
                scope.miss(&entry.value, "all of a build is kept for as long as `monkeyci-host gc --older-than` says")
            }
            _ => scope.miss(&entry.value, "artifacts have no such option"),
        }
    }
    let Some(node) = policy.1 else {
        scope.miss(step.node, "it names no path to save");
        return;
    };
    let all = scope.text(node).lines();
    let (unwanted, paths): (Vec<Text>, Vec<Text>) = all.into_iter().partition(|path| path.literals().starts_with('!'));
    let (outside, paths): (Vec<Text>, Vec<Text>) = paths.into_iter().partition(|path| {
        let path = path.literals();
        path.starts_with(['/', '~', '$']) || path.split('/').any(|part| part == "..")
    });
    for path in unwanted {
        scope.miss(node, format!("`{}` is saved too: what is left out can't be said", path.shown()));
    }
    for path in outside {
        let why = "artifacts come from the workspace; copy it there first";
        scope.miss(node, format!("`{}` is not saved: {why}", path.shown()));
    }
    for part in paths.iter().flat_map(|path| &path.0) {
        if let Part::Axis(axis) = part
            && scope.job.values(axis).any(|value| value.trim().contains('\n'))
        {
            scope.miss(node, format!("a value of `{axis}` has several lines, and this takes it for one path"));
        }
    }
    if paths.is_empty() {
        return;
    }
    let (path, files) = saved(&paths, scope.job);
    if files.iter().any(|file| file.literals().contains('[')) {
        scope.miss(node, "a `[` in a path stands for itself here");
    }
    scope.job.saves.push(Save { id, path, files, when: when(step), if_there: policy.0 });
}

fn when(step: &Step<'_>) -> SaveWhen {
    match step.when {
        None => SaveWhen::Success,
        Some(Policy::OnFailure) => SaveWhen::Failure,
        Some(_) => SaveWhen::Always,
    }
}

fn download(node: &Tree, with: Option<&Tree>, scope: &mut Scope<'_>) {
    let path = with.and_then(|with| with.get("path")).map_or_else(|| Text::from("."), |path| scope.text(path));
    let Some(name) = with.and_then(|with| with.get("name")) else {
        scope.miss(node, "it takes all artifacts of the run; name each with `.restore_artifact(…)`");
        return;
    };
    let id = id(Some(name), scope);
    scope.job.restores.push(Restore { id, path, at_path: true, if_there: true });
}

fn cache(node: &Tree, with: Option<&Tree>, action: &str, scope: &mut Scope<'_>) {
    let (mut paths, mut key, mut fallbacks) = (Vec::new(), None, Vec::new());
    for entry in with.map(|with| with.entries()).unwrap_or_default() {
        match entry.key.as_str() {
            "path" => {
                let text = scope.text(&entry.value);
                for line in text.literals().lines().map(str::trim).filter(|line| !line.is_empty()) {
                    if line.starts_with(['~', '/', '$', '!']) || line.contains('*') || text.literal().is_none() {
                        let why = format!(
                            "`{line}` is not kept: caches are directories of the workspace; have the tool keep its files there (`CARGO_HOME`, `npm_config_cache`, …)"
                        );
                        scope.miss(&entry.value, why);
                    } else {
                        paths.push(Text::from(line.trim_end_matches('/')));
                    }
                }
            }
            "key" => key = Some(scope.text(&entry.value)),
            "restore-keys" => fallbacks = scope.text(&entry.value).lines(),
            _ => scope.miss(&entry.value, "caches have no such option"),
        }
    }
    if paths.is_empty() {
        scope.missing.push(Missing {
            place: node.place(),
            why: "the cache is left out: it has no path that can be kept".to_owned(),
        });
        return;
    }
    let number = scope.job.caches.len() + 1;
    let first = paths[0].literal().map(names::id).unwrap_or_default();
    let id = if scope.job.caches.iter().any(|cache| cache.id == first) { format!("{first}-{number}") } else { first };
    let save = match action {
        "actions/cache/restore" => Some("Never"),
        _ => Some("Miss"),
    };
    scope.job.caches.push(Cache { id, paths, key, fallbacks, save });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::model::Matrix;

    #[test]
    fn what_is_saved_is_a_path_or_the_files_below_one() {
        let of = |paths: &[&str]| {
            let paths: Vec<Text> = paths.iter().map(|path| Text::from(*path)).collect();
            let (path, files) = saved(&paths, &Job::default());
            format!("{}: {}", path.shown(), files.iter().map(Text::shown).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(of(&["dist/"]), "dist: ");
        assert_eq!(of(&["./dist/*.tar.gz"]), "dist: *.tar.gz");
        assert_eq!(of(&["**/*.whl"]), ".: **/*.whl");
        assert_eq!(of(&["a/", "b/c.txt"]), ".: a/** b/c.txt");
        let rows = vec![("a".to_owned(), vec!["x86".to_owned(), "dist/*".to_owned()])];
        let matrix = Matrix { axes: vec!["arch".to_owned(), "glob".to_owned()], rows };
        let job = Job { matrix: Some(matrix), ..Job::default() };
        let of = |begin: &str, axis: &str, end: &str| {
            let (path, files) = saved(&[Text::from(Part::Axis(axis.to_owned())).within(begin, end)], &job);
            format!("{}: {}", path.shown(), files.iter().map(Text::shown).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(of("./out/", "arch", "/"), "out/{arch}: ");
        assert_eq!(of("out/", "arch", "/*.deb"), ".: out/{arch}/*.deb");
        assert_eq!(of("", "glob", ""), ".: {glob}");
    }
}
