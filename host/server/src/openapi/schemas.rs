//! The schemas of what goes over the wire: names, fields, and what each field is.

use serde_json::{Map, Value, json};

use crate::origin::Origin;

/// A schema: its name, and its fields with what they are. A `?` after a field's name says that it may be left out; a `?` after what it is, that
/// it may be null. `[X]` is a list of them.
type Schema = (&'static str, &'static [(&'static str, &'static str)]);

const BUILD: &[(&str, &str)] = &[
    ("build", "string"),
    ("repository", "string"),
    ("status", "string"),
    ("reason", "string?"),
    ("trigger", "string"),
    ("branch", "string?"),
    ("tag", "string?"),
    ("commit", "string?"),
    ("accepted_ms", "integer"),
];

const REPOSITORY: &[(&str, &str)] = &[
    ("name", "string"),
    ("url", "string"),
    ("script", "string?"),
    ("script_path", "string?"),
    ("labels", "[string]"),
    ("added_ms", "integer"),
];

const TOKEN: &[(&str, &str)] = &[
    ("id", "string"),
    ("name", "string"),
    ("scopes", "[Scope]"),
    ("repository", "string?"),
    ("made_ms", "integer"),
    ("expires_ms", "integer?"),
];

const INPUT: &[(&str, &str)] = &[
    ("name", "string"),
    ("value", "string?"),
    ("label", "string?"),
    ("branch", "string?"),
    ("event", "string?"),
    ("reveal", "boolean"),
    ("set_by", "string"),
    ("set_ms", "integer"),
];

const USE: &[(&str, &str)] = &[
    ("build", "string"),
    ("kind", "string"),
    ("name", "string"),
    ("of_repository", "boolean"),
    ("label", "string?"),
    ("branch", "string?"),
    ("event", "string?"),
    ("set_ms", "integer"),
];

const SCHEMAS: [Schema; 29] = [
    ("Problem", &[("status", "integer"), ("title", "string"), ("detail", "string")]),
    ("Health", &[("status", "string")]),
    (
        "NewRepository",
        &[
            ("name?", "string?"),
            ("url", "string"),
            ("script_path?", "string?"),
            ("webhook_secret?", "string?"),
            ("labels?", "[string]"),
        ],
    ),
    ("Repository", REPOSITORY),
    ("AddedRepository", &[("webhook_secret", "string")]),
    ("Labels", &[("labels", "[string]")]),
    (
        "NewInput",
        &[
            ("value?", "string?"),
            ("base64?", "string?"),
            ("label?", "string?"),
            ("branch?", "string?"),
            ("event?", "string?"),
            ("reveal?", "boolean"),
        ],
    ),
    ("Input", INPUT),
    ("Inputs", &[("inputs", "[Input]")]),
    ("Use", USE),
    ("Uses", &[("uses", "[Use]"), ("next", "string?")]),
    ("Repositories", &[("repositories", "[Repository]")]),
    (
        "Delivery",
        &[
            ("delivery", "string"),
            ("event", "string"),
            ("outcome", "string"),
            ("build", "string?"),
            ("received_ms", "integer"),
        ],
    ),
    ("Deliveries", &[("deliveries", "[Delivery]"), ("next", "string?")]),
    ("Delivered", &[("outcome", "string"), ("build", "string?")]),
    ("NewBuild", &[("branch?", "string?"), ("tag?", "string?"), ("commit?", "string?"), ("params?", "strings")]),
    ("Build", BUILD),
    ("Builds", &[("builds", "[Build]"), ("next", "string?")]),
    ("ShownBuild", &[("record", "object?")]),
    ("Event", &[("seq", "integer"), ("time_ms", "integer"), ("type", "string")]),
    ("Events", &[("events", "[Event]"), ("next", "integer"), ("is_over", "boolean")]),
    (
        "LogPiece",
        &[("job", "string?"), ("stream", "string"), ("time_ms", "integer"), ("text", "string"), ("base64", "string?")],
    ),
    (
        "Artifact",
        &[("id", "string"), ("job", "string"), ("attempt", "integer"), ("size", "integer"), ("digest", "string")],
    ),
    ("Artifacts", &[("artifacts", "[Artifact]")]),
    ("Decision", &[("comment?", "string?")]),
    ("NewToken", &[("name", "string"), ("scopes", "[Scope]"), ("repository?", "string?"), ("expires_ms?", "integer?")]),
    ("Token", TOKEN),
    ("AddedToken", &[("token", "string")]),
    ("Tokens", &[("tokens", "[Token]")]),
];

/// Schemas that have all fields of another one too.
const MORE_THAN: [(&str, &[(&str, &str)]); 3] =
    [("AddedRepository", REPOSITORY), ("ShownBuild", BUILD), ("AddedToken", TOKEN)];

/// The schemas of what comes in.
const READ: [&str; 6] = ["NewRepository", "Labels", "NewInput", "NewBuild", "Decision", "NewToken"];

/// All schemas.
pub(super) fn all() -> Value {
    let mut all = Map::new();
    all.insert(
        "Scope".to_owned(),
        json!({ "type": "string", "enum": ["read", "trigger", "approve", "admin", "secrets"] }),
    );
    let origins = Origin::ALL.map(Origin::as_str);
    all.insert("Origin".to_owned(), json!({ "type": "string", "enum": origins }));
    for (name, fields) in &SCHEMAS {
        let more = MORE_THAN.iter().find(|(more, _)| more == name).map_or(&[][..], |(_, fields)| fields);
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for (field, kind) in more.iter().chain(*fields) {
            let known = field.trim_end_matches('?');
            properties.insert(known.to_owned(), schema_of(kind));
            if known == *field {
                required.push(known);
            }
        }
        let mut schema = json!({ "type": "object", "properties": properties, "required": required });
        // Of what comes in, everything is known. What goes out may have more some day.
        if READ.contains(name) {
            schema["additionalProperties"] = json!(false);
        }
        all.insert((*name).to_owned(), schema);
    }
    Value::Object(all)
}

fn schema_of(kind: &str) -> Value {
    if let Some(item) = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')) {
        let item = if item == "string" { json!({ "type": "string" }) } else { super::reference(item) };
        return json!({ "type": "array", "items": item });
    }
    match (kind, kind.strip_suffix('?')) {
        ("strings", _) => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        (_, Some(kind)) => json!({ "type": [kind, "null"] }),
        (kind, None) => json!({ "type": kind }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use monkeyci_controller::{ArtifactRecord, BuildRecord};
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::api::wire;

    fn keys(value: &Value) -> BTreeSet<&str> {
        value.as_object().expect("an object").keys().map(String::as_str).collect()
    }

    /// What is sent has the fields that are described, each of them and no other, of the types that are described.
    fn sent(name: &str, sample: impl Serialize) {
        let (sample, all) = (serde_json::to_value(sample).expect("JSON"), all());
        let schema = &all[name];
        assert_eq!(keys(&sample), keys(&schema["properties"]), "{name}");
        let required = schema["required"].as_array().expect("a list").len();
        assert_eq!(required, keys(&sample).len(), "{name}: all is sent");
        for (field, value) in sample.as_object().expect("an object") {
            let kind = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "integer",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            let described = &schema["properties"][field]["type"];
            let fits = described == kind || described.as_array().is_some_and(|kinds| kinds.contains(&json!(kind)));
            assert!(fits, "{name}.{field} is {kind}, and described as {described}");
        }
    }

    /// What is described can be read, with all fields and with those alone that may not be left out.
    fn read<T: DeserializeOwned>(name: &str) {
        let all = all();
        let value = |field: &str| match schema_kind(&all[name]["properties"][field]) {
            "integer" => json!(1),
            "array" => json!(["read"]),
            "boolean" => json!(true),
            _ if field == "event" => json!("push"),
            "object" => json!({ "a": "b" }),
            _ => json!("text"),
        };
        let whole: Map<String, Value> =
            keys(&all[name]["properties"]).into_iter().map(|field| (field.to_owned(), value(field))).collect();
        let required = all[name]["required"].as_array().expect("a list").clone();
        let least: Map<String, Value> = whole
            .iter()
            .filter(|(field, _)| required.contains(&json!(field)))
            .map(|(f, v)| (f.clone(), v.clone()))
            .collect();
        let mut more = whole.clone();
        more.insert("another".to_owned(), json!(1));
        for (value, is_good) in [(whole, true), (least, true), (more, false)] {
            let read = serde_json::from_value::<T>(Value::Object(value.clone()));
            assert_eq!(read.is_ok(), is_good, "{name}: {value:?}: {:?}", read.err());
        }
    }

    fn schema_kind(schema: &Value) -> &str {
        schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default()
    }

    #[test]
    fn what_goes_over_the_wire_is_what_the_document_says() {
        let repository = || wire::RepositoryBody {
            name: "a".to_owned(),
            url: "u".to_owned(),
            script: Some("stored"),
            script_path: None,
            labels: Vec::new(),
            added_ms: 1,
        };
        let build = || wire::BuildBody {
            build: "o/r/1".to_owned(),
            repository: "a".to_owned(),
            status: "running".to_owned(),
            reason: None,
            trigger: "api".to_owned(),
            branch: None,
            tag: None,
            commit: Some("c".to_owned()),
            accepted_ms: 1,
        };
        let token = || wire::TokenBody {
            id: "i".to_owned(),
            name: "n".to_owned(),
            scopes: BTreeSet::new(),
            repository: None,
            made_ms: 1,
            expires_ms: Some(2),
        };
        let record = BuildRecord::of("o/r/1", &[], false);
        let artifact =
            ArtifactRecord { id: "a".to_owned(), job: "j".to_owned(), attempt: 1, size: 2, digest: "d".to_owned() };
        let delivery = wire::DeliveryBody {
            delivery: "d".to_owned(),
            event: "push".to_owned(),
            outcome: "a build".to_owned(),
            build: None,
            received_ms: 1,
        };
        let piece = wire::LogPieceBody { job: None, stream: "stdout", time_ms: 1, text: "t".to_owned(), base64: None };
        sent("Health", wire::Health { status: "ok" });
        sent("Repository", repository());
        sent("AddedRepository", wire::AddedRepository { repository: repository(), webhook_secret: "s".to_owned() });
        sent("Repositories", wire::Repositories { repositories: vec![repository()] });
        let input = wire::InputBody {
            name: "n".to_owned(),
            value: None,
            label: None,
            branch: Some("b".parse().expect("a pattern")),
            event: Some(Origin::Push),
            reveal: false,
            set_by: "token t".to_owned(),
            set_ms: 1,
        };
        let used = wire::UseBody {
            build: "o/r/1".to_owned(),
            kind: "secret".to_owned(),
            name: "n".to_owned(),
            of_repository: true,
            label: None,
            branch: None,
            event: None,
            set_ms: 1,
        };
        sent("Input", &input);
        sent("Inputs", wire::Inputs { inputs: vec![input] });
        sent("Use", &used);
        sent("Uses", wire::Uses { uses: vec![used], next: None });
        sent("Delivery", &delivery);
        sent("Deliveries", wire::Deliveries { deliveries: vec![delivery], next: None });
        sent("Delivered", wire::DeliveredBody { outcome: "o".to_owned(), build: None });
        sent("Build", build());
        sent("Builds", wire::Builds { builds: vec![build()], next: Some("1".to_owned()) });
        sent("ShownBuild", wire::ShownBuild { build: build(), record: Some(record) });
        sent("Events", wire::Events { events: Vec::new(), next: 1, is_over: false });
        sent("LogPiece", piece);
        sent("Artifact", &artifact);
        sent("Artifacts", wire::Artifacts { artifacts: vec![artifact] });
        sent("Token", token());
        sent("AddedToken", wire::AddedToken { description: token(), token: "mci_".to_owned() });
        sent("Tokens", wire::Tokens { tokens: vec![token()] });
        read::<wire::NewRepository>("NewRepository");
        read::<wire::LabelsBody>("Labels");
        read::<wire::NewInputBody>("NewInput");
        read::<wire::NewBuild>("NewBuild");
        read::<wire::DecisionBody>("Decision");
        read::<wire::NewTokenBody>("NewToken");
    }

    #[test]
    fn whatever_the_document_refers_to_is_in_it_and_each_operation_has_a_name_of_its_own() {
        let document = super::super::document();
        let text = document.to_string();
        let schemas = keys(&document["components"]["schemas"]);
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap_or_default();
            assert!(schemas.contains(name), "{name}");
        }
        let operations = document["paths"].as_object().expect("paths").values().flat_map(|path| {
            path.as_object().expect("operations").values().map(|operation| operation["operationId"].to_string())
        });
        let all: Vec<_> = operations.collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(all.len(), crate::routes::ROUTES.len());
    }
}
