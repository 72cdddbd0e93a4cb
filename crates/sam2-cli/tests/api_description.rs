//! The OpenAPI description of `sam2 serve --api` and what the service does are the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod common;
mod service;

use serde_json::{Value, json};
use service::Service;

/// Checks a value against a schema of the document: what this document uses of JSON Schema.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document
            .pointer(name.trim_start_matches('#'))
            .expect("a schema that is there");
        return check(document, schema, value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&Value| (choice["type"] == "null") == value.is_null();
        return check(document, choices.iter().find(fits).unwrap(), value, at);
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        one => vec![one.clone()],
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
    };
    let fits = types.contains(&json!(is)) || (is == "integer" && types.contains(&json!("number")));
    assert!(fits, "{at} is {value}, described as {types:?}");
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value}");
    }
    for (i, value) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], value, &format!("{at}[{i}]"));
    }
    let Some(object) = value.as_object() else {
        return;
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(
            object.contains_key(name.as_str().unwrap()),
            "{at} has no {name}: {value}"
        );
    }
    for (name, value) in object {
        let described = schema["properties"]
            .get(name)
            .or(schema.get("additionalProperties"));
        match described {
            Some(schema) => check(document, schema, value, &format!("{at}.{name}")),
            // The description of a whole document, and of old answers that scripts extend, is open.
            None => assert!(
                schema.get("properties").is_none(),
                "{at}.{name} is not described"
            ),
        }
    }
}

#[test]
fn answers_are_as_described() {
    let service = Service::start(&[]);
    let document = service.get("/api/v1/openapi.json").is(200);
    assert_eq!(document["openapi"], "3.1.0");
    let schema_of = |path: &str, method: &str, status: u16| {
        let answer = document["paths"][path][method]["responses"][status.to_string()].clone();
        let answer = match answer["$ref"].as_str() {
            Some(name) => document
                .pointer(name.trim_start_matches('#'))
                .unwrap()
                .clone(),
            None => answer,
        };
        let content = answer["content"]
            .as_object()
            .expect("it has a body")
            .values()
            .next()
            .unwrap()
            .clone();
        content["schema"].clone()
    };
    let verify = |path: &str, method: &str, answer: service::Answer, status: u16| {
        let value = answer.is(status);
        check(
            &document,
            &schema_of(path, method, status),
            &value,
            &format!("{method} {path}"),
        );
        value
    };
    let session = "/api/v1/sessions/{id}";
    verify("/api/v1", "get", service.get("/api/v1"), 200);
    let open = json!({"video_path": "clip"});
    let opened = verify(
        "/api/v1/sessions",
        "post",
        service.post("/api/v1/sessions", &open),
        201,
    );
    let id = opened["id"].as_str().unwrap().to_owned();
    let at = |rest: &str| format!("/api/v1/sessions/{id}{rest}");
    let prompt = json!({"frame": 0, "object": 1, "points": [[52, 54]], "labels": [1]});
    verify(
        &format!("{session}/prompts"),
        "post",
        service.post(&at("/prompts"), &prompt),
        200,
    );
    let propagation = format!("{session}/propagation");
    verify(
        &propagation,
        "post",
        service.post(&at("/propagation"), &json!({})),
        202,
    );
    service.over(&at(""));
    verify(&propagation, "get", service.get(&at("/propagation")), 200);
    verify(
        &propagation,
        "delete",
        service.delete(&at("/propagation")),
        200,
    );
    verify(session, "get", service.get(&at("")), 200);
    verify(
        &format!("{session}/masks"),
        "get",
        service.get(&at("/masks")),
        200,
    );
    verify(
        "/api/v1/sessions",
        "post",
        service.post("/api/v1/sessions", &json!({"video_path": "x"})),
        404,
    );
    let live = verify(
        "/api/v1/sessions",
        "post",
        service.post("/api/v1/sessions", &json!({"live": true})),
        201,
    );
    let live = format!("/api/v1/sessions/{}", live["id"].as_str().unwrap());
    let frames = format!("{session}/frames");
    verify(&frames, "post", service.push(&live, 0), 200);
    service.post(&format!("{live}/prompts"), &prompt).is(200);
    verify(&frames, "post", service.push(&live, 1), 200);
    verify(session, "get", service.get(&live), 200);
    let none = service.ask("POST", &format!("{live}/frames"), &[], b"no picture");
    verify(&frames, "post", none, 422);
    let old = json!({"session_id": id, "frame_idx": 0, "object_id": 1, "points": [[52, 54]], "labels": [1]});
    verify(
        "/add-object",
        "post",
        service.post("/add-object", &old),
        200,
    );
    verify(
        "/propagate",
        "post",
        service.post("/propagate", &json!({"session_id": id})),
        200,
    );
    verify(
        "/propagate",
        "post",
        service.post("/propagate", &json!({})),
        400,
    );
}

#[test]
fn every_described_address_and_no_other_method_is_answered() {
    let service = Service::start(&[]);
    let document = service.get("/api/v1/openapi.json").is(200);
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 18);
    for (path, methods) in paths {
        let concrete = path
            .replace("{id}", "0")
            .replace("{frame}", "0")
            .replace("{object}", "0");
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let answer = service.ask(method, &concrete, &[], b"{}");
            if methods.get(method.to_lowercase()).is_none() {
                answer.problem(405, "method_not_allowed");
                continue;
            }
            // Without such a session or body it is refused, but by the route itself.
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(
                !answer.text().contains("nothing at this address"),
                "{method} {path}"
            );
            let described = methods[method.to_lowercase()]["responses"]
                .as_object()
                .unwrap();
            assert!(
                described.contains_key(&answer.status.to_string()),
                "{method} {path}: {}",
                answer.status
            );
        }
    }
}
