//! The OpenAPI document of the public API, from the table of routes and the table of schemas here.

mod schemas;

use serde_json::{Map, Value, json};

use crate::access::{Reach, Scope};
use crate::refusal::PROBLEM;
use crate::routes::{Access, Gives, ROUTES, Route, Takes};

/// The document, in OpenAPI 3.1.
pub(crate) fn document() -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.verb.as_str().to_owned(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "monkeyci-host",
            "version": "1",
            "description": "The public API of a server of monkeyci-host. Errors are problems (RFC 9457).",
        },
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "An API token: mci_…" },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut answers = Map::new();
    let (status, answer) = match route.gives {
        Gives::Json(status, schema) => (status, json!({ "application/json": { "schema": reference(schema) } })),
        Gives::EventsOrStream(schema) => {
            answers.insert("204".to_owned(), json!({ "description": "The last event was heard." }));
            let stream = json!({ "schema": { "type": "string" } });
            (200, json!({ "application/json": { "schema": reference(schema) }, "text/event-stream": stream }))
        }
        Gives::Stream(schema) => {
            let said = format!("Events `log`, each with JSON of the schema {schema}, and `end` when there is no more.");
            (200, json!({ "text/event-stream": { "schema": { "type": "string", "description": said } } }))
        }
        Gives::Archive => (200, json!({ "application/zstd": { "schema": { "type": "string", "format": "binary" } } })),
        Gives::Nothing => (204, Value::Null),
    };
    let mut good = json!({ "description": "It is done." });
    if !answer.is_null() {
        good["content"] = answer;
    }
    answers.insert(status.to_string(), good);
    let problem = json!({ "schema": reference("Problem") });
    answers.insert("default".to_owned(), json!({ "description": "An error.", "content": { PROBLEM: problem } }));
    let mut operation = json!({
        "operationId": format!("{:?}", route.id),
        "summary": route.says,
        "parameters": parameters(route),
        "responses": answers,
    });
    let (kind, schema) = match route.takes {
        Takes::None => ("", Value::Null),
        Takes::Body(schema, _) => ("application/json", reference(schema)),
        Takes::Script => ("application/wasm", json!({ "type": "string", "format": "binary" })),
    };
    if !kind.is_empty() {
        operation["requestBody"] = json!({ "required": true, "content": { kind: { "schema": schema } } });
    }
    if let Access::Token(scope, reach) = route.access {
        let scope = serde_json::to_value(scope).unwrap_or_default();
        operation["security"] = json!([{ "token": [scope] }]);
        operation["description"] = json!(needs(route, reach));
    }
    operation
}

fn needs(route: &Route, reach: Reach) -> String {
    let Access::Token(scope, _) = route.access else { return String::new() };
    let scope = match scope {
        Scope::Read => "`read`",
        Scope::Trigger => "`trigger`",
        Scope::Approve => "`approve`",
        Scope::Admin => "`admin`",
        Scope::Secrets => "`secrets`",
    };
    let of = match reach {
        Reach::Server => ", for all repositories",
        Reach::Own => "",
        Reach::Repository => ", for this repository or all",
        Reach::Build => ", for the build's repository or all",
    };
    format!("Takes a token with the scope {scope} (or `admin`){of}.")
}

fn parameters(route: &Route) -> Vec<Value> {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let string = || json!({ "type": "string" });
    let in_path = |name| json!({ "name": name, "in": "path", "required": true, "schema": string() });
    let option = |name: &&str| {
        let (place, schema) = match *name {
            "limit" => ("query", json!({ "type": "integer", "minimum": 1, "maximum": crate::budget::MAX_PAGE })),
            "after" => ("query", json!({ "type": "integer", "minimum": 0 })),
            name if name.starts_with(|c: char| c.is_ascii_uppercase()) => ("header", string()),
            _ => ("query", string()),
        };
        json!({ "name": name, "in": place, "required": false, "schema": schema })
    };
    names.map(in_path).chain(route.options.iter().map(option)).collect()
}

fn reference(schema: &str) -> Value {
    if schema == "Anything" {
        json!({ "type": "object" })
    } else {
        json!({ "$ref": format!("#/components/schemas/{schema}") })
    }
}
