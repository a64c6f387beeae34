//! Makes a module of each example of the README and the guide, so that the tests can run it.

use std::fmt::Write as _;
use std::path::Path;

const TEXTS: [&str; 2] = ["../../README.md", "../../guest-sdk/GUIDE.md"];

/// A piece of Rust in a text, and the section that it stands in.
struct Example {
    name: String,
    code: String,
}

fn main() {
    let (mut modules, mut cases, mut names) = (String::new(), String::new(), Vec::new());
    let mut examples: Vec<Example> = Vec::new();
    for text in TEXTS {
        println!("cargo::rerun-if-changed={text}");
        let text = std::fs::read_to_string(text).expect("the text");
        for Example { name, code } in found(&text) {
            let same = examples.iter().filter(|other| other.name == name).count();
            let _ = write!(modules, "#[allow(dead_code, unused_imports)]\nmod e{} {{\n{code}}}\n", examples.len());
            let call = if code.contains("fn script(") {
                "script(build)"
            } else if code.contains("fn jobs(build") {
                "jobs(build)"
            } else {
                "jobs()"
            };
            let suffix = if same == 0 { String::new() } else { format!("-{}", same + 1) };
            let _ = writeln!(cases, "        \"{name}{suffix}\" => e{}::{call}.into_jobs(),", examples.len());
            names.push(format!("{name}{suffix}"));
            examples.push(Example { name, code });
        }
    }
    let names = names.join(" ");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    let code = format!(
        "{modules}\nfn example(name: &str, build: &Build) -> Result<Vec<Job>> {{\n    match name {{\n{cases}        \
         _ => bail!(\"there is no example {{name:?}}; there are: {names}\"),\n    }}\n}}\n"
    );
    std::fs::write(Path::new(&out).join("examples.rs"), code).expect("written");
}

/// The scripts in a text. What is no script is a test of the guide's own, which `cargo test` runs.
fn found(text: &str) -> Vec<Example> {
    let (mut examples, mut section, mut code) = (Vec::new(), String::new(), None::<String>);
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.to_lowercase().replace([' ', ','], "-").replace("--", "-");
        }
        match &mut code {
            None if line == "```rust" => code = Some(String::new()),
            Some(open) if line == "```" => {
                if !open.contains("Simulation::new()") {
                    let code = open.replace("fn script(", "pub fn script(").replace("fn jobs(", "pub fn jobs(");
                    examples.push(Example { name: section.clone(), code });
                }
                code = None;
            }
            // It exports one script, and this crate has many.
            Some(open) if !line.starts_with("monkeyci_sdk::script!") => {
                open.push_str(line);
                open.push('\n');
            }
            _ => {}
        }
    }
    examples
}
