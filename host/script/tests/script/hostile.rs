//! Scripts that are broken, greedy or hostile: each gets its own error, and the host lives on.

use std::time::Duration;

use crate::hang_guard::HANGS;
use crate::support::{Guest, asking, client, declaring, info, runtime};
use monkeyci_script::{Action, Compiler, Limits, LoadError, Recording, ScriptError};

fn limits() -> Limits {
    Limits { define_time: HANGS, memory_bytes: 16 << 20, ..Limits::default() }
}

/// Runs `define`, and afterwards a good script on the same runtime: the host is unharmed.
async fn define(guest: Guest<'_>, limits: Limits) -> ScriptError {
    let runtime = runtime(limits);
    let (client, _) = client();
    let error = guest.load(&runtime).define(&client, info()).await.expect_err("a hostile script");
    let good = Guest::default().load(&runtime);
    good.define(&client, info()).await.expect("a good script runs on the same host");
    error
}

#[test]
fn bytes_that_are_no_script_are_told_apart() {
    let runtime = runtime(Limits { component_bytes: 100_000, ..Limits::default() });
    let load = |bytes: &[u8]| runtime.load(bytes).expect_err("no script");
    assert_eq!(load(b"#!/bin/sh\n"), LoadError::NotWasm);
    assert_eq!(load(b""), LoadError::NotWasm);
    assert_eq!(load(&wat::parse_str("(module)").expect("valid")), LoadError::CoreModule);
    assert_eq!(load(&wat::parse_str("(component)").expect("valid")), LoadError::NoExport("define"));
    assert_eq!(load(&vec![0; 100_001]), LoadError::TooLarge { size: 100_001, limit: 100_000 });
    let mut truncated = Guest::default().bytes();
    truncated.truncate(truncated.len() - 5);
    assert!(matches!(load(&truncated), LoadError::Invalid(_)));
}

#[test]
fn an_import_that_the_host_does_not_offer_is_named() {
    let guest = Guest { imports: r#"(import "wasi:http/types@0.2.0" (instance))"#, ..Guest::default() };
    let unknown = Guest { imports: r#"(import "evil:host/shell" (func))"#, ..Guest::default() };
    let runtime = runtime(Limits::default());
    // An empty instance asks for nothing, so there is nothing to refuse.
    assert!(runtime.load(&guest.bytes()).is_ok());
    let error = runtime.load(&unknown.bytes()).expect_err("not offered");
    assert!(error.to_string().contains("evil:host/shell"), "{error}");
}

#[test]
fn what_can_not_run_is_refused_before_it_is_compiled() {
    let runtime = runtime(Limits::default()).with_compiler(Compiler::Child("/no/such/compiler".into()));
    let refused = |import: &str| {
        let guest = Guest { imports: import, ..Guest::default() };
        let error = runtime.load(&guest.bytes()).expect_err("it can't run");
        let found = monkeyci_script::inspect(&guest.bytes(), &Limits::default()).expect("a component").refused;
        assert_eq!(error, LoadError::Refused(found), "inspect says the same");
        error.to_string()
    };
    let http = refused(r#"(import "wasi:http/types@0.2.0" (instance (export "f" (func))))"#);
    assert!(http.contains("`wasi:http/types@0.2.0`: a script gets the interfaces of monkeyci:script"), "{http}");
    let other = refused(r#"(import "monkeyci:script/jobs@0.2.0" (instance (export "f" (func))))"#);
    assert!(other.contains("version 0.2.0") && other.contains("this host speaks version 0.1.1"), "{other}");
    let forgotten = runtime.load(&wat::parse_str("(component)").expect("valid")).expect_err("no script");
    assert!(forgotten.to_string().contains("monkeyci_sdk::script!(script);"), "{forgotten}");
}

#[test]
fn a_function_of_a_newer_contract_names_both_versions() {
    let newer = r#"(import "monkeyci:script/jobs@0.1.9" (instance (export "brand-new" (func))))"#;
    let error = runtime(Limits::default()).load(&Guest { imports: newer, ..Guest::default() }.bytes());
    let error = error.expect_err("not offered").to_string();
    for part in ["version 0.1.9 of the contract", "this host speaks version 0.1.1", "brand-new"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_component_that_needs_more_than_there_is_for_one_is_refused_with_the_limit() {
    let runtime = runtime(Limits::default());
    for (module, count, limit) in [
        ("(core module $m)", 205, "200"),
        (r#"(core module $m (memory 1))"#, 9, "4"),
        (r#"(core module $m (table 1 funcref))"#, 100, "50"),
        ("(core module $m (memory 5000))", 1, "256 MiB"),
        ("(core module $m (table 200000 funcref))", 1, "100000"),
    ] {
        let imports = format!("{module}{}", "(core instance (instantiate $m))".repeat(count));
        let error = runtime.load(&Guest { imports: &imports, ..Guest::default() }.bytes()).expect_err("too much");
        assert!(error.is_script(), "{error}");
        assert!(matches!(&error, LoadError::TooMuch(text) if text.contains(limit)), "{module}: {error:?}");
    }
    let several = Guest { imports: "(core module (memory 1) (memory 1))", ..Guest::default() };
    let error = runtime.load(&several.bytes()).expect_err("no script needs it");
    assert!(matches!(&error, LoadError::Invalid(text) if text.contains("memories")), "{error:?}");
}

#[test]
fn an_export_of_the_wrong_type_is_refused_before_anything_runs() {
    let bytes = wat::parse_str(
        r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
             (func (export "define") (canon lift (core func $i "f")))
             (func (export "act") (canon lift (core func $i "f"))))"#,
    )
    .expect("valid");
    assert!(matches!(runtime(Limits::default()).load(&bytes), Err(LoadError::Unfit(_))));
}

#[tokio::test]
async fn a_trap_names_its_kind() {
    let error = define(Guest { define: "unreachable", ..Guest::default() }, limits()).await;
    assert!(matches!(&error, ScriptError::Trapped(trap) if trap.contains("unreachable")), "{error}");
}

#[tokio::test]
async fn a_trap_after_a_refused_call_says_what_was_refused() {
    let error =
        define(asking("(call $get (i32.const 16) (i32.const 3) (i32.const 64)) unreachable", ""), limits()).await;
    let text = error.to_string();
    assert!(text.contains("unreachable"), "{text}");
    assert!(text.ends_with("the last error that a call to the host had returned: not found: no such thing"), "{text}");
}

#[tokio::test]
async fn an_error_of_a_script_is_shortened_and_the_log_has_all_of_it() {
    let fails = "(i32.store8 (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 65536))
                 (i32.store (i32.const 8) (i32.const 60000))";
    let (client, asked) = client();
    let script = Guest { define: fails, ..Guest::default() }.load(&runtime(limits()));
    let failed = script.define(&client, info()).await.expect("a definition").failed.expect("an error");
    assert!(failed.len() < 4200 && failed.ends_with("(the beginning of 60000 bytes, which the log has)"), "{failed}");
    let asked = asked.lock().expect("lock");
    assert!(asked.iter().any(|line| line.contains("/log")), "{asked:?}");
}

#[tokio::test]
async fn a_timer_is_over_at_once_while_jobs_are_declared() {
    let guest = Guest {
        imports: r#"
          (import "wasi:io/poll@0.2.0" (instance $poll
            (export "pollable" (type $p (sub resource)))
            (export "[method]pollable.block" (func (param "self" (borrow $p))))))
          (alias export $poll "pollable" (type $pollable))
          (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
            (alias outer 1 $pollable (type $outer))
            (export "pollable" (type $p (eq $outer)))
            (export "now" (func (result u64)))
            (export "subscribe-instant" (func (param "when" u64) (result (own $p))))
            (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))"#,
        lower: r#"(core func $now (canon lower (func $clock "now")))
          (core func $instant (canon lower (func $clock "subscribe-instant")))
          (core func $duration (canon lower (func $clock "subscribe-duration")))
          (core func $block (canon lower (func $poll "[method]pollable.block")))"#,
        with: r#"(with "time" (instance (export "now" (func $now)) (export "instant" (func $instant))
          (export "duration" (func $duration)) (export "block" (func $block))))"#,
        core_imports: r#"(import "time" "now" (func $now (result i64)))
          (import "time" "instant" (func $instant (param i64) (result i32)))
          (import "time" "duration" (func $duration (param i64) (result i32)))
          (import "time" "block" (func $block (param i32)))"#,
        // An hour each. Afterwards no time has passed.
        define: "(call $block (call $duration (i64.const 3600000000000)))
          (call $block (call $instant (i64.const 3600000000000)))
          (if (i64.ne (call $now) (i64.const 0)) (then unreachable))",
        // A timer of an action is over when its time has passed.
        act: "(call $block (call $duration (i64.const 1000000)))
          (if (i64.lt_u (call $now) (i64.const 1000000)) (then unreachable))",
        ..Guest::default()
    };
    let (client, _) = client();
    let script = guest.load(&runtime(limits()));
    let defined = script.define(&client, info()).await.expect("no time passes");
    let action = Action { job: "job", ..Action::default() };
    script.act(&client, &defined.transcript, action, HANGS, &Recording::default()).await.ended.expect("time passes");
}

#[tokio::test]
async fn a_script_that_loops_for_ever_is_stopped() {
    // The good script that runs afterwards has to keep this limit too.
    let limits = Limits { define_time: Duration::from_secs(5), ..limits() };
    let error = define(Guest { define: "(loop (br 0))", ..Guest::default() }, limits).await;
    assert!(matches!(error, ScriptError::TimedOut(_)), "{error}");
}

#[tokio::test]
async fn endless_recursion_is_a_trap() {
    let globals = "(func $f (call $f))";
    let error = define(Guest { globals, define: "call $f", ..Guest::default() }, limits()).await;
    assert!(matches!(&error, ScriptError::Trapped(trap) if trap.contains("stack")), "{error}");
}

#[tokio::test]
async fn memory_ends_at_the_limit_and_the_message_says_so() {
    let define_body = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    let guest = Guest { define: define_body, ..Guest::default() };
    let error = define(guest, limits()).await;
    assert!(matches!(&error, ScriptError::Trapped(trap) if trap.contains("memory limit")), "{error}");
}

#[tokio::test]
async fn tables_end_at_the_limit() {
    let globals = "(table $t 1 funcref)";
    let body = "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable";
    let error = define(Guest { globals, define: body, ..Guest::default() }, limits()).await;
    assert!(matches!(&error, ScriptError::Trapped(trap) if trap.contains("table limit")), "{error}");
}

#[tokio::test]
async fn handles_end_at_the_limit() {
    let body = "(loop (drop (call $action (i32.const 16) (i32.const 6))) (br 0))";
    let error = define(declaring(body), Limits { handles: 1_000, ..limits() }).await;
    assert!(matches!(error, ScriptError::Trapped(_)), "{error}");
}

#[tokio::test]
async fn calls_to_the_host_end_at_the_limit() {
    let body = "(loop (drop (call $action (i32.const 16) (i32.const 6))) (br 0))";
    let error = define(declaring(body), Limits { calls: 100, ..limits() }).await;
    assert!(matches!(&error, ScriptError::Trapped(trap) if trap.contains("100 calls")), "{error}");
}

#[tokio::test]
async fn declarations_end_at_the_limit_of_their_bytes() {
    let body = "(loop (drop (call $action (i32.const 16) (i32.const 60000))) (br 0))";
    let error = define(declaring(body), Limits { declared_bytes: 1 << 20, ..limits() }).await;
    assert!(matches!(&error, ScriptError::Trapped(trap) if trap.contains("bytes of declarations")), "{error}");
}

#[tokio::test]
async fn recorded_calls_end_at_the_limit_of_their_bytes() {
    let body = "(loop (call $get (i32.const 16) (i32.const 60000) (i32.const 64)) (br 0))";
    let error = define(asking(body, ""), Limits { declared_bytes: 1 << 20, ..limits() }).await;
    assert!(matches!(&error, ScriptError::Trapped(trap) if trap.contains("bytes of declarations")), "{error}");
}

#[tokio::test]
async fn one_call_brings_no_more_bytes_than_allowed() {
    let body = "(drop (call $action (i32.const 16) (i32.const 60000)))";
    let error = define(declaring(body), Limits { call_bytes: 10_000, ..limits() }).await;
    assert!(matches!(&error, ScriptError::Trapped(trap) if trap.contains("more than 10000 bytes at once")), "{error}");
}

#[tokio::test]
async fn an_address_outside_of_memory_is_a_trap() {
    let body = "(drop (call $action (i32.const 2000000000) (i32.const 6)))";
    let error = define(declaring(body), limits()).await;
    assert!(matches!(error, ScriptError::Trapped(_)), "{error}");
}

#[tokio::test]
async fn instances_past_the_pool_wait_for_their_turn() {
    let runtime = runtime(Limits { instances: 2, ..limits() });
    let script = Guest::default().load(&runtime);
    let (client, _) = client();
    let all = futures::future::join_all((0..20).map(|_| script.define(&client, info())));
    assert!(all.await.iter().all(Result::is_ok));
}
