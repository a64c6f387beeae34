//! Scripts as a host sees them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monkeyci_sdk::prelude::*;
use monkeyci_sdk::testing::{Graph, Simulation};
use serde_json::Value;

use crate::keys::ALL;
use crate::script;
use crate::tree::{Kind, Tree};

/// A tree on one line.
pub fn shown(node: &Tree) -> String {
    match &node.kind {
        Kind::Nothing => "-".to_owned(),
        Kind::Text(text) => text.clone(),
        Kind::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Kind::Map(entries) => {
            let entries = entries.iter().map(|entry| format!("{}:{}", entry.key, shown(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
        }
    }
}

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A build of a repository with this script.
fn with(file: &str, text: &str) -> Simulation {
    let build = Simulation::new().file(format!(".monkeyci/{file}"), text).file("Cargo.lock", "locked");
    build.secret("token", "s3cret").secret("deploy-token", "s3cret")
}

fn graph(text: &str) -> Graph {
    with("build.yaml", text).graph(script)
}

/// What is said of a script that is refused.
fn refusal(file: &str, text: &str) -> String {
    match with(file, text).try_graph(script) {
        Ok(graph) => panic!("it is taken: {graph}"),
        Err(faults) => faults.join("\n"),
    }
}

/// The pipeline of `samples/pipeline.yaml`.
fn in_rust(build: &Build) -> Result<impl IntoJobs + use<>> {
    let image = build.declare(param("image").default("rust:1.95"))?;
    let level =
        build.declare(param("level").choice(["quick", "full"]).default("quick").description("How much is tested."))?;
    let again = |job: ContainerJob| {
        let job =
            job.timeout(Duration::from_secs(1800)).retry(2).retry_on(RetryOn::Error).retry_on(RetryOn::OutOfMemory);
        job.retry_delay(Duration::from_secs(10))
    };
    let hash = build.workspace().hash_files(["Cargo.lock"])?;
    let cargo = cache("cargo", ".cargo/registry").and("target").key(format!("cargo-{hash}")).fallback("cargo-");
    let cargo = cargo.save(SavePolicy::Miss);
    let changed = ["src/**", "Cargo.*"].iter().any(|glob| build.touched(glob));
    let lint = again(container("lint", &image).shell(["cargo fmt --check", "cargo clippy -- -D warnings"]))
        .keep(cargo.clone())
        .allow_failure()
        .only_if(changed, "not in this build: changed('src/**', 'Cargo.*')");
    let token = build.secret("token")?;
    let tests = matrix().axis("os", ["debian", "alpine"]).axis("db", ["postgres:17", "mysql:9"]);
    let tests = tests.exclude(|it| &it["os"] == "alpine" && &it["db"] == "mysql:9").jobs(|it| {
        let db = service("db", &it["db"]).ready_port(5432).ready_timeout(Duration::from_secs(60));
        again(container(it.id("test"), format!("rust:{}", &it["os"])))
            .shell([format!("cargo test --features {}", &it["os"])])
            .env("LEVEL", &level)
            .secret_env("TOKEN", &token)
            .service(db)
            .keep(cargo.clone())
            .test_report("reports/*.xml")
            .memory(4 << 30)
            .cpu(1500)
            .fail_fast("tests")
    });
    let package = again(container("package", &image))
        .needs(&lint)
        .needs_all(&tests)
        .shell(["make dist"])
        .with_git()
        .save(artifact("dist", "target/dist").files(["*.tar.gz"]))
        .save(artifact("logs", "logs").always());
    let wanted = build.tag_matches("v*") || build.on_main_branch();
    let deploy = again(container("deploy", "debian:12"))
        .only_if(wanted, "not in this build: tag && matches(tag, 'v*') || on-main-branch")
        .argv(["./deploy", "--all"])
        .restore_artifact_as("dist", "incoming")
        .output_env("VERSION", &package, "version")
        .env("BRANCH", build.branch().unwrap_or_default())
        .approval(format!("deploy {}?", build.commit().unwrap_or_default()))
        .allow("deploy.example.org:443")
        .label("stage", "production");
    let clean_up = again(container("clean-up", "debian:12")).needs(&deploy).always().shell(["./clean-up"]);
    Ok((lint, tests, package, deploy, clean_up))
}

#[test]
fn a_pipeline_is_the_same_graph_in_yaml_and_in_rust() {
    let text = fs::read_to_string(crate_dir().join("samples/pipeline.yaml")).expect("a sample");
    let build = || with("build.yaml", &text).branch("topic").changed(["README.md"]);
    for build in [
        build(),
        build().changed(["src/lib.rs"]),
        build().branch("main"),
        build().tag("v1"),
        build().param("level", "full"),
    ] {
        let (yaml, rust) = (build.graph(script), build.graph(in_rust));
        assert_eq!(yaml.to_string(), rust.to_string());
        assert_eq!(yaml, rust);
    }
    let graph = build().graph(script);
    assert_eq!(
        graph.ids(),
        ["test-debian-postgres-17", "test-debian-mysql-9", "test-alpine-postgres-17", "package", "clean-up"]
    );
}

#[test]
fn monkeycis_own_keys_mean_what_they_mean_there() {
    let text = fs::read_to_string(crate_dir().join("samples/maven.yaml")).expect("a sample");
    let graph = graph(&text);
    let (test, publish) = (graph.job("test"), graph.job("publish"));
    assert_eq!((test.cpu, test.memory, test.timeout), (Some(2000), Some(4 << 30), Some(Duration::from_secs(1200))));
    assert!(test.shell_each && test.env.contains_key("MAVEN_OPTS"), "{test}");
    assert_eq!((publish.timeout, publish.approval.as_deref()), (Some(Duration::from_secs(600)), Some("run publish?")));
    assert_eq!(graph.needs("publish"), ["test"]);
    assert_eq!(self::graph("image: a\nscript: b\n").ids(), ["job-1"]);
}

#[test]
fn json_and_toml_declare_what_yaml_declares() {
    let yaml = graph("jobs:\n  a: {image: x, script: [b], env: {V: 1.10, W: 010}}\n");
    let json = "{\"jobs\": {\"a\": {\"image\": \"x\", \"script\": [\"b\"], \"env\": {\"V\": 1.10, \"W\": \"010\"}}}}";
    let toml = "[jobs.a]\nimage = 'x'\nscript = ['b']\nenv = {V = 1.10, W = '010'}\n";
    assert_eq!(with("build.json", json).graph(script), yaml);
    assert_eq!(with("build.toml", toml).graph(script), yaml);
    assert!(yaml.to_string().contains("1.10"), "{yaml}");
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_was_meant() {
    let text = "jobs:\n  test:\n    imgae: debian:12\n    script: make\n  pack:\n    image: debian:12\n    script: make\n    needs: [tset]\n";
    let refusal = refusal("build.yaml", text);
    assert!(
        refusal.contains(
            ".monkeyci/build.yaml:3:5: there is no key `imgae` in a job; did you mean `image`?\n3 |     imgae: debian:12\n  |     ^^^^^"
        ),
        "{refusal}"
    );
    assert!(refusal.contains("build.yaml:2:3: the job `test` has no `image`"), "{refusal}");
    assert!(refusal.contains("build.yaml:8:13: there is no job `tset`; did you mean `test`?"), "{refusal}");
}

#[test]
fn each_mistake_has_a_sentence_of_its_own() {
    let job = |more: &str| format!("image: a\nscript: b\n{more}\n");
    for (text, says) in [
        ("".to_owned(), "a script is a job, a list of jobs, or a map that has `jobs`"),
        ("jobs: 1".to_owned(), "`jobs` is a list of jobs"),
        ("params: {}".to_owned(), "the script has no `jobs`"),
        ("jobs: []\nimage: a".to_owned(), "a job's keys stand in a job, or in `defaults`"),
        ("jobs: []\njbos: []".to_owned(), "did you mean `jobs`?"),
        (
            "- {id: a, image: b, script: c}\n- {id: a, image: b, script: c}".to_owned(),
            "two jobs `a`; the other one is in line 1",
        ),
        ("imgae: a".to_owned(), "in a job; did you mean `image`?"),
        ("image: a".to_owned(), "has neither a `script` nor `argv`"),
        (job("argv: c"), "either a `script` or `argv`"),
        (job("type: action"), "`container`, since functions are not declared here, is wanted"),
        (job("timeout: soon"), "a time, `90s`"),
        (job("memory: much"), "a size, `512M`"),
        (job("blocked: perhaps"), "true or false is wanted here"),
        ("image: a\nscript:\n  - echo a: b".to_owned(), "a text with `: ` in it stands in quotes"),
        (job("blocked: [true]"), "a text is wanted here, and not a list"),
        (job("env: {A: {secrets: b}}"), "in a variable; did you mean `secret`?"),
        (job("env: {A: {secret: a, output: b}}"), "a variable has one of"),
        (job("env: {A: {output: b}}"), "say which `job` has the output"),
        (job("retry: {on: failure}"), "`retry` has no `count`"),
        (job("caches: {id: c}"), "a cache has no `path`"),
        (job("caches: {id: c, path: d, hash-files: none}"), "none"),
        (job("save-artifacts: {id: c}"), "an artifact that is saved has no `path`"),
        (job("container/mounts: []"), "`container/mounts` is not supported: a job sees no path of the machine"),
        (job("matrix: {os: [a], exclude: {so: a}}"), "the matrix has no `so`; did you mean `os`?"),
        (job("matrix: {include: []}"), "`include` is not supported"),
        (job("matrix: {a: []}"), "this matrix has no combination"),
        (job("if: brnach == 'main'"), "there is no name `brnach`; did you mean `branch`?"),
        (job("if: branch == 'main"), "has no end"),
        (job("if: branch =="), "a value is missing at the end"),
        (job("if: touched('a')"), "there is no function `touched`"),
        (job("if: changed()"), "takes globs"),
        (job("work-dir: ${{ params.x }}"), "declares no parameter `x`"),
        (job("work-dir: ${{ matrix.x }}"), "the job has no matrix"),
        (job("work-dir: ${{ branch"), "`${{` has no `}}`"),
        ("image: a\nscript: echo ${{ branch }}".to_owned(), "hand it over in a variable, under `env`"),
        (job(&format!("if: {}tag{}", "(".repeat(100), ")".repeat(100))), "more than 32 parentheses"),
    ] {
        let refusal = refusal("build.yaml", &text);
        assert!(refusal.contains(says), "{text}\nwanted: {says}\ngot: {refusal}");
        assert!(refusal.contains(".monkeyci/build.yaml:"), "{refusal}");
    }
}

#[test]
fn what_others_decide_is_no_part_of_a_command() {
    for expression in ["branch", "message", "params.p", "matrix.os == branch", "'a'"] {
        for key in ["script", "argv"] {
            let text = format!(
                "params: {{p: x}}\njobs:\n  j:\n    image: a\n    matrix: {{os: [a]}}\n    {key}: [\"echo ${{{{ {expression} }}}}\"]\n"
            );
            let refusal = refusal("build.yaml", &text);
            assert!(refusal.contains("hand it over in a variable, under `env`"), "{expression}: {refusal}");
        }
    }
    let graph =
        graph("jobs:\n  j:\n    image: a\n    matrix: {os: [x]}\n    script: echo ${{ matrix.os }} ${HOME} $((1))\n");
    assert_eq!(graph.job("j-x").shell.as_deref(), Some(&["echo x ${HOME} $((1))".to_owned()][..]));
}

#[test]
fn conditions_are_what_they_say() {
    let is = |condition: &str, build: Simulation| {
        let text = format!(
            "jobs: {{a: {{image: b, script: c, if: \"{condition}\"}}}}\nparams: {{level: '', deep: {{type: boolean}}}}"
        );
        !build.file(".monkeyci/build.yaml", text).graph(script).ids().is_empty()
    };
    let build = || Simulation::new().branch("release/1").changed(["src/a.rs", "doc/b.md"]).file("Makefile", "");
    for (condition, met) in [
        ("branch == 'release/1'", true),
        ("branch != 'main' && !tag", true),
        ("tag", false),
        ("tag == null", true),
        ("tag != 'v1'", true),
        ("matches(branch, 'release/*')", true),
        ("matches(branch, 'release')", false),
        ("matches(tag, '*') || branch == main", true),
        ("on-main-branch", false),
        ("changed('src/**')", true),
        ("changed('lib/**', 'doc/*.md')", true),
        ("changed('lib/**')", false),
        ("added('src/**')", false),
        ("exists('Makefile')", true),
        ("exists('Makefile', 'none')", false),
        ("!(tag || params.deep)", true),
        ("params.level", false),
        ("params.level == ''", true),
        ("trigger == 'api' || true", true),
        ("false || 'text'", true),
        ("true && 'false'", false),
    ] {
        let condition = condition.replace("branch == main", "branch == 'main' || true");
        assert_eq!(is(&condition, build()), met, "{condition}");
    }
    assert!(is("params.deep && params.level == 7", build().param("deep", "true").param("level", "7")));
}

#[test]
fn several_files_are_one_script_and_what_clashes_is_told_with_both_places() {
    let none = Simulation::new().try_graph(script).expect_err("there is none").join("\n");
    assert!(none.contains("none of build.yaml, build.yml, build.json, build.toml"), "{none}");
    let json = |text: &str| {
        with("build.yaml", "params: {p: x}\njobs:\n  a: {image: b, script: c}\n").file(".monkeyci/build.json", text)
    };
    let both = json("[{\"image\": \"${{ params.p }}\", \"script\": [\"d\"], \"needs\": [\"a\"]}]").graph(script);
    assert_eq!((both.ids(), both.needs("job-2")), (vec!["a", "job-2"], vec!["a".to_owned()]));
    for (text, says) in [
        (
            "[\n{\"id\": \"a\", \"image\": \"b\", \"script\": []}]",
            ".monkeyci/build.json:2:1: there are two jobs `a`; the other one is in .monkeyci/build.yaml:3\n",
        ),
        (
            "{\"params\": {\"p\": 1}, \"jobs\": []}",
            "build.json:1:13: the parameter `p` is declared twice; the other one is in .monkeyci/build.yaml:1\n",
        ),
        ("{", "build.json:1:2: this is not JSON"),
    ] {
        let refusal = json(text).try_graph(script).expect_err(says).join("\n");
        assert!(refusal.contains(says), "{says}: {refusal}");
    }
}

/// The samples of the folder and of both READMEs, and what `new` writes: name and text.
fn samples() -> Vec<(String, String)> {
    let mut samples = Vec::new();
    for entry in fs::read_dir(crate_dir().join("samples")).expect("samples") {
        let path = entry.expect("a sample").path();
        samples.push((path.display().to_string(), fs::read_to_string(&path).expect("a text")));
    }
    for readme in ["README.md", "../../README.md"] {
        let page = fs::read_to_string(crate_dir().join(readme)).expect("a README");
        for (number, block) in page.split("\n```").enumerate().filter(|(number, _)| number % 2 == 1) {
            let (language, text) = block.split_once('\n').expect("a block");
            if ["yaml", "json", "toml"].contains(&language) {
                samples.push((format!("{readme}, block {number}.{language}"), text.to_owned()));
            }
        }
    }
    let new: PathBuf = crate_dir().join("../../host/cli/src/new/build.yaml");
    samples.push((new.display().to_string(), fs::read_to_string(&new).expect("what `new` writes")));
    samples
}

#[test]
fn every_sample_is_taken_and_is_valid_by_the_schema() {
    let schema: Value = serde_json::from_str(include_str!("../schema.json")).expect("JSON");
    let samples = samples();
    assert!(samples.len() > 8, "{samples:?}");
    for (name, text) in samples {
        let end = name.rsplit('.').next().expect("an end");
        with(&format!("build.{end}"), &text).try_graph(script).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
        let read = match end {
            "json" => crate::json::read,
            "toml" => crate::toml::read,
            _ => crate::yaml::read,
        };
        let value = value(&read(&text).expect("it was read"));
        assert!(is_valid(&schema, &schema, &value), "{name} is not valid by the schema");
    }
    for wrong in ["imgae: x", "jobs: {a: {image: x, script: [[b]]}}", "- {image: x, caches: {path: y}}", "a text"] {
        let value = value(&crate::yaml::read(wrong).expect("YAML"));
        assert!(!is_valid(&schema, &schema, &value), "{wrong}");
    }
}

/// Half a file is what an editor saves in the middle of a line.
#[test]
fn no_part_of_a_file_brings_the_interpreter_down() {
    for (name, text) in samples() {
        let end = name.rsplit('.').next().expect("an end");
        for (at, _) in text.char_indices().step_by(37) {
            let (before, behind) = text.split_at(at);
            for part in [before.to_owned(), behind.to_owned(), format!("{before}ä&*{{[${{{{{behind}")] {
                // Taken or refused, and refused with a place in it.
                if let Err(faults) = with(&format!("build.{end}"), &part).try_graph(script) {
                    assert!(!faults.is_empty(), "{part}");
                }
            }
        }
    }
}

#[test]
fn the_schema_has_the_keys_that_are_taken() {
    let schema: Value = serde_json::from_str(include_str!("../schema.json")).expect("JSON");
    for (name, keys) in ALL {
        let properties = schema["$defs"][name]["properties"].as_object().expect(name);
        let mut found: Vec<&str> = properties.keys().map(|key| keys.find(key).expect(key)).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, keys.known, "{name}");
        for (alias, _) in keys.aliases {
            assert!(properties.contains_key(*alias), "{name}: {alias}");
        }
    }
}

/// A tree as JSON has it.
fn value(node: &Tree) -> Value {
    match &node.kind {
        Kind::Nothing => Value::Null,
        Kind::Text(text) => Value::String(text.clone()),
        Kind::List(items) => Value::Array(items.iter().map(value).collect()),
        Kind::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), value(&entry.value))).collect(),
    }
}

/// Whether a value is valid by a schema, as far as ours goes.
fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let Some(rules) = schema.as_object() else { return schema == &Value::Bool(true) };
    rules.iter().all(|(rule, wanted)| match rule.as_str() {
        "$ref" => {
            let name = wanted.as_str().and_then(|path| path.strip_prefix("#/$defs/")).expect("a definition");
            is_valid(root, &root["$defs"][name], value)
        }
        "anyOf" => wanted.as_array().expect("schemas").iter().any(|schema| is_valid(root, schema, value)),
        "enum" => wanted.as_array().expect("values").contains(value),
        "type" => {
            let is = match value {
                Value::Null => "null",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
                _ => "string",
            };
            wanted == is || wanted.as_array().is_some_and(|types| types.iter().any(|wanted| wanted == is))
        }
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(root, wanted, item))),
        "required" => value.as_object().is_none_or(|map| {
            wanted.as_array().expect("names").iter().all(|key| map.contains_key(key.as_str().expect("a name")))
        }),
        "properties" => value.as_object().is_none_or(|map| {
            map.iter().all(|(key, value)| wanted.get(key).is_none_or(|schema| is_valid(root, schema, value)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|map| {
            let known = |key: &str| {
                rules.get("properties").is_some_and(|known| known.get(key).is_some())
                    || rules.contains_key("patternProperties") && key.starts_with("x-")
            };
            map.iter().all(|(key, value)| known(key) || is_valid(root, wanted, value))
        }),
        "patternProperties" | "$defs" | "$schema" | "title" | "description" => true,
        other => panic!("the schema has a rule that nobody looks after: {other}"),
    })
}
