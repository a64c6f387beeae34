//! Components that were written by hand: what no compiler makes.

/// A script whose `define` does this; `more` stands in its module.
fn guest(more: &str, define: &str) -> String {
    lifted(more, define, "(result (result (error string)))", "")
}

/// The same, with the type of its `define`, and what else stands in the component.
fn lifted(more: &str, define: &str, of: &str, beside: &str) -> String {
    format!(
        r#"(component
          {beside}
          (core module $m
            (memory (export "memory") 1)
            {more}
            (func (export "define") (result i32) {define})
            (func (export "act") (param i32 i32) (result i32) i32.const 0)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
          (core instance $i (instantiate $m))
          (func (export "define") {of} (canon lift (core func $i "define") (memory (core memory $i "memory"))))
          (func (export "act") (param "job" string) (result (result (error string)))
            (canon lift (core func $i "act") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#
    )
}

/// One that says that it fails, with a text at this place.
fn fails(address: &str, length: &str) -> String {
    let store = "(i32.store8 (i32.const 0) (i32.const 1))";
    let text =
        format!("(i32.store (i32.const 4) (i32.const {address})) (i32.store (i32.const 8) (i32.const {length}))");
    guest(r#"(data (i32.const 16) "\ff\fe")"#, &format!("{store} {text} i32.const 0"))
}

/// So many instances of a module.
fn many(module: &str, count: usize) -> String {
    lifted(
        "",
        "i32.const 0",
        "(result (result (error string)))",
        &(module.to_owned() + &"(core instance (instantiate $x))".repeat(count)),
    )
}

/// Components: what each is called, its text, and what it is told. Text that is none stands for its own bytes.
pub fn components() -> Vec<(&'static str, String, &'static str)> {
    let nothing = "i32.const 0";
    let imports = |import: &str| lifted("", nothing, "(result (result (error string)))", import);
    vec![
        ("bytes of another kind", "#!/bin/sh".to_owned(), "this is not WebAssembly"),
        ("a module", "(module)".to_owned(), "this is a core module"),
        (
            "a component that exports nothing",
            "(component)".to_owned(),
            "the component does not export the function `define`",
        ),
        ("a function of the wrong type", lifted("", nothing, "(result u32)", ""), "expected `result` found `u32`"),
        ("a function of nobody's", imports(r#"(import "evil:host/shell" (func))"#), "it imports `evil:host/shell`"),
        (
            "the network",
            imports(r#"(import "wasi:http/types@0.2.0" (instance (export "f" (func))))"#),
            "it imports `wasi:http/types@0.2.0`",
        ),
        (
            "another contract",
            imports(r#"(import "monkeyci:script/jobs@0.2.0" (instance (export "f" (func))))"#),
            "built against version 0.2.0 of the contract",
        ),
        (
            "a function of a newer contract",
            imports(r#"(import "monkeyci:script/jobs@0.1.9" (instance (export "f" (func))))"#),
            "built against version 0.1.9 of the contract",
        ),
        (
            "a function of the contract with another type",
            imports(r#"(import "monkeyci:script/jobs@0.1.0" (instance (export "argument" (func (result u32)))))"#),
            "instance export `argument` has the wrong type",
        ),
        ("a module of its caller's", imports(r#"(import "m" (core module))"#), "it imports `m`"),
        ("too many instances", many("(core module $x)", 205), "206 core module instances"),
        ("too many memories", many("(core module $x (memory 1))", 9), "10 Wasm linear memories"),
        ("too many tables", many("(core module $x (table 1 funcref))", 60), "60 tables"),
        ("a memory that is too large", many("(core module $x (memory 5000))", 1), "exceeds the limit of 256 MiB"),
        (
            "a table that is too large",
            many("(core module $x (table 200000 funcref))", 1),
            "which exceeds the limit of 100000",
        ),
        ("two memories in a module", many("(core module $x (memory 1) (memory 1))", 0), "multiple memories"),
        ("a memory of 64 bits", many("(core module $x (memory i64 1))", 0), "memory64 must be enabled"),
        (
            "a shared memory",
            many("(core module $x (memory 1 2 shared))", 0),
            "threads must be enabled for shared memories",
        ),
        (
            "a start that loops",
            guest("(func $s (loop (br 0))) (start $s)", nothing),
            "the script did not come to an end within 3 s",
        ),
        ("an instruction that is not reached", guest("", "unreachable"), "wasm `unreachable` instruction executed"),
        ("a division by zero", guest("", "(i32.div_u (i32.const 1) (i32.const 0))"), "integer divide by zero"),
        ("an overflow", guest("", "(i32.div_s (i32.const -2147483648) (i32.const -1))"), "integer overflow"),
        ("a number that is none", guest("", "(i32.trunc_f32_s (f32.const nan))"), "invalid conversion to integer"),
        ("an address beyond the memory", guest("", "(i32.load (i32.const 65536))"), "out of bounds memory access"),
        (
            "a call of nothing",
            guest("(table 1 funcref) (type $t (func))", "(call_indirect (type $t) (i32.const 0)) i32.const 0"),
            "uninitialized element",
        ),
        (
            "a call beyond the table",
            guest("(table 1 funcref) (type $t (func))", "(call_indirect (type $t) (i32.const 9)) i32.const 0"),
            "undefined element: out of bounds table access",
        ),
        (
            "a call of another type",
            guest(
                "(table 1 funcref) (type $t (func (param i32))) (elem (i32.const 0) $f) (func $f)",
                "(call_indirect (type $t) (i32.const 1) (i32.const 0)) i32.const 0",
            ),
            "indirect call type mismatch",
        ),
        (
            "a table that grows",
            guest("(table $t 1 funcref)", "(drop (table.grow $t (ref.null func) (i32.const 200000))) unreachable"),
            "it reached its table limit, by asking for 200001 elements",
        ),
        (
            "an answer that is neither",
            guest("", "(i32.store8 (i32.const 0) (i32.const 7)) i32.const 0"),
            "invalid expected discriminant",
        ),
        ("an answer at an odd place", guest("", "i32.const 1"), "return pointer not aligned"),
        ("an answer beyond the memory", guest("", "i32.const 65536"), "pointer out of bounds of memory"),
        ("an error that is no text", fails("16", "2"), "invalid utf-8 sequence"),
        ("an error beyond the memory", fails("65000", "60000"), "string pointer/length out of bounds"),
    ]
}
