//! Scripts in TypeScript and JavaScript: what goes wrong is told with the author's line, and what they say is what a script in Rust says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use monkeyci_tests::host::{Ended, Host, Running, run_limited};
use monkeyci_tests::place;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command in a directory, with no program in reach.
fn said(host: &Host, dir: &Path, arguments: &[&str]) -> Output {
    host.command(arguments).current_dir(dir).env("PATH", "").output().expect("the host runs")
}

/// A directory of code with these files of a script.
fn code(host: &Host, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let dir = host.home().join("code").join(name);
    for (path, content) in files {
        let path = dir.join(".monkeyci").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a directory");
        fs::write(path, content).expect("written");
    }
    dir
}

/// A build of code that needs no engine.
fn run(host: &Host, dir: &Path, arguments: &[&str]) -> Ended {
    let mut command = host.command(&["run", "--progress", "json", "--engine", "unix:///no/such/engine"]);
    Running::spawn(command.args(arguments).current_dir(dir).env("PATH", "")).end()
}

/// Scripts that can't declare their jobs, and what is said of them.
const BROKEN: [(&str, &str, &str); 17] = [
    (
        "a syntax error",
        "const a: number = ;",
        "build.ts:1:19: SyntaxError: Unexpected token\n  1 | const a: number = ;\n    |                   ^",
    ),
    (
        "a wrong option",
        "import { container } from 'monkeyci';\nexport default [\n  container('a', { image: 'x', shel: 'y' } as any),\n];",
        "build.ts:3:3: TypeError: the job \"a\": there is no option shel; did you mean shell?",
    ),
    (
        "a wrong type",
        "import { container } from 'monkeyci';\nexport default () =>\n  container('a', { image: 'x', timeout: 10 } as any);",
        "build.ts:3:3: TypeError: the job \"a\": the option timeout has to be a duration such as \"90s\", \"10m\" or \"1h 30m\", and is 10",
    ),
    (
        "a wrong option within one",
        "import { container } from 'monkeyci';\nexport default container('a', { image: 'x', caches: { c: { pth: 'y' } } } as any);",
        "build.ts:2:16: TypeError: the job \"a\": the option caches.c: there is no option pth; did you mean path?",
    ),
    (
        "a thrown error",
        "interface A { b: string }\nconst a = null as unknown as A;\nexport default () => a\n  .b;",
        "build.ts:3:22: TypeError: cannot read property 'b' of null",
    ),
    (
        "what is thrown and no error",
        "export default () => {\n  throw { a: 1 };\n}",
        "build.ts:1:15: {\"a\":1} was thrown",
    ),
    (
        "a rejected promise",
        "export default async () => {\n  await null;\n  throw new RangeError('late');\n};",
        "build.ts:3:13: RangeError: late",
    ),
    (
        "a promise that nobody awaits",
        "const later = async () => {\n  await null;\n  throw new Error('late');\n};\nexport default () => { later(); };",
        "build.ts:3:13: Error: late (in a promise that nobody awaits)",
    ),
    (
        "a promise that never settles",
        "\nexport default () => new Promise(() => {});",
        "build.ts:2:16: the promise of the script's function never settles",
    ),
    (
        "a missing module",
        "import { a } from './lib/a';\nexport default [a];",
        "build.ts:1:19: Error: there is no module \"./lib/a\"",
    ),
    (
        "a module of Node",
        "\nimport fs from 'node:fs';\nexport default fs;",
        "build.ts:2:16: Error: \"node:fs\" is a module of Node",
    ),
    (
        "a missing name",
        "import {\n  contaner } from 'monkeyci';\nexport default contaner;",
        "build.ts:2:3: SyntaxError: Could not find export 'contaner' in module 'monkeyci'",
    ),
    (
        "what are no jobs",
        "export const a = 1;\nexport default () => [1];",
        "build.ts:2:16: TypeError: what the script returns has to be jobs, and is 1",
    ),
    ("nothing exported", "export const a = 1;", "build.ts:1:1: TypeError: it has no default export"),
    (
        "an error of the host",
        "import { workspace } from 'monkeyci';\nexport default () => {\n  workspace.readText('../x');\n};",
        "build.ts:3:13: invalid: \"../x\" does not name a file of the workspace",
    ),
    (
        "a memory bomb",
        "export default () => {\n  const all: string[][] = [];\n  for (;;) all.push(new Array(1e5).fill('x'));\n};",
        "build.ts:3:36: InternalError: out of memory",
    ),
    (
        "a function that calls itself",
        "const f = (n: number): number =>\n  f(n + 1) + 1;\nexport default () => f(0);",
        "build.ts:2:9: RangeError: Maximum call stack size exceeded",
    ),
];

#[test]
fn what_is_wrong_with_a_script_is_told_with_the_authors_line() {
    let host = Host::default();
    let dir = code(&host, "broken", &[]);
    let mut otherwise = Vec::new();
    for (what, source, says) in BROKEN {
        code(&host, "broken", &[("build.ts", source)]);
        let ended = run(&host, &dir, &[]);
        assert_eq!(ended.code, Some(3), "{what}: {ended:#?}");
        let message = ended.failure();
        if !message.contains(&format!(".monkeyci/{says}")) {
            otherwise.push(format!("{what}: {message}"));
        }
        assert_eq!(ended.of_type("job/started").count(), 0, "{what}");
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
}

#[test]
fn a_script_that_never_ends_declaring_its_jobs_is_stopped() {
    let host = Host::default();
    let dir = code(&host, "loop", &[("build.js", "export default () => {\n  for (;;);\n};")]);
    let ended = run(&host, &dir, &[]);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    // On a machine without time for it, the host is first.
    let says = [".monkeyci/build.js:1:15: the script's function computes without end", "did not come to an end"];
    assert!(says.iter().any(|says| ended.failure().contains(says)), "{}", ended.failure());
}

const ACTIONS: &str = "import { action, call, container, handler, type Context } from \"monkeyci\";
const bomb = () => { const all: any[] = []; for (;;) all.push(new Array(1e5).fill(\"x\")); };
const late = (id: string, refine: any) => action(id, { refine }, () => {});
export default [
  action(\"throws\", (it) => { (it as any).none.x; }),
  action(\"rejects\", async () => { await null; throw new RangeError(\"late\", { cause: new Error(\"why\") }); }),
  action(\"unawaited\", () => { (async () => { await null; throw new Error(\"forgotten\"); })(); }),
  action(\"in-a-timer\", () => { setTimeout(() => { throw new Error(\"on time\"); }, 1); }),
  action(\"never\", () => new Promise(() => {})),
  action(\"host\", (it) => { it.artifacts.open(\"x\", \"y\"); }),
  action(\"option\", (it) => { it.submit(container(\"a\", { imag: \"x\" } as any)); }),
  action(\"closure\", (it) => { it.submit(action(\"b\", () => {})); }),
  action(\"type\", (it) => { it.output(\"a\", {} as any); }),
  action(\"module\", async () => { await import(\"./none\"); }),
  action(\"syntax\", async () => { await import(\"./broken\"); }),
  action(\"bomb\", bomb),
  action(\"caught\", async (it) => { try { it.artifacts.open(\"x\", \"y\"); } catch (e: any) { console.log(e.code); } }),
  late(\"late-throws\", () => { throw new Error(\"no\"); }),
  late(\"late-rejects\", async () => { await null; throw new Error(\"late\"); }),
  late(\"late-never\", () => new Promise(() => {})),
  late(\"late-host\", (_: unknown, it: Context) => { it.lookUp(\"none\"); }),
  late(\"late-option\", () => ({ imag: \"x\" })),
  late(\"late-type\", async () => 42),
  late(\"late-bomb\", bomb),
  late(\"late-loop\", () => { for (;;); }),
  late(\"late-module\", () => import(\"./nowhere\")),
];
";

#[test]
fn what_goes_wrong_in_actions_and_late_jobs_is_told_with_the_authors_line() {
    let host = Host::default();
    let dir = code(&host, "acting", &[("build.ts", ACTIONS), ("broken.ts", "let a;\nlet b: = 1;")]);
    let ended = run(&host, &dir, &[]);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let expected = BTreeMap::from([
        ("throws", "build.ts:5:31: TypeError: cannot read property 'x' of undefined"),
        ("rejects", "build.ts:6:89: RangeError: late; caused by Error: why"),
        ("unawaited", "build.ts:7:68: Error: forgotten (in a promise that nobody awaits)"),
        ("in-a-timer", "build.ts:8:61: Error: on time"),
        ("never", "build.ts:9:19: the promise of the function of \"never\" never settles"),
        ("host", "build.ts:10:41: not found: artifact \"x\" has not been saved"),
        ("option", "build.ts:11:40: TypeError: the job \"a\": there is no option imag; did you mean image?"),
        ("closure", "build.ts:12:41: TypeError: the action \"b\" can't be submitted with its function"),
        (
            "type",
            "build.ts:13:31: TypeError: the output \"a\" has to be a text, a number, true or false, and is an object",
        ),
        ("module", "build.ts:14:47: Error: there is no module \"./none\""),
        ("syntax", "broken.ts:2:8: SyntaxError: "),
        ("bomb", "build.ts:2:78: InternalError: out of memory"),
        ("late-throws", "build.ts:18:41: Error: no"),
        ("late-rejects", "build.ts:19:60: Error: late"),
        ("late-never", "build.ts:20:22: the promise of the function that refines \"late-never\" never settles"),
        ("late-host", "build.ts:21:55: not found: "),
        (
            "late-option",
            "build.ts:22:23: TypeError: what refines the job \"late-option\": there is no option imag; did you mean image?",
        ),
        (
            "late-type",
            "build.ts:23:21: TypeError: the options of what refines the job \"late-type\" has to be an object, and is 42",
        ),
        ("late-bomb", "build.ts:2:78: InternalError: out of memory"),
        ("late-module", "build.ts:26:36: Error: there is no module \"./nowhere\""),
    ]);
    let mut otherwise = Vec::new();
    for (job, says) in expected {
        assert!(["action-failed", "refine-failed"].contains(&ended.cause(job)), "{job}: {ended:#?}");
        let message = ended.ending(job)["message"].as_str().unwrap_or_else(|| panic!("{job}: {ended:#?}"));
        if !message.contains(&format!(".monkeyci/{says}")) {
            otherwise.push(format!("{job}: {message}"));
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
    assert_eq!(ended.log_of("caught", "stdout"), "not-found\n");
    // On a machine without time for it, the host is first.
    let endless = ended.ending("late-loop")["message"].as_str().expect("a message").to_owned();
    let says = [".monkeyci/build.ts:25:21: the function that refines", "did not come to an end"];
    assert!(says.iter().any(|says| endless.contains(says)), "{endless}");
}

#[test]
fn an_action_that_computes_without_end_is_stopped_where_it_is_before_its_time_is_over() {
    let host = Host::default();
    let source = "import { action, param } from \"monkeyci\";
const timeout = param(\"limit\", { default: \"\" }) as any;
export default action(\"loops\", { timeout }, () => {
  for (;;);
});";
    let dir = code(&host, "loops", &[("build.ts", source)]);
    let ended = run_limited(
        |limit| run(&host, &dir, &["--param", &format!("limit={limit}ms")]),
        |ended| ended.ending("loops")["message"].as_str().unwrap_or_default().contains(".monkeyci/"),
    );
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let says = ".monkeyci/build.ts:3:45: the function of \"loops\" computes without end, and was stopped";
    assert_eq!(ended.ending("loops")["message"], says);
}

#[test]
fn modules_json_packages_and_what_is_global_work_as_authors_know_them() {
    let host = Host::default();
    let script = r#"
import { action, type Job } from "monkeyci";
import { Flavour, Point, type Named, later } from "./lib/all";
import data from "./data.json" with { type: "json" };
import meta from "../package.json";
import old, { twice } from "old";
import * as fresh from "@scope/fresh/inner";

const { name } = await import("./lib/lazy.js");

export default function* (): Iterable<Job> {
  const told: unknown[] = [];
  const named: Named = { name };
  told.push(Flavour.Sweet, Flavour[4], Flavour.Text, new Point(1, 2).sum(), data.list.length, meta.version, named.name);
  told.push(old.kind, twice(21), fresh.default, later!.at(-1));
  told.push(new URL("../b?x=1&y=%C3%A4#z", "https://User@Example.com:443/a/c/d").href, new URL("file:///a/b").pathname);
  told.push(new URLSearchParams({ a: "b c", d: "ä" }).toString());
  told.push(new TextDecoder().decode(new TextEncoder().encode("ä€😀")), atob(btoa("ab")));
  told.push([3, 1, 2].toSorted().join(""), structuredClone(new Map([[1, { a: 1 }]])).get(1)!.a, typeof crypto.randomUUID());
  yield action("tells", async (context) => {
    const order: string[] = [];
    setTimeout(() => order.push("third"), 20);
    setTimeout((it: string) => order.push(it), 1, "second");
    const times = setInterval(() => { if (order.push("tick") > 8) clearInterval(times); }, 1);
    clearInterval(times);
    queueMicrotask(() => order.push("first"));
    await new Promise((done) => setTimeout(done, 40));
    console.log("%s is %d", "it", 42.5, { a: [1, "b", null], c: new Map([["k", 1n]]) }, undefined);
    console.error(new TypeError("shown", { cause: new Error("behind") }));
    console.log([...told, ...order].join(" "));
  });
}
"#;
    let dir = code(
        &host,
        "modules",
        &[
            ("build.ts", script),
            (
                "lib/all.ts",
                "export enum Flavour { Sour, Sweet = 1 << 2, Text = \"t\" }\nexport interface Named { name: string }\n\
                 export class Point { constructor(private readonly x: number, protected y = 0) {} sum(): number { return this.x + this.y; } }\n\
                 export * from './later.mjs';",
            ),
            ("lib/later.mjs", "export const later = [1, 2, 'later'];"),
            ("lib/lazy.ts", "export const name: string = 'lazy';"),
            ("data.json", "{ \"list\": [1, 2, 3] }"),
            ("../package.json", "{ \"version\": \"1.2.3\" }"),
            ("node_modules/old/package.json", "{ \"main\": \"main\" }"),
            (
                "node_modules/old/main.js",
                "'use strict';\nexports.kind = require('./kind.json').kind;\nexports.twice = require('./inner').twice;",
            ),
            ("node_modules/old/inner.js", "module.exports = { twice: (n) => n * 2 };"),
            ("node_modules/old/kind.json", "{ \"kind\": \"common\" }"),
            ("node_modules/@scope/fresh/package.json", "{ \"exports\": { \"./*\": { \"import\": \"./src/*.mjs\" } } }"),
            ("node_modules/@scope/fresh/src/inner.mjs", "export { default } from './deep.mjs';"),
            ("node_modules/@scope/fresh/src/deep.mjs", "export default 'esm';"),
        ],
    );
    let ended = run(&host, &dir, &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let message = "4 Sweet t 3 3 1.2.3 lazy common 42 esm later https://User@example.com/a/b?x=1&y=%C3%A4#z /a/b \
                   a=b+c&d=%C3%A4 ä€😀 ab 123 1 string first second third";
    let shown = "it is 42 { a: [1, \"b\", null], c: Map {\"k\" => 1n} } undefined";
    assert_eq!(ended.log_of("tells", "stdout"), format!("{shown}\n{message}\n"));
    let error = ended.log_of("tells", "stderr");
    assert!(error.starts_with("TypeError: shown\n    at ") && error.contains("\ncaused by Error: behind\n"), "{error}");
}

/// A line without the place of an error, which no error in Rust has.
fn without_place(line: &str) -> String {
    let parts =
        line.split_once(".monkeyci/build.ts:").and_then(|(before, rest)| Some((before, rest.split_once("Error: ")?.1)));
    parts.map_or_else(|| line.to_owned(), |(before, behind)| format!("{before}{behind}"))
}

/// The sample that says what `sample-scripts/release` says.
const RELEASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk/typescript/samples/release.ts");

#[test]
fn a_pipeline_in_typescript_is_the_same_graph_as_in_rust_and_the_same_build_when_simulated() {
    let host = Host::default();
    let dir = host.home().join("code");
    fs::create_dir_all(&dir).expect("a directory");
    for (name, content) in
        [("Cargo.lock", "version = 4\n"), ("CHANGELOG.md", "# Changes\n\n## 1.0\n- faster\n"), ("token", "s3cret")]
    {
        fs::write(dir.join(name), content).expect("written");
    }
    let rust = place::script("release");
    let rust = rust.to_str().expect("text");
    let secret = ["--secret", "PUBLISH_TOKEN=token"];
    for when in [
        &["--branch", "topic"][..],
        &["--tag", "v1.2"],
        &["--tag", "v1.2", "--param", "dry-run=true", "--param", "rust=1.94"],
    ] {
        let same = said(&host, &dir, &[&["plan", RELEASE, "--diff", rust], &secret[..], when].concat());
        // Of imports it has a few others.
        let told = text(&same.stdout);
        assert!(told.starts_with("plan: 0 new, 0 changed, 0 gone, "), "{when:?}: {told}{}", text(&same.stderr));
    }
    for seed in ["1", "2", "3"] {
        let [in_rust, in_typescript] = [rust, RELEASE].map(|script| {
            let arguments = ["sim", script, "--seed", seed, "--trace", "--tag", "v1.2"];
            let simulated = said(&host, &dir, &[&arguments, &secret[..]].concat());
            // What says which script it is, how long the simulation took, and of an artifact's bytes (which have the time of the machine in them).
            let own = ["build/requested\"", "script/loaded\"", "sim: ", "artifact/saved\"", "artifacts.save("];
            let told = text(&simulated.stdout);
            told.lines().filter(|line| !own.iter().any(|own| line.contains(own))).map(without_place).collect::<Vec<_>>()
        });
        assert!(in_rust.len() > 20, "{in_rust:#?}");
        assert_eq!(in_typescript, in_rust, "seed {seed}");
    }
}

#[test]
fn new_scripts_are_checked_tested_and_planned_with_no_program_in_reach() {
    let host = Host::default();
    let table = "parameter image  text, debian:12 by default: the image of the tests\ntest    container debian:12\n\
                 report  action, needs test\n2 jobs, no faults\n";
    for (language, file) in [("ts", "build.ts"), ("js", "build.js")] {
        let dir = host.home().join(language);
        fs::create_dir_all(&dir).expect("a directory");
        let made = said(&host, &dir, &["new", "--lang", language]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        for beside in [file, "tsconfig.json", "monkeyci.d.ts"] {
            assert!(dir.join(".monkeyci").join(beside).is_file(), "{beside}");
        }
        for (command, says) in [("check", table), ("test", "has no tests of its own"), ("plan", "report")] {
            let said = said(&host, &dir, &[command]);
            assert_eq!(said.status.code(), Some(0), "{command}: {}", text(&said.stderr));
            assert!(text(&said.stdout).contains(says), "{command}: {}", text(&said.stdout));
        }
    }
}

#[test]
fn the_samples_of_the_page_declare_their_jobs() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk/typescript/README.md");
    let page = fs::read_to_string(page).expect("a page");
    let samples: Vec<&str> = page.split("```ts\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(samples.len() >= 5, "{}", samples.len());
    let host = Host::default();
    let dir = code(&host, "page", &[]);
    for sample in samples {
        code(&host, "page", &[("build.ts", sample), ("../package-lock.json", "{}")]);
        let checked = said(&host, &dir, &["check"]);
        assert_eq!(checked.status.code(), Some(0), "{sample}\n{}{}", text(&checked.stdout), text(&checked.stderr));
    }
}
