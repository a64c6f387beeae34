//! Makes a module of each script that was imported, so that the tests can check them as one component.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=workflows");
    let (mut modules, mut cases, mut names) = (String::new(), String::new(), Vec::new());
    for system in ["github", "gitlab", "woodpecker"] {
        let folder = fs::read_dir(Path::new("workflows").join(system)).expect("a folder");
        let mut files: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "rs"));
        files.sort();
        for file in files {
            let source = fs::read_to_string(&file).expect("text");
            // A module has neither docs of a crate nor a script of its own to export.
            let lines =
                source.lines().filter(|line| !line.starts_with("//!") && !line.starts_with("monkeyci_sdk::script!"));
            let code: String = lines.map(|line| line.replace("fn script(", "pub fn script(") + "\n").collect();
            let name = format!("{system}/{}", file.file_stem().expect("a name").to_string_lossy());
            let module = name.replace(['/', '-'], "_");
            let _ = writeln!(modules, "mod {module} {{\n{code}}}\n");
            let _ = writeln!(cases, "        \"{name}\" => {module}::script(build),");
            names.push(name);
        }
    }
    let names = names.join(" ");
    let code = format!(
        "{modules}\nfn imported(name: &str, build: &Build) -> Result<Vec<ContainerJob>> {{\n    match name {{\n{cases}        \
         _ => bail!(\"there is no file {{name:?}}; there are: {names}\"),\n    }}\n}}\n"
    );
    fs::write(Path::new(&std::env::var("OUT_DIR").expect("cargo sets it")).join("scripts.rs"), code).expect("written");
}
