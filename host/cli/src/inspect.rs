//! `monkeyci-host inspect`

use std::fmt::Write;

use monkeyci_script::{Inspection, Limits};

use crate::args::InspectArgs;
use crate::exit::Exit;
use crate::text::{harmless_lines, print_line};
use crate::{Done, setup};

/// Shows what a component says of itself. Nothing of it is run.
pub fn inspect(args: &InspectArgs) -> Done {
    let bytes = setup::script(&args.script)?;
    let found = monkeyci_script::inspect(&bytes, &Limits::default()).map_err(|e| (Exit::BadScript, e.into()))?;
    if args.json {
        print_line(&serde_json::json!(found).to_string());
    } else {
        print_line(&harmless_lines(&render(&found)));
    }
    Ok(Exit::Success)
}

fn render(found: &Inspection) -> String {
    let mut text = format!("size    {} bytes\nsha256  {}\n", found.size, found.digest);
    let mut list = |title: &str, items: &[String]| {
        let _ = writeln!(text, "{title}");
        for item in items {
            let _ = writeln!(text, "  {item}");
        }
    };
    if !found.sources.is_empty() {
        let files: Vec<String> = found.sources.iter().map(|(path, size)| format!("{path} ({size} bytes)")).collect();
        list("sources, which the component evaluates", &files);
    }
    let (own, wasi): (Vec<_>, Vec<_>) =
        found.imports.iter().cloned().partition(|import| import.starts_with("monkeyci:"));
    list("permissions", &own);
    list("standard library (reaches nothing outside the script)", &wasi);
    let refused: Vec<String> =
        found.refused.iter().map(|refused| format!("{}: {}", refused.import, refused.reason)).collect();
    if !refused.is_empty() {
        list("refused: this host does not run it", &refused);
    }
    list("exports", &found.exports);
    let producers = found
        .producers
        .iter()
        .map(|producer| format!("{}: {} {}", producer.field, producer.name, producer.version).trim_end().to_owned());
    list("made with", &producers.collect::<Vec<_>>());
    text
}

#[cfg(test)]
mod tests {
    use monkeyci_script::RefusedImport;

    use super::*;

    #[test]
    fn what_is_refused_is_flagged_with_its_reason() {
        let refused = RefusedImport { import: "wasi:http/types@0.2.0".to_owned(), reason: "nothing else".to_owned() };
        let found = Inspection {
            size: 7,
            digest: "d0".to_owned(),
            sources: Default::default(),
            imports: ["monkeyci:script/jobs@0.1.1", "wasi:http/types@0.2.0"].map(str::to_owned).to_vec(),
            refused: vec![refused],
            exports: vec!["define".to_owned()],
            producers: Vec::new(),
        };
        let text = render(&found);
        assert!(text.contains("refused: this host does not run it\n  wasi:http/types@0.2.0: nothing else\n"), "{text}");
        let fine = Inspection { refused: Vec::new(), ..found };
        assert!(!render(&fine).contains("refused"));
    }
}
