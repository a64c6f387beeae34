//! `monkeyci-host limits --scopes`: what each token opens, and when.

use std::fmt::Write;

use monkeyci_api::ROUTES;
use monkeyci_api::scope_table::{Case, Target, Verdict, When, Who};
use serde_json::{Value, json};

const LEGEND: &str = "\
What a token opens at each route of the build API, over each of its transports (in process, Unix socket, TCP).
+ allowed, - denied (403), x the token opens nothing (401).
Columns of four: for the bearer's own things; with the token of an attempt that is not the one that runs; for another
job's things; in another build. In each of the four: while the bearer runs, after its end, after the token's end.
";

/// The table for people.
pub fn text() -> String {
    let mut text = LEGEND.to_owned();
    let row = |text: &mut String, [route, scope, define, action, sidecar]: [&str; 5]| {
        let _ = writeln!(text, "{route:<36} {scope:<22} {define:<15}  {action:<15}  {sidecar}");
    };
    text.push('\n');
    row(&mut text, ["route", "scope", "define", "action", "sidecar"]);
    for route in &ROUTES {
        let [define, action, sidecar] = Who::ALL.map(|who| {
            let fours = Target::ALL.map(|target| {
                When::ALL.iter().map(|&when| Case { route, who, target, when }.verdict().sign()).collect::<String>()
            });
            fours.join(" ")
        });
        let place = format!("{:<4} {}", route.verb.to_string(), route.path);
        row(&mut text, [&place, &route.scope_shown(), &define, &action, &sidecar]);
    }
    text
}

/// The table for programs: a list of cells.
pub fn json() -> Value {
    let cell = |case: Case| {
        let verdict: Verdict = case.verdict();
        json!({
            "method": case.route.verb.to_string(), "path": case.route.path, "scope": case.route.scope_shown(),
            "who": case.who, "target": case.target, "when": case.when, "verdict": verdict,
        })
    };
    Value::Array(Case::all().map(cell).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_token_opens_is_as_it_was_decided() {
        insta::assert_snapshot!(text(), @r"
    What a token opens at each route of the build API, over each of its transports (in process, Unix socket, TCP).
    + allowed, - denied (403), x the token opens nothing (401).
    Columns of four: for the bearer's own things; with the token of an attempt that is not the one that runs; for another
    job's things; in another build. In each of the four: while the bearer runs, after its end, after the token's end.

    route                                scope                  define           action           sidecar
    GET  /                               build:read             +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    GET  /params                         params:read            +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    GET  /params/{name}                  params:read            +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    GET  /secrets                        secrets:read           +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    GET  /secrets/{name}                 secrets:read           +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    POST /secrets/{name}/reveal          secret:reveal={name}   -xx xxx -xx -xx  +xx xxx -xx -xx  -xx xxx -xx -xx
    POST /events                         events:write           +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    POST /events/next                    events:read            -xx xxx -xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    POST /reports                        events:write           +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    POST /logs                           log:write              +xx xxx +xx -xx  -xx xxx -xx -xx  -xx xxx -xx -xx
    GET  /files/{path}                   files:read             +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    GET  /dirs/{path}                    files:read             +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    GET  /stats/{path}                   files:read             +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    POST /globs                          files:read             +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    POST /hashes                         files:read             +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    PUT  /outputs/{path}                 outputs:write          -xx xxx -xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    POST /outputs/{path}                 outputs:write          -xx xxx -xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    POST /jobs                           jobs:submit            -xx xxx -xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    POST /waits                          jobs:read              -xx xxx -xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    GET  /jobs/{job}                     jobs:read              +xx xxx +xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    GET  /jobs/{job}/plan                job:report={job}       -xx xxx -xx -xx  -xx xxx -xx -xx  +xx xxx -xx -xx
    POST /jobs/{job}/running             job:report={job}       -xx xxx -xx -xx  -xx xxx -xx -xx  +xx xxx -xx -xx
    POST /jobs/{job}/held                job:report={job}       -xx xxx -xx -xx  -xx xxx -xx -xx  +xx xxx -xx -xx
    POST /jobs/{job}/outputs             job:report={job}       -xx xxx -xx -xx  -xx xxx -xx -xx  +xx xxx -xx -xx
    POST /jobs/{job}/test-reports        job:report={job}       -xx xxx -xx -xx  +xx xxx -xx -xx  +xx xxx -xx -xx
    POST /jobs/{job}/result              job:report={job}       -xx xxx -xx -xx  -xx xxx -xx -xx  +xx xxx -xx -xx
    POST /jobs/{job}/logs                log:write              -xx xxx -xx -xx  +xx xxx -xx -xx  +xx xxx -xx -xx
    GET  /workspace                      workspace:read         -xx xxx -xx -xx  -xx xxx -xx -xx  +xx xxx +xx -xx
    GET  /artifacts                      artifacts:read         -xx xxx -xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    GET  /artifacts/{id}/files           artifacts:read         -xx xxx -xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    GET  /artifacts/{id}/files/{path}    artifacts:read         -xx xxx -xx -xx  +xx xxx +xx -xx  -xx xxx -xx -xx
    PUT  /artifacts/{id}/files/{path}    artifact:write={id}    -xx xxx -xx -xx  +xx xxx -xx -xx  -xx xxx -xx -xx
    POST /artifacts/{id}/outputs/{path}  artifact:write={id}    -xx xxx -xx -xx  +xx xxx -xx -xx  -xx xxx -xx -xx
    GET  /artifacts/{id}                 artifact:read={id}     -xx xxx -xx -xx  -xx xxx -xx -xx  +xx xxx -xx -xx
    PUT  /artifacts/{id}                 artifact:write={id}    -xx xxx -xx -xx  -xx xxx -xx -xx  +xx xxx -xx -xx
    GET  /caches/{id}                    cache={id}             -xx xxx -xx -xx  -xx xxx -xx -xx  +xx xxx -xx -xx
    PUT  /caches/{id}                    cache={id}             -xx xxx -xx -xx  -xx xxx -xx -xx  +xx xxx -xx -xx
    ");
    }

    #[test]
    fn programs_are_told_every_cell() {
        let cells = json();
        assert_eq!(cells.as_array().map(Vec::len), Some(ROUTES.len() * 3 * 4 * 3));
        let first = json!({
            "method": "GET", "path": "/", "scope": "build:read", "who": "define", "target": "own", "when": "live",
            "verdict": "allowed",
        });
        assert_eq!(cells[0], first);
    }
}
