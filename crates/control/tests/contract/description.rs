//! Description of the API: it names what there is, and nothing else.

use http::StatusCode;
use serde_json::Value;

use crate::api::Api;

/// Operations that programs rely on: method, path, id, and statuses of their answers.
const OPERATIONS: [(&str, &str, &str, &str); 19] = [
    ("get", "/live-inputs", "listLiveInputs", "200 400 401 403 429 500 503"),
    ("post", "/live-inputs", "createLiveInput", "201 400 401 403 404 408 409 413 415 422 429 500 503"),
    ("get", "/live-inputs/{uid}", "getLiveInput", "200 401 403 404 429 500 503"),
    (
        "patch",
        "/live-inputs/{uid}",
        "updateLiveInput",
        "200 400 401 403 404 408 409 412 413 415 422 429 500 503",
    ),
    ("delete", "/live-inputs/{uid}", "deleteLiveInput", "204 401 403 404 409 412 429 500 503"),
    ("post", "/live-inputs/{uid}/rotate-key", "rotateLiveInputKey", "200 401 403 404 409 412 429 500 503"),
    ("get", "/streams", "listStreams", "200 400 401 403 429 503"),
    ("get", "/streams/{stream}", "getStream", "200 401 403 404 429 503"),
    ("get", "/streams/{stream}/health", "getStreamHealth", "200 401 403 404 429 503"),
    (
        "post",
        "/streams/{stream}/disconnect",
        "disconnectStream",
        "200 202 400 401 403 404 408 413 415 422 429 503",
    ),
    (
        "post",
        "/streams/{stream}/block",
        "blockStream",
        "200 202 400 401 403 404 408 409 413 415 422 429 500 503",
    ),
    ("post", "/streams/{stream}/unblock", "unblockStream", "200 401 403 404 409 429 500 503"),
    ("get", "/streams/{stream}/recordings", "listRecordings", "200 400 401 403 404 429 503"),
    ("get", "/streams/{stream}/recordings/{broadcast}", "getRecording", "200 401 403 404 429 503"),
    ("delete", "/streams/{stream}/recordings/{broadcast}", "deleteRecording", "204 401 403 404 409 429 503"),
    ("get", "/tokens", "listTokens", "200 400 401 403 404 429 503"),
    ("post", "/tokens", "createToken", "201 400 401 403 404 408 413 415 422 429 503"),
    ("delete", "/tokens/{id}", "deleteToken", "204 401 403 404 429 503"),
    ("get", "/openapi.json", "getDescription", "200"),
];
const METHODS: [&str; 5] = ["get", "post", "patch", "put", "delete"];

async fn description(api: &Api) -> Value {
    let answer = api.send("GET", "/openapi.json", &[], "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body["openapi"].as_str().unwrap().starts_with("3.1."));
    answer.body
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.strip_prefix("/api/v1").unwrap();
        for (method, operation) in methods.as_object().unwrap() {
            operations.push((method.clone(), path.to_owned(), operation.clone()));
        }
    }
    operations
}

/// Path with a name in the place of each parameter.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn each_operation_has_its_id_and_its_statuses() {
    let document = description(&Api::start().await).await;
    let mut found = Vec::new();
    for (method, path, operation) in operations(&document) {
        let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().cloned().collect();
        let id = operation["operationId"].as_str().unwrap().to_owned();
        found.push((method, path, id, statuses.join(" ")));
    }
    let mut expected = OPERATIONS.map(|(method, path, id, statuses)| {
        (method.to_owned(), path.to_owned(), id.to_owned(), statuses.to_owned())
    });
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn the_description_names_each_method_that_there_is() {
    let api = Api::start().await;
    let document = description(&api).await;
    for path in document["paths"].as_object().unwrap().keys() {
        let asked = filled(path.strip_prefix("/api/v1").unwrap());
        for method in METHODS {
            let answer = api.ask(&method.to_uppercase(), &asked, "").await;
            let is_described = document["paths"][path].get(method).is_some();
            assert_eq!(answer.status != StatusCode::METHOD_NOT_ALLOWED, is_described, "{method} {path}");
            if !is_described {
                assert!(answer.header("allow").contains("GET") || asked.contains("/x"), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn each_operation_asks_for_a_token_and_for_a_scope() {
    let api = Api::start().await;
    let document = description(&api).await;
    let token = api.token(&[]).await;
    for (method, path, operation) in operations(&document) {
        let asked = filled(&path);
        let without = api.send(&method.to_uppercase(), &asked, &[], "").await;
        let with = api.ask_as(&token, &method.to_uppercase(), &asked, "").await;
        let expected = if operation["security"].is_array() {
            (StatusCode::OK, StatusCode::OK)
        } else {
            (StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN)
        };
        assert_eq!((without.status, with.status), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn each_reference_leads_somewhere() {
    let document = description(&Api::start().await).await;
    let text = document.to_string();
    let references: Vec<_> = text.split("\"$ref\":\"#").skip(1).collect();
    assert!(references.len() > 10);
    for reference in references {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

/// The fields of an input's answer are those of its settings and others: each part of the schema must leave room for the other.
#[tokio::test]
async fn an_answer_may_have_more_fields_than_its_settings() {
    let document = description(&Api::start().await).await;
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["LiveInputSettings"]["additionalProperties"], false);
    let parts = schemas["LiveInputAnswer"]["allOf"].as_array().unwrap();
    let names: Vec<_> =
        parts.iter().flat_map(|part| part["properties"].as_object().unwrap().keys()).collect();
    assert!(names.iter().any(|name| *name == "meta") && names.iter().any(|name| *name == "uid"), "{names:?}");
    assert!(parts.iter().all(|part| part.get("additionalProperties").is_none()));
}

/// Shape of recordings as programs have read it since the description was written by hand.
#[tokio::test]
async fn recordings_keep_their_shape() {
    let document = description(&Api::start().await).await;
    let recording = &document["components"]["schemas"]["Recording"];
    let names: Vec<_> = recording["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "broadcast",
        "duration_seconds",
        "mp4",
        "playlist",
        "presentation",
        "size_bytes",
        "start",
        "state",
        "thumbnail",
    ];
    assert_eq!(names, expected);
    assert_eq!(recording["required"], serde_json::json!(expected));
    let states = &recording["properties"]["state"]["oneOf"][0]["enum"];
    assert_eq!(*states, serde_json::json!(["live", "complete", "interrupted"]));
    let page = &document["components"]["schemas"]["RecordingPage"]["properties"];
    assert_eq!(page["recordings"]["items"]["$ref"], "#/components/schemas/Recording");
}
