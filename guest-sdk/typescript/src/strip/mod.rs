//! Takes the types out of TypeScript, in place: what is left stands in the line and column where the author wrote it, so that stacks
//! need no maps.
//!
//! Types become blanks. What is no type and no JavaScript either is refused with its place, but for enums and parameter properties,
//! which become JavaScript on the same lines.

mod buffer;
mod enums;
mod imports;
mod types;

use oxc_allocator::Allocator;
use oxc_ast_visit::Visit;
use oxc_parser::Parser;
use oxc_span::SourceType;

use crate::place::Fault;
use types::Types;

/// The languages of files that authors write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `.ts` and `.mts`.
    TypeScript,
    /// `.js` and `.mjs`.
    JavaScript,
}

/// The JavaScript of a source: it is looked at as a whole, and types are taken out.
pub fn javascript(source: &str, language: Language) -> Result<String, Fault> {
    let allocator = Allocator::default();
    let kind = match language {
        Language::TypeScript => SourceType::ts().with_module(true),
        Language::JavaScript => SourceType::mjs(),
    };
    let parsed = Parser::new(&allocator, source, kind).parse();
    if let Some(error) = parsed.diagnostics.errors().next() {
        let label = error.labels.first();
        let (offset, length) = label.map_or((0, 1), |label| (label.offset() as usize, label.len() as usize));
        let help = error.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        let message = format!("{}{help}", error.message);
        return Err(Fault { offset, length, message });
    }
    if language == Language::JavaScript {
        return Ok(source.to_owned());
    }
    let mut types = Types::new(source);
    types.visit_program(&parsed.program);
    let (mut buffer, values, fault) = types.end();
    if let Some(fault) = fault {
        return Err(fault);
    }
    imports::leave_out_types(&mut buffer, &parsed.program, &values);
    Ok(buffer.text())
}

#[cfg(test)]
mod tests;
