//! What names mean.

use std::collections::BTreeMap;

use super::{Files, is_common, resolve};

struct Tree(BTreeMap<&'static str, &'static str>);

impl Files for Tree {
    fn is_file(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    fn text(&self, path: &str) -> Option<String> {
        self.0.get(path).map(|text| (*text).to_owned())
    }
}

const BASE: &str = ".monkeyci/build.ts";

fn tree(files: &[(&'static str, &'static str)]) -> Tree {
    Tree(files.iter().copied().collect())
}

#[test]
fn a_relative_name_is_a_file_with_or_without_its_ending_or_a_folder() {
    let files = tree(&[
        (".monkeyci/a.ts", ""),
        (".monkeyci/b.js", ""),
        (".monkeyci/c/index.ts", ""),
        (".monkeyci/d.json", ""),
        ("scripts/e.mjs", ""),
        (".monkeyci/f.test.ts", ""),
        (".monkeyci/g/package.json", r#"{ "main": "lib/g.js" }"#),
        (".monkeyci/g/lib/g.js", ""),
    ]);
    for (name, path) in [
        ("./a", ".monkeyci/a.ts"),
        ("./a.ts", ".monkeyci/a.ts"),
        ("./a.js", ".monkeyci/a.ts"),
        ("./b", ".monkeyci/b.js"),
        ("./c", ".monkeyci/c/index.ts"),
        ("./c/", ".monkeyci/c/index.ts"),
        ("./d.json", ".monkeyci/d.json"),
        ("../scripts/e.mjs", "scripts/e.mjs"),
        ("./f.test", ".monkeyci/f.test.ts"),
        ("./g", ".monkeyci/g/lib/g.js"),
    ] {
        assert_eq!(resolve(BASE, name, false, &files).as_deref(), Ok(path), "{name}");
    }
}

#[test]
fn a_name_that_is_nothing_says_why() {
    let files = tree(&[
        (".monkeyci/node_modules/a/package.json", r#"{ "exports": { ".": "./a.js" } }"#),
        (".monkeyci/node_modules/a/a.js", ""),
    ]);
    for (name, says) in [
        ("./x", "neither .monkeyci/x nor .monkeyci/x.ts"),
        ("../../x", "leads out"),
        ("/lib.js", "files of the code that is built"),
        ("https://example.com/x.js", "files of the code that is built"),
        ("node:fs", "do not run in Node"),
        ("fs/promises", "do not run in Node"),
        ("left-pad", "there is no package \"left-pad\": neither in .monkeyci/node_modules nor in node_modules"),
        ("a/inner", "has no module \"a/inner\" that can be imported"),
        ("monkeyci:host", "there is no package"),
        ("#x", "among its imports"),
    ] {
        let said = resolve(BASE, name, false, &files).expect_err(name);
        assert!(said.contains(says), "{name}: {said}");
    }
}

#[test]
fn packages_are_found_from_the_folder_of_whoever_imports_up_to_the_root() {
    let files = tree(&[
        (".monkeyci/node_modules/a/package.json", r#"{ "module": "./a.mjs", "main": "a.cjs" }"#),
        (".monkeyci/node_modules/a/a.mjs", ""),
        (".monkeyci/node_modules/a/a.cjs", ""),
        (".monkeyci/node_modules/a/node_modules/b/package.json", "{}"),
        (".monkeyci/node_modules/a/node_modules/b/index.js", ""),
        (".monkeyci/node_modules/b/package.json", r#"{ "main": "./lib" }"#),
        (".monkeyci/node_modules/b/lib/index.js", ""),
        (
            "node_modules/@s/c/package.json",
            r#"{ "type": "module", "exports": {
            "types": "./c.d.ts", "node": "./node.js", "import": { "default": "./c.js" }, "require": "./c.cjs" } }"#,
        ),
        ("node_modules/@s/c/c.js", ""),
        ("node_modules/@s/c/c.cjs", ""),
        (
            "node_modules/d/package.json",
            r##"{ "exports": { ".": "./d.js", "./x/*": "./lib/*.js", "./x/y/*": null }, "imports": { "#in": "./d.js" } }"##,
        ),
        ("node_modules/d/d.js", ""),
        ("node_modules/d/lib/z.js", ""),
    ]);
    for (base, name, required, path) in [
        (BASE, "a", false, ".monkeyci/node_modules/a/a.mjs"),
        (BASE, "a", true, ".monkeyci/node_modules/a/a.cjs"),
        (BASE, "b", false, ".monkeyci/node_modules/b/lib/index.js"),
        (".monkeyci/node_modules/a/a.mjs", "b", false, ".monkeyci/node_modules/a/node_modules/b/index.js"),
        (BASE, "@s/c", false, "node_modules/@s/c/c.js"),
        (BASE, "@s/c", true, "node_modules/@s/c/c.cjs"),
        (BASE, "d/x/z", false, "node_modules/d/lib/z.js"),
        ("node_modules/d/d.js", "#in", false, "node_modules/d/d.js"),
    ] {
        assert_eq!(resolve(base, name, required, &files).as_deref(), Ok(path), "{base}: {name}");
    }
    let common = |path: &str| is_common(path, &files);
    assert!(common(".monkeyci/node_modules/b/lib/index.js") && common("x.cjs"));
    assert!(
        !common("node_modules/@s/c/c.js") && !common(".monkeyci/node_modules/a/a.mjs") && !common(".monkeyci/lib.js")
    );
}
