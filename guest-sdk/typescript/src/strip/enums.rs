//! Enums: the only types that are values too.

use std::collections::BTreeSet;

use oxc_ast::ast::{Expression, IdentifierReference, TSEnumDeclaration, TSEnumMember, TSEnumMemberName};
use oxc_ast_visit::Visit;
use oxc_span::GetSpan;

use super::buffer::Buffer;

/// The value of the member before, in what an enum becomes.
const LAST: &str = "$last";

/// Names that a member's value mentions.
#[derive(Default)]
struct Mentioned(BTreeSet<String>);

impl<'a> Visit<'a> for Mentioned {
    fn visit_identifier_reference(&mut self, name: &IdentifierReference<'a>) {
        self.0.insert(name.name.to_string());
    }
}

/// Makes a function of the enum that fills an object, member by member, where they stand.
pub fn rewrite(buffer: &mut Buffer<'_>, declared: &TSEnumDeclaration<'_>) {
    let name = declared.id.name.as_str();
    let body = declared.body.span;
    buffer.blank(declared.span.start, body.start + 1);
    buffer.add(declared.span.start, format!("var {name} = (({name}) => {{ let {LAST} = -1;"));
    let mut mentioned = Mentioned::default();
    declared
        .body
        .members
        .iter()
        .filter_map(|member| member.initializer.as_ref())
        .for_each(|value| mentioned.visit_expression(value));
    for member in &declared.body.members {
        rewrite_member(buffer, name, member, &mentioned.0);
        if let Some(comma) = comma_behind(buffer, member.span.end, body.end) {
            buffer.put(comma, b' ');
        }
    }
    buffer.add(body.end - 1, format!("return {name}; "));
    buffer.add(body.end, format!(")({name} || {{}});"));
}

fn rewrite_member(buffer: &mut Buffer<'_>, name: &str, member: &TSEnumMember<'_>, mentioned: &BTreeSet<String>) {
    let (key, own) = match &member.id {
        TSEnumMemberName::Identifier(id) => (format!("{:?}", id.name.as_str()), Some(id.name.as_str())),
        TSEnumMemberName::String(text) | TSEnumMemberName::ComputedString(text) => {
            (format!("{:?}", text.value.as_str()), None)
        }
        TSEnumMemberName::ComputedTemplateString(text) => {
            (buffer.written(text.span.start, text.span.end).to_owned(), None)
        }
    };
    let text = matches!(member.initializer, Some(Expression::StringLiteral(_) | Expression::TemplateLiteral(_)));
    let mut after = match text {
        true => ";".to_owned(),
        false => format!("; if (typeof {LAST} === \"number\") {name}[{LAST}] = {key};"),
    };
    if let Some(own) = own.filter(|own| mentioned.contains(*own)) {
        after.push_str(&format!(" const {own} = {LAST};"));
    }
    let before = format!("{name}[{key}] = {LAST} = ");
    let Some(value) = &member.initializer else {
        buffer.blank(member.span.start, member.span.end);
        buffer.add(member.span.start, format!("{before}{LAST} + 1{after}"));
        return;
    };
    buffer.blank(member.span.start, value.span().start);
    buffer.add(member.span.start, before);
    buffer.add(member.span.end, after);
}

/// The comma that follows, behind blanks and comments.
pub fn comma_behind(buffer: &Buffer<'_>, start: u32, end: u32) -> Option<u32> {
    let text = buffer.written(start, end);
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n')?.1;
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/")?.1;
        } else {
            break;
        }
    }
    let at = u32::try_from(text.len() - rest.len()).ok()?;
    rest.starts_with(',').then_some(start + at)
}
