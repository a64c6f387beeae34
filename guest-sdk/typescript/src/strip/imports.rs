//! Imports and exports that are types only. TypeScript leaves those out that no value needs; JavaScript would ask the other module for them.

use std::collections::BTreeSet;

use oxc_ast::ast::{
    Declaration, ImportDeclaration, ImportDeclarationSpecifier, ImportOrExportKind, Program, Statement,
};
use oxc_span::{GetSpan, Span};

use super::buffer::Buffer;
use super::enums::comma_behind;

/// Blanks what names no value. `values` are the names that the file uses as values.
pub fn leave_out_types(buffer: &mut Buffer<'_>, program: &Program<'_>, values: &BTreeSet<String>) {
    let types = declared_types(program);
    for statement in &program.body {
        match statement {
            Statement::ImportDeclaration(import) => leave_out_imports(buffer, import, values),
            Statement::ExportNamedDeclaration(export) if export.export_kind == ImportOrExportKind::Type => {
                buffer.remove(export.span);
            }
            Statement::ExportNamedDeclaration(export) => {
                for one in &export.specifiers {
                    let local = one.local.name();
                    if one.export_kind == ImportOrExportKind::Type || types.contains(local.as_str()) {
                        leave_out(buffer, one.span, export.span.end);
                    }
                }
            }
            Statement::ExportFromDeclaration(export) if export.export_kind == ImportOrExportKind::Type => {
                buffer.remove(export.span);
            }
            Statement::ExportFromDeclaration(export) => {
                for one in &export.specifiers {
                    if one.export_kind == ImportOrExportKind::Type {
                        leave_out(buffer, one.span, export.span.end);
                    }
                }
            }
            Statement::ExportAllDeclaration(export) if export.export_kind == ImportOrExportKind::Type => {
                buffer.remove(export.span);
            }
            _ => {}
        }
    }
}

fn leave_out_imports(buffer: &mut Buffer<'_>, import: &ImportDeclaration<'_>, values: &BTreeSet<String>) {
    let Some(specifiers) = &import.specifiers else { return };
    let is_type = |one: &ImportDeclarationSpecifier<'_>| {
        let marked = matches!(one, ImportDeclarationSpecifier::ImportSpecifier(one) if one.import_kind == ImportOrExportKind::Type);
        marked || !values.contains(one.local().name.as_str())
    };
    let all = !specifiers.is_empty() && specifiers.iter().all(is_type);
    if import.import_kind == ImportOrExportKind::Type || all {
        buffer.remove(import.span);
        return;
    }
    for one in specifiers.iter().filter(|one| is_type(one)) {
        leave_out(buffer, one.span(), import.span.end);
    }
}

fn leave_out(buffer: &mut Buffer<'_>, span: Span, end: u32) {
    buffer.blank(span.start, span.end);
    if let Some(comma) = comma_behind(buffer, span.end, end) {
        buffer.put(comma, b' ');
    }
}

/// The names of the file's own interfaces and aliases, but for those that are also the name of a value.
fn declared_types(program: &Program<'_>) -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    let mut values = BTreeSet::new();
    for statement in &program.body {
        let declaration = match statement {
            Statement::ExportDeclaration(export) => Some(&export.declaration),
            other => other.as_declaration(),
        };
        match declaration {
            Some(Declaration::TSTypeAliasDeclaration(alias)) => drop(types.insert(alias.id.name.to_string())),
            Some(Declaration::TSInterfaceDeclaration(interface)) => drop(types.insert(interface.id.name.to_string())),
            Some(Declaration::ClassDeclaration(class)) => {
                values.extend(class.id.as_ref().map(|id| id.name.to_string()))
            }
            Some(Declaration::FunctionDeclaration(it)) => values.extend(it.id.as_ref().map(|id| id.name.to_string())),
            Some(Declaration::VariableDeclaration(it)) => {
                let names = it.declarations.iter().filter_map(|one| one.id.get_identifier_name());
                values.extend(names.map(|name| name.to_string()));
            }
            _ => {}
        }
    }
    types.retain(|name| !values.contains(name));
    types
}
