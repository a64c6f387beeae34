//! Finds what is no JavaScript in a file.

use std::collections::BTreeSet;

use oxc_ast::ast::*;
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan, Span};
use oxc_syntax::scope::ScopeFlags;

use super::buffer::Buffer;
use super::enums;
use crate::place::Fault;

/// What may stand before the name of a member or a parameter.
const MODIFIERS: [&str; 7] = ["public", "private", "protected", "readonly", "override", "abstract", "declare"];

/// Blanks types on its way.
pub struct Types<'s> {
    buffer: Buffer<'s>,
    /// The names that are used as values.
    values: BTreeSet<String>,
    /// The first thing that is neither a type nor JavaScript.
    fault: Option<Fault>,
}

impl<'s> Types<'s> {
    pub fn new(source: &'s str) -> Self {
        Self { buffer: Buffer::new(source), values: BTreeSet::new(), fault: None }
    }

    pub fn end(self) -> (Buffer<'s>, BTreeSet<String>, Option<Fault>) {
        (self.buffer, self.values, self.fault)
    }

    fn refuse(&mut self, span: Span, message: &str) {
        let (offset, length) = (span.start as usize, span.size() as usize);
        self.fault.get_or_insert(Fault { offset, length, message: message.to_owned() });
    }

    fn blank(&mut self, span: Span) {
        self.buffer.blank(span.start, span.end);
    }

    /// Blanks a mark such as `?` between two places.
    fn blank_mark(&mut self, mark: &str, start: u32, end: u32) {
        if let Some(at) = self.buffer.find(mark, start, end) {
            self.buffer.blank(at, at + 1);
        }
    }

    /// Blanks modifiers between two places. `static`, `async` and the like stay.
    fn blank_modifiers(&mut self, start: u32, end: u32) {
        let text = self.buffer.written(start, end);
        let mut at = start;
        for word in text.split_inclusive(|char: char| !char.is_ascii_alphanumeric()) {
            let end = at + u32::try_from(word.len()).unwrap_or(0);
            let name = word.trim_end_matches(|char: char| !char.is_ascii_alphanumeric());
            if MODIFIERS.contains(&name) {
                self.buffer.blank(at, at + u32::try_from(name.len()).unwrap_or(0));
            }
            at = end;
        }
    }

    /// Where a declaration stands that is a type, or says of what it declares that it is elsewhere.
    fn is_type(declaration: &Declaration<'_>) -> bool {
        match declaration {
            Declaration::TSTypeAliasDeclaration(_)
            | Declaration::TSInterfaceDeclaration(_)
            | Declaration::TSGlobalDeclaration(_)
            | Declaration::TSExternalModuleDeclaration(_) => true,
            Declaration::VariableDeclaration(it) => it.declare,
            Declaration::FunctionDeclaration(it) => it.declare || it.body.is_none(),
            Declaration::ClassDeclaration(it) => it.declare,
            Declaration::TSEnumDeclaration(it) => it.declare,
            Declaration::TSNamespaceDeclaration(it) => it.declare,
            Declaration::TSImportEqualsDeclaration(it) => it.import_kind == ImportOrExportKind::Type,
        }
    }

    fn is_type_statement(statement: &Statement<'_>) -> bool {
        match statement {
            Statement::ExportDeclaration(export) => Self::is_type(&export.declaration),
            Statement::ExportDefaultDeclaration(export) => match &export.declaration {
                ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => true,
                ExportDefaultDeclarationKind::FunctionDeclaration(it) => it.body.is_none(),
                _ => false,
            },
            Statement::TSNamespaceExportDeclaration(_) => true,
            other => other.as_declaration().is_some_and(Self::is_type),
        }
    }

    /// Parameter properties: `constructor(private name: string) {}` sets `this.name`.
    fn set_properties(&mut self, constructor: &Function<'_>) {
        let is_property = |it: &&FormalParameter<'_>| it.accessibility.is_some() || it.readonly || it.r#override;
        let properties = constructor.params.items.iter().filter(is_property);
        let names = properties.filter_map(|it| it.pattern.get_identifier_name());
        let sets: String = names.map(|name| format!(" this.{name} = {name};")).collect();
        let Some(body) = constructor.body.as_ref().filter(|_| !sets.is_empty()) else { return };
        let is_super = |it: &&Statement<'_>| {
            let Statement::ExpressionStatement(it) = it else { return false };
            matches!(&it.expression, Expression::CallExpression(call) if matches!(call.callee, Expression::Super(_)))
        };
        let behind_super = body.statements.iter().find(is_super).map(|it| it.span().end);
        let sets = if behind_super.is_some() { format!(";{sets}") } else { sets };
        self.buffer.add(behind_super.unwrap_or(body.span.start + 1), sets);
    }
}

impl<'a> Visit<'a> for Types<'_> {
    fn visit_identifier_reference(&mut self, name: &IdentifierReference<'a>) {
        self.values.insert(name.name.to_string());
    }

    fn visit_statement(&mut self, it: &Statement<'a>) {
        if Self::is_type_statement(it) {
            self.buffer.remove(it.span());
            return;
        }
        walk::walk_statement(self, it);
        self.buffer.end(it.span());
    }

    fn visit_ts_type_annotation(&mut self, it: &TSTypeAnnotation<'a>) {
        self.blank(it.span);
    }

    fn visit_ts_type_parameter_declaration(&mut self, it: &TSTypeParameterDeclaration<'a>) {
        self.blank(it.span);
    }

    fn visit_ts_type_parameter_instantiation(&mut self, it: &TSTypeParameterInstantiation<'a>) {
        self.blank(it.span);
    }

    fn visit_ts_as_expression(&mut self, it: &TSAsExpression<'a>) {
        self.visit_expression(&it.expression);
        self.buffer.blank(it.expression.span().end, it.span.end);
    }

    fn visit_ts_satisfies_expression(&mut self, it: &TSSatisfiesExpression<'a>) {
        self.visit_expression(&it.expression);
        self.buffer.blank(it.expression.span().end, it.span.end);
    }

    fn visit_ts_non_null_expression(&mut self, it: &TSNonNullExpression<'a>) {
        self.visit_expression(&it.expression);
        self.buffer.blank(it.expression.span().end, it.span.end);
    }

    fn visit_ts_type_assertion(&mut self, it: &TSTypeAssertion<'a>) {
        self.buffer.blank(it.span.start, it.expression.span().start);
        self.visit_expression(&it.expression);
    }

    fn visit_ts_enum_declaration(&mut self, it: &TSEnumDeclaration<'a>) {
        it.body
            .members
            .iter()
            .filter_map(|member| member.initializer.as_ref())
            .for_each(|value| self.visit_expression(value));
        enums::rewrite(&mut self.buffer, it);
    }

    fn visit_ts_namespace_declaration(&mut self, it: &TSNamespaceDeclaration<'a>) {
        self.refuse(it.span, "a namespace with values is no JavaScript: make a module of its own of it");
    }

    fn visit_ts_import_equals_declaration(&mut self, it: &TSImportEqualsDeclaration<'a>) {
        self.refuse(it.span, "`import … =` is no JavaScript: write `import … from`");
    }

    fn visit_ts_export_assignment(&mut self, it: &TSExportAssignment<'a>) {
        self.refuse(it.span, "`export =` is no JavaScript: write `export default`");
    }

    fn visit_decorator(&mut self, it: &Decorator<'a>) {
        self.refuse(it.span, "decorators are not supported");
    }

    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if it.definite {
            let end = it.type_annotation.as_ref().map_or(it.span.end, |annotation| annotation.span.start);
            self.blank_mark("!", it.id.span().end, end);
        }
        walk::walk_variable_declarator(self, it);
    }

    fn visit_function(&mut self, it: &Function<'a>, flags: ScopeFlags) {
        if let Some(this) = &it.this_param {
            self.blank(this.span);
            if let Some(comma) = enums::comma_behind(&self.buffer, this.span.end, it.params.span.end) {
                self.buffer.put(comma, b' ');
            }
        }
        walk::walk_function(self, it, flags);
    }

    fn visit_arrow_function_expression(&mut self, it: &ArrowFunctionExpression<'a>) {
        walk::walk_arrow_function_expression(self, it);
        // No line may end before the arrow: the parenthesis moves to where a type of several lines ends.
        if let Some(kind) =
            it.return_type.as_ref().filter(|kind| self.buffer.written(kind.span.start, kind.span.end).contains('\n'))
        {
            self.buffer.put(it.params.span.end - 1, b' ');
            self.buffer.put(kind.span.end - 1, b')');
        }
    }

    fn visit_formal_parameter(&mut self, it: &FormalParameter<'a>) {
        let pattern = it.pattern.span();
        if it.accessibility.is_some() || it.readonly || it.r#override {
            self.blank_modifiers(it.span.start, pattern.start);
        }
        if it.optional {
            let end = it.type_annotation.as_ref().map_or(it.span.end, |annotation| annotation.span.start);
            // The mark may be behind what the parameter's span ends with.
            self.blank_mark("?", pattern.end, end.max(pattern.end + 1));
        }
        walk::walk_formal_parameter(self, it);
    }

    fn visit_class(&mut self, it: &Class<'a>) {
        let name = it.id.as_ref().map_or(it.body.span.start, |id| id.span.start);
        if it.r#abstract {
            self.blank_modifiers(it.span.start, name);
        }
        if let (Some(first), Some(last)) = (it.implements.first(), it.implements.last()) {
            let before = it.heritage.as_ref().map(|it| it.expression.span().end);
            let before = before.or(it.id.as_ref().map(|id| id.span.end)).unwrap_or(it.span.start);
            let word = self.buffer.written(before, first.span.start).rfind("implements");
            let start = word.and_then(|at| u32::try_from(at).ok()).map_or(first.span.start, |at| before + at);
            self.buffer.blank(start, last.span.end);
        }
        walk::walk_class(self, it);
    }

    fn visit_ts_class_implements(&mut self, _: &TSClassImplements<'a>) {}

    fn visit_class_element(&mut self, it: &ClassElement<'a>) {
        match it {
            ClassElement::TSIndexSignature(it) => self.buffer.remove(it.span),
            ClassElement::MethodDefinition(method)
                if method.value.body.is_none() || method.r#type == MethodDefinitionType::TSAbstractMethodDefinition =>
            {
                self.buffer.remove(method.span);
            }
            ClassElement::PropertyDefinition(property)
                if property.declare || property.r#type == PropertyDefinitionType::TSAbstractPropertyDefinition =>
            {
                self.buffer.remove(property.span);
            }
            ClassElement::MethodDefinition(method) => {
                self.blank_modifiers(method.span.start, method.key.span().start);
                if method.optional {
                    self.blank_mark("?", method.key.span().end, method.value.params.span.start);
                }
                if method.kind == MethodDefinitionKind::Constructor {
                    self.set_properties(&method.value);
                }
                walk::walk_class_element(self, it);
            }
            ClassElement::PropertyDefinition(property) => {
                self.blank_modifiers(property.span.start, property.key.span().start);
                let end =
                    property.type_annotation.as_ref().map_or(property.span.end, |annotation| annotation.span.start);
                for (there, mark) in [(property.optional, "?"), (property.definite, "!")] {
                    if there {
                        self.blank_mark(mark, property.key.span().end, end);
                    }
                }
                walk::walk_class_element(self, it);
                self.buffer.end(it.span());
            }
            ClassElement::StaticBlock(_) | ClassElement::AccessorProperty(_) => walk::walk_class_element(self, it),
        }
    }
}
