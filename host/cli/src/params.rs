//! Parameters from the command line and from files.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};

/// Collects parameters: from `files` in their order, then from `NAME=VALUE` pairs; the last one of a name counts.
pub fn collect(pairs: &[String], files: &[impl AsRef<Path>]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut params = BTreeMap::new();
    for file in files {
        let path = file.as_ref();
        params.extend(read(path).with_context(|| format!("the parameter file {} can't be used", path.display()))?);
    }
    for pair in pairs {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => params.insert(name.to_owned(), value.to_owned()),
            _ => bail!("--param {pair:?} is not of the form NAME=VALUE"),
        };
    }
    Ok(params)
}

fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    if path.extension().is_some_and(|extension| extension == "json") {
        let text = std::fs::read_to_string(path)?;
        let object: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&text).context("it is not a JSON object")?;
        return object.into_iter().map(|(name, value)| Ok((name.clone(), scalar(&name, value)?))).collect();
    }
    let text = std::fs::read_to_string(path)?;
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| pair(number, line))
        .collect()
}

/// A line `NAME=VALUE`. Quotes round the whole value are taken off; nothing in it is replaced.
fn pair(number: usize, line: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = match line.strip_prefix("export ").unwrap_or(line).split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => (name.trim(), value.trim()),
        _ => bail!("line {number} is not of the form NAME=VALUE"),
    };
    let unquoted = ['"', '\''].iter().find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
    Ok((name.to_owned(), unquoted.unwrap_or(value).to_owned()))
}

/// A parameter is text; numbers and truth values are taken as they are written.
fn scalar(name: &str, value: serde_json::Value) -> anyhow::Result<String> {
    Ok(match value {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) => number.to_string(),
        serde_json::Value::Bool(truth) => truth.to_string(),
        _ => bail!("the value of {name:?} is neither text nor a number nor a truth value"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_on_the_command_line_counts_before_a_file() -> anyhow::Result<()> {
        let dir = std::env::temp_dir().join(format!("monkeyci-params-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let (env, json) = (dir.join("params.env"), dir.join("params.json"));
        std::fs::write(&env, "# a comment\nA=from env\nB='two words'\nexport D=\"$HOME\"\n")?;
        std::fs::write(&json, r#"{"B": 2, "C": true}"#)?;
        let params = collect(&["A=from pair".to_owned(), "E=a=b".to_owned()], &[env, json])?;
        std::fs::remove_dir_all(&dir)?;
        let found: Vec<_> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(found, ["A=from pair", "B=2", "C=true", "D=$HOME", "E=a=b"]);
        Ok(())
    }

    #[test]
    fn a_pair_without_a_name_is_refused() {
        for pair in ["novalue", "=x"] {
            assert!(collect(&[pair.to_owned()], &[] as &[&Path]).is_err(), "{pair}");
        }
    }
}
