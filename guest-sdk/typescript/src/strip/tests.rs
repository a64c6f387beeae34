//! What TypeScript becomes, and that nothing moves.

use super::{Language, javascript};

/// The JavaScript. Blanks are counted as one each, for readers; what is left stands where it stood.
fn stripped(source: &str) -> String {
    let javascript =
        javascript(source, Language::TypeScript).unwrap_or_else(|fault| panic!("{source}: {}", fault.shown(source)));
    assert_eq!(javascript.lines().count(), source.lines().count(), "{source}\n{javascript}");
    if javascript.len() == source.len() {
        let stays = |(new, old): (u8, u8)| new == old || b" ;)".contains(&new);
        assert!(javascript.bytes().zip(source.bytes()).all(stays), "{source}\n{javascript}");
    }
    words(&javascript)
}

fn words(text: &str) -> String {
    let words = |line: &str| line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect::<Vec<_>>().join("\n")
}

/// Pairs of TypeScript and what becomes of it.
fn become_these(pairs: &[(&str, &str)]) {
    for (typescript, expected) in pairs {
        assert_eq!(stripped(typescript), words(expected), "{typescript}");
    }
}

#[test]
fn types_become_blanks_and_the_rest_stays_where_it_is() {
    become_these(&[
        ("let a: number = 1;", "let a = 1;"),
        ("let a!: string;", "let a ;"),
        ("const f = (a: string, b?: number): void => {};", "const f = (a , b ) => {};"),
        ("function f<T extends U>(this: X, a: T): a is U { return a as T; }", "function f ( a ) { return a ; }"),
        ("const x = y satisfies Z;", "const x = y ;"),
        ("a!.b!.c()", "a .b .c()"),
        ("const x = <T>y;", "const x = y;"),
        ("f<A, B>(1); new M<A>(); t<A>`x`;", "f (1); new M (); t `x`;"),
        ("const g = f<A>;", "const g = f ;"),
        ("try {} catch (e: unknown) {}", "try {} catch (e ) {}"),
        ("const { a, b }: { a: A; b: B } = c;", "const { a, b } = c;"),
        ("for (const a of b as C[]) {}", "for (const a of b ) {}"),
        ("const f = async <T,>(a: T) => a;", "const f = async (a ) => a;"),
        ("const s = `a ${b as string} c`;", "const s = `a ${b } c`;"),
        ("let ü: Größe = 1;", "let ü = 1;"),
    ]);
}

#[test]
fn declarations_of_types_go() {
    become_these(&[
        ("interface A { b: C }\nlet a = 1", ";\nlet a = 1"),
        ("type A = B | {\nc: D\n};\nlet a = 1", ";\n\n\nlet a = 1"),
        ("export type A = B;\nexport interface C {}", ";\n;"),
        ("declare const a: number;\ndeclare function f(): void;\ndeclare class C {}", ";\n;\n;"),
        ("function f(a: string): void;\nfunction f(a: any) {}", ";\nfunction f(a ) {}"),
        ("declare global { interface A {} }\ndeclare module \"x\" {}\ndeclare namespace N {}", ";\n;\n;"),
        ("export default interface A {}", ";"),
        ("declare enum E { A }", ";"),
    ]);
}

#[test]
fn classes_keep_what_is_javascript() {
    become_these(&[
        (
            "class A<T> extends B<T> implements C, D<T> { private static readonly x?: T = 1; y!: T; declare z: T; [k: string]: T; }",
            "class A extends B { static x = 1; y ; ; ; }",
        ),
        (
            "abstract class A { abstract f(): void; protected abstract g: T; override h(): void {} }",
            " class A { ; ; h() {} }",
        ),
        ("class A { f?(): void; constructor(a: T); constructor(a: any) {} }", "class A { ; ; constructor(a ) {} }"),
        (
            "class A { public async *f<T>(): X {} get x(): T { return 1 } }",
            "class A { async *f () {} get x() { return 1 } }",
        ),
        ("export default abstract class A {}", "export default class A {}"),
        ("class A { x: T\n['k'] = 1 }", "class A { x ;\n['k'] = 1 }"),
    ]);
}

#[test]
fn what_a_type_ended_ends_all_the_same() {
    become_these(&[
        ("let a = b as C\n(d)", "let a = b ;\n(d)"),
        ("type A = B\n(c)", ";\n(c)"),
        ("let a: B\n`c`", "let a ;\n`c`"),
        ("if (a) b = c as D\nelse e()", "if (a) b = c ;\nelse e()"),
        ("const f = (a: A): Promise<\nB\n> => a;", "const f = (a\n\n) => a;"),
    ]);
}

#[test]
fn imports_that_no_value_needs_go() {
    become_these(&[
        ("import type { A } from 'a';\nimport { type B, c } from 'b';\nc;", ";\nimport { c } from 'b';\nc;"),
        ("import { A, b } from 'a';\nlet x: A = b;", "import { b } from 'a';\nlet x = b;"),
        ("import { A } from 'a';\nlet x: A;", ";\nlet x ;"),
        ("import 'a';\nimport A, * as b from 'b';\nA; b;", "import 'a';\nimport A, * as b from 'b';\nA; b;"),
        ("import A, { b } from 'a';\nb;", "import { b } from 'a';\nb;"),
        (
            "export type { A } from 'a';\nexport { type B, c } from 'b';\nexport type * from 'd';",
            ";\nexport { c } from 'b';\n;",
        ),
        ("interface A {}\nconst b = 1;\nexport { A, b };", ";\nconst b = 1;\nexport { b };"),
        ("import { a } from 'a';\nexport { a };", "import { a } from 'a';\nexport { a };"),
        ("import { a } from 'a';\nexport default { a };", "import { a } from 'a';\nexport default { a };"),
    ]);
}

#[test]
fn enums_and_parameter_properties_become_javascript_on_their_lines() {
    become_these(&[
        (
            "export enum A {\nB,\nC = 4 + B,\nD = \"d\",\n}\nlet a = 1;",
            concat!(
                "export var A = ((A) => { let $last = -1;\n",
                " A[\"B\"] = $last = $last + 1; if (typeof $last === \"number\") A[$last] = \"B\"; const B = $last;\n",
                " A[\"C\"] = $last = 4 + B; if (typeof $last === \"number\") A[$last] = \"C\";\n",
                " A[\"D\"] = $last = \"d\";\n",
                "return A; })(A || {});\nlet a = 1;"
            ),
        ),
        (
            "class A { constructor(private a: B, readonly c = 1) { this.d(); } }",
            "class A { constructor( a , c = 1) { this.a = a; this.c = c; this.d(); } }",
        ),
        (
            "class A extends B { constructor(public a: B) { super(a); c(); } }",
            "class A extends B { constructor( a ) { super(a);; this.a = a; c(); } }",
        ),
    ]);
    let text = stripped("enum A { B, C }").replace('\n', " ");
    assert!(text.starts_with("var A = ((A) => {") && text.ends_with("return A; })(A || {});"), "{text}");
}

#[test]
fn what_is_no_javascript_is_refused_with_its_place() {
    for (source, offset, says) in [
        ("let a = ;", 8, "Unexpected token"),
        ("\nnamespace A { export const b = 1 }", 1, "a module of its own"),
        ("import a = require('a');", 0, "import … from"),
        ("export = 1;", 0, "export default"),
        ("@a class B {}", 0, "decorators"),
    ] {
        let fault = javascript(source, Language::TypeScript).expect_err(source);
        assert_eq!(fault.offset, offset, "{source}: {fault:?}");
        assert!(fault.message.contains(says), "{source}: {fault:?}");
    }
    let fault = javascript("let a: number = 1;", Language::JavaScript).expect_err("types are no JavaScript");
    assert_eq!(fault.offset, 5, "{fault:?}");
    assert_eq!(javascript("let a = 1;", Language::JavaScript).as_deref(), Ok("let a = 1;"));
}
