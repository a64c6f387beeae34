//! TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::tree::{Entry, Fault, Kind, Node, Tree, may_begin};

/// Reads a file.
pub fn read(text: &str) -> Result<Tree, Fault> {
    let root = DeTable::parse(text).map_err(|error| {
        Fault::new(error.span().map_or(0, |span| span.start), format!("this is not TOML: {}", error.message()))
    })?;
    Node::new(0, map(text, root.get_ref(), 0)?)
}

fn map(text: &str, table: &DeTable<'_>, depth: usize) -> Result<Kind, Fault> {
    // The parser sorts them; jobs come in the order of the file.
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entries = entries.into_iter().map(|(key, value)| {
        Ok(Entry { key: key.get_ref().to_string(), at: key.span().start, value: node(text, value, depth)? })
    });
    Ok(Kind::Map(entries.collect::<Result<_, Fault>>()?))
}

fn node(text: &str, value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Tree, Fault> {
    let at = value.span().start;
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Array(items) => {
            may_begin(depth, at)?;
            Kind::List(items.iter().map(|item| node(text, item, depth + 1)).collect::<Result<_, Fault>>()?)
        }
        DeValue::Table(table) => {
            may_begin(depth, at)?;
            map(text, table, depth + 1)?
        }
        // As it stands there.
        _ => Kind::Text(text.get(value.span()).unwrap_or_default().to_owned()),
    };
    Node::new(at, kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::shown;
    use crate::tree::line_and_column;

    #[test]
    fn values_come_as_they_stand_there_and_keys_in_the_order_of_the_file() {
        let text = "z = 1.10\na = 'x'\n[jobs.b]\nd = [1_000, true]\n[jobs.a]\nt = 2026-11-27\n[[l]]\nn = 1\n[[l]]\n";
        let file = read(text).expect("TOML");
        assert_eq!(shown(&file), "{z:1.10 a:x jobs:{b:{d:[1_000 true]} a:{t:2026-11-27}} l:[{n:1} {}]}");
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_place() {
        for (text, line) in [("a = 1\nb = \n", 2), ("a = 1\na = 2\n", 2), ("[a\n", 1)] {
            let fault = read(text).expect_err(text);
            assert!(fault.message.starts_with("this is not TOML: "), "{fault:?}");
            assert_eq!(line_and_column(text, fault.at).0, line, "{fault:?}");
        }
    }
}
