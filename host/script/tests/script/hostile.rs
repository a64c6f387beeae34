//! Scripts that are broken, greedy or hostile: each gets its own error, and the host lives on.

use std::time::Duration;

use crate::hang_guard::HANGS;
use crate::support::{Guest, asking, client, declaring, info, runtime};
use monkeyci_script::{Limits, LoadError, ScriptError};

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
