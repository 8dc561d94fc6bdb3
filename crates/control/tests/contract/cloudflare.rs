//! Live inputs as Cloudflare Stream's API has them: paths, envelope, statuses.

use headwater_directory::Scope;
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::{Answer, Api, ROOT};

const INPUTS: &str = "/client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/stream/live_inputs";

async fn ask_as(api: &Api, token: &str, method: &str, path: &str, body: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    api.send_to(method, path, &headers, body).await
}

async fn ask(api: &Api, method: &str, path: &str, body: &str) -> Answer {
    ask_as(api, ROOT, method, path, body).await
}

/// Result of an answer that says that all is well.
fn result_of(answer: Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!((&answer.body["success"], &answer.body["errors"]), (&json!(true), &json!([])));
    answer.body["result"].clone()
}

/// Path of an input.
fn path_of(input: &Value) -> String {
    format!("{INPUTS}/{}", input["uid"].as_str().unwrap())
}

/// Code and text of the one error of an answer without a result.
fn error_of(answer: &Answer) -> (u64, &str) {
    assert_eq!((&answer.body["success"], &answer.body["result"]), (&json!(false), &Value::Null));
    assert_eq!(answer.header("content-type"), "application/json");
    let errors = answer.body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    (errors[0]["code"].as_u64().unwrap(), errors[0]["message"].as_str().unwrap())
}

#[tokio::test]
async fn an_input_is_made_read_changed_and_deleted_in_the_envelope() {
    let api = Api::start().await;
    let body = r#"{"meta":{"name":"shop"},"recording":{"mode":"automatic","timeoutSeconds":300}}"#;
    let made = result_of(ask(&api, "POST", INPUTS, body).await);
    assert_eq!(made["recording"], json!({"mode": "automatic", "timeoutSeconds": 300}));
    assert_eq!(made["rtmps"]["url"], "rtmps://live.example:1936/live");
    assert_eq!(made["rtmps"]["streamKey"].as_str().unwrap().len(), 64);
    let path = path_of(&made);
    assert_eq!(result_of(ask(&api, "GET", &path, "").await), made);

    let body = r#"{"meta":{"owner":7},"enabled":false,"deleteRecordingAfterDays":45}"#;
    let changed = result_of(ask(&api, "PUT", &path, body).await);
    assert_eq!(changed["meta"], json!({"owner": 7}), "metadata is replaced as a whole");
    assert_eq!(changed["recording"], made["recording"], "fields that are not given stay");
    let changed = result_of(ask(&api, "PUT", &path, r#"{"deleteRecordingAfterDays":null}"#).await);
    assert_eq!((&changed["deleteRecordingAfterDays"], &changed["enabled"]), (&Value::Null, &json!(false)));

    assert_eq!(result_of(ask(&api, "DELETE", &path, "").await), "");
    let gone = ask(&api, "GET", &path, "").await;
    assert_eq!((gone.status, error_of(&gone).0), (StatusCode::NOT_FOUND, 10_003));
}

#[tokio::test]
async fn a_list_has_all_inputs_and_no_keys() {
    let api = Api::start().await;
    for _ in 0..101 {
        api.directory.create_input(None, Default::default(), headwater_runtime::clock::now()).await.unwrap();
    }
    let list = result_of(ask(&api, "GET", &format!("{INPUTS}?include_counts=true"), "").await);
    let inputs = list["liveInputs"].as_array().unwrap();
    assert_eq!((inputs.len(), &list["total"]), (102, &json!(102)), "with the one of the configuration");
    assert!(inputs.iter().all(|input| input["rtmps"]["streamKey"] == "xxxxx"));
    let half = inputs[49]["uid"].as_str().unwrap();
    let rest = result_of(ask(&api, "GET", &format!("{INPUTS}?after={half}"), "").await);
    assert_eq!(rest["liveInputs"].as_array().unwrap()[..], inputs[50..]);
}

#[tokio::test]
async fn keys_are_masked_for_tokens_that_may_not_see_them() {
    let api = Api::start().await;
    let token = api.token(&[Scope::InputsRead, Scope::InputsWrite]).await;
    let made = result_of(ask_as(&api, &token, "POST", INPUTS, "{}").await);
    let read = result_of(ask_as(&api, &token, "GET", &path_of(&made), "").await);
    let changed = result_of(ask_as(&api, &token, "PUT", &path_of(&made), "{}").await);
    for input in [made, read, changed] {
        assert_eq!(input["rtmps"], json!({"url": "xxxxx", "streamKey": "xxxxx"}));
    }
}

#[tokio::test]
async fn callers_without_the_right_get_an_authentication_error() {
    let api = Api::start().await;
    let wrong = ask_as(&api, "wrong", "GET", INPUTS, "").await;
    assert_eq!((wrong.status, error_of(&wrong).0), (StatusCode::UNAUTHORIZED, 10_000));
    assert_eq!(wrong.header("www-authenticate"), "Bearer");
    let token = api.token(&[Scope::InputsRead]).await;
    let refused = ask_as(&api, &token, "POST", INPUTS, "{}").await;
    assert_eq!((refused.status, error_of(&refused).0), (StatusCode::FORBIDDEN, 10_000));
}

#[tokio::test]
async fn fields_that_would_keep_viewers_out_are_refused_and_others_are_said_to_be_ignored() {
    let api = Api::start().await;
    let body = r#"{"recording":{"requireSignedURLs":true}}"#;
    let refused = ask(&api, "POST", INPUTS, body).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let (code, message) = error_of(&refused);
    assert!(code == 10_005 && message.starts_with("/recording/requireSignedURLs: "), "{message}");
    let source = &refused.body["errors"][0]["source"];
    assert_eq!(source["pointer"], "/recording/requireSignedURLs");

    let body =
        r#"{"recording":{"requireSignedURLs":false,"allowedOrigins":[],"mode":"off"},"defaultCreator":"me"}"#;
    let made = ask(&api, "POST", INPUTS, body).await;
    assert_eq!(made.body["messages"][0]["message"], "/defaultCreator is not kept.");
    assert_eq!(result_of(made)["recording"], json!({"mode": "off", "timeoutSeconds": 0}));
    let unknown = ask(&api, "POST", INPUTS, r#"{"preferHighLatency":true}"#).await;
    assert!(error_of(&unknown).1.contains("preferHighLatency"), "{}", unknown.body);
}

#[tokio::test]
async fn a_repeated_request_makes_no_second_input() {
    let api = Api::start().await;
    let bearer = format!("Bearer {ROOT}");
    let headers =
        [("authorization", &*bearer), ("content-type", "application/json"), ("idempotency-key", "first")];
    let first = result_of(api.send_to("POST", INPUTS, &headers, "{}").await);
    assert_eq!(result_of(api.send_to("POST", INPUTS, &headers, "{}").await), first);
}
