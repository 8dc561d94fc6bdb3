//! Live inputs: made, listed, read, changed, given new keys, and deleted.

use headwater_directory::Scope;
use headwater_platform::store::testing::Fault;
use headwater_registry::{Registry as _, RegistryEvent};
use headwater_runtime::config::InputMode;
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::{Answer, Api};

const INPUTS: &str = "/live-inputs";

async fn create(api: &Api, body: &str) -> Answer {
    let made = api.ask("POST", INPUTS, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    made
}

fn path_of(made: &Answer) -> String {
    format!("{INPUTS}/{}", made.body["uid"].as_str().unwrap())
}

fn key_of(answer: &Answer) -> &str {
    answer.body["rtmps"]["streamKey"].as_str().unwrap()
}

#[tokio::test]
async fn an_input_is_made_with_its_addresses_and_its_key() {
    let api = Api::start().await;
    let body = json!({
        "meta": {"name": "studio 1"}, "recording": {"mode": "automatic", "timeoutSeconds": 10},
        "deleteRecordingAfterDays": 30, "allowedAddresses": ["192.0.2.0/24"], "expiresUnusedAfter": 600,
        "ladder": ["1280x720@2800k", "640x360@800k"], "dvrWindow": 0,
    });
    let made = create(&api, &body.to_string()).await;
    let uid = made.body["uid"].as_str().unwrap();
    assert_eq!(uid.len(), 32);
    assert_eq!(made.header("location"), format!("/api/v1/live-inputs/{uid}"));
    assert_eq!(made.header("etag"), "\"1\"");
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(&made.body[name], value, "{name}");
    }
    let expected = json!({
        "hls": format!("https://cdn.example/{uid}/live.m3u8"), "dash": format!("https://cdn.example/{uid}/live.mpd"),
        "page": format!("https://cdn.example/{uid}"),
    });
    assert_eq!(made.body["playback"], expected);
    assert_eq!(made.body["thumbnail"], format!("https://cdn.example/{uid}/thumbnail.jpg"));
    assert_eq!(made.body["rtmps"]["url"], "rtmps://live.example:1936/live");
    assert_eq!(made.body["rtmp"]["url"], "rtmp://live.example/live");
    let key = key_of(&made).parse().unwrap();
    assert_eq!(api.directory.find_input(&key).await.unwrap().unwrap().uid.as_str(), uid);
    let read = api.get(&path_of(&made)).await;
    assert_eq!((read.status, &read.body, read.header("etag")), (StatusCode::OK, &made.body, "\"1\""));
    assert_eq!(create(&api, "{}").await.body["enabled"], true);
}

#[tokio::test]
async fn keys_are_masked_for_tokens_that_may_not_see_them() {
    let api = Api::start().await;
    let made = create(&api, "{}").await;
    let token = api.token(&[Scope::InputsRead, Scope::InputsWrite]).await;
    let path = path_of(&made);
    let masked = json!({"url": "xxxxx", "streamKey": "xxxxx"});
    let read = api.ask_as(&token, "GET", &path, "").await.body;
    let list = api.ask_as(&token, "GET", INPUTS, "").await.body["liveInputs"][0].clone();
    let changed = api.ask_as(&token, "PATCH", &path, r#"{"enabled":false}"#).await.body;
    let rotated = api.ask_as(&token, "POST", &format!("{path}/rotate-key"), "").await.body;
    let own = api.ask_as(&token, "POST", INPUTS, "{}").await.body;
    for answer in [read, list, changed, rotated, own] {
        assert_eq!((&answer["rtmps"], &answer["rtmp"]), (&masked, &masked), "{answer}");
        assert!(!answer.to_string().contains(key_of(&made)));
    }
    let now = api.get(&path).await;
    for key in [key_of(&made), key_of(&now)] {
        assert!(key.len() > 5 && !api.logged().contains(key), "a log line has a stream key");
    }
}

#[tokio::test]
async fn the_key_is_the_name_of_the_stream_where_keys_are_no_secrets() {
    let api = Api::start_with(|control| control.input_mode = InputMode::Open).await;
    let made = create(&api, "{}").await;
    assert_eq!(key_of(&made), made.body["uid"].as_str().unwrap());
    let token = api.token(&[Scope::InputsRead]).await;
    assert_eq!(key_of(&api.ask_as(&token, "GET", &path_of(&made), "").await), "xxxxx");
}

#[tokio::test]
async fn fields_that_are_not_accepted_are_named() {
    let api = Api::start().await;
    let made = create(&api, "{}").await;
    let meta = format!(r#"{{"meta":{{"a":"{}"}}}}"#, "a".repeat(20_000));
    for (body, pointers) in [
        (
            r#"{"recording":{"timeoutSeconds":3601},"expiresUnusedAfter":0}"#,
            vec!["/recording/timeoutSeconds", "/expiresUnusedAfter"],
        ),
        (
            r#"{"allowedAddresses":["192.0.2.7","here"],"deleteRecordingAfterDays":0}"#,
            vec!["/deleteRecordingAfterDays", "/allowedAddresses/1"],
        ),
        (
            r#"{"ladder":["1280x720@2800k","720p"],"dvrWindow":86401,"deleteRecordingAfterDays":36501}"#,
            vec!["/deleteRecordingAfterDays", "/dvrWindow", "/ladder/1"],
        ),
        (r#"{"ladder":["640x360@800k","1280x720@2800k"]}"#, vec!["/ladder"]),
        (r#"{"ladder":[]}"#, vec!["/ladder"]),
        (r#"{"recording":{"mode":"sometimes"}}"#, vec!["/recording/mode"]),
        (r#"{"recording":{"hide":true}}"#, vec!["/recording/hide"]),
        (r#"{"streamKey":"mine"}"#, vec!["/streamKey"]),
        (r#"{"enabled":"yes"}"#, vec!["/enabled"]),
        (&*meta, vec!["/meta"]),
    ] {
        for (method, path) in [("POST", INPUTS.to_owned()), ("PATCH", path_of(&made))] {
            let refused = api.ask(method, &path, body).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            assert_eq!(refused.pointers(), pointers, "{body}: {}", refused.body);
        }
    }
    assert_eq!(api.get(&path_of(&made)).await.header("etag"), "\"1\"");
}

#[tokio::test]
async fn a_patch_changes_the_fields_that_it_gives() {
    let api = Api::start().await;
    let made = create(&api, r#"{"meta":{"name":"a","room":"1"},"expiresUnusedAfter":600}"#).await;
    let patch = r#"{"meta":{"name":"b"},"recording":{"mode":"off"},"expiresUnusedAfter":null}"#;
    let changed = api.ask("PATCH", &path_of(&made), patch).await;
    assert_eq!((changed.status, changed.header("etag")), (StatusCode::OK, "\"2\""));
    assert_eq!(changed.body["meta"], json!({"name": "b", "room": "1"}));
    assert_eq!(changed.body["recording"], json!({"mode": "off", "timeoutSeconds": 0}));
    assert_eq!(changed.body["expiresUnusedAfter"], Value::Null);
    assert_eq!(key_of(&changed), key_of(&made));
    let audit = api.audit();
    assert!(audit[1].contains("live-input.changed") && audit[1].contains("token=root"), "{audit:?}");
    assert!(audit[1].contains("room") && audit[1].contains("off"), "{audit:?}");
}

#[tokio::test]
async fn a_change_of_a_stale_input_is_refused() {
    let api = Api::start().await;
    let made = create(&api, "{}").await;
    let path = path_of(&made);
    let rotate = format!("{path}/rotate-key");
    let disable = r#"{"enabled":false}"#;
    assert_eq!(api.ask_with(("if-match", "\"1\""), "PATCH", &path, disable).await.status, StatusCode::OK);
    for (method, path, body) in [("PATCH", &path, disable), ("POST", &rotate, ""), ("DELETE", &path, "")] {
        let stale = api.ask_with(("if-match", "\"1\""), method, path, body).await;
        assert_eq!((stale.status, stale.problem()), (StatusCode::PRECONDITION_FAILED, "stale"), "{method}");
    }
    assert_eq!(api.ask_with(("if-match", "\"2\""), "DELETE", &path, "").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_rotated_key_opens_nothing_any_more() {
    let api = Api::start().await;
    let made = create(&api, "{}").await;
    let rotated = api.ask("POST", &format!("{}/rotate-key", path_of(&made)), "").await;
    assert_eq!(rotated.status, StatusCode::OK);
    assert_ne!(key_of(&rotated), key_of(&made));
    assert!(api.directory.find_input(&key_of(&made).parse().unwrap()).await.unwrap().is_none());
    assert!(api.directory.find_input(&key_of(&rotated).parse().unwrap()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_deleted_input_is_gone() {
    let api = Api::start().await;
    let made = create(&api, "{}").await;
    let path = path_of(&made);
    assert_eq!(api.ask("DELETE", &path, "").await.status, StatusCode::NO_CONTENT);
    for method in ["GET", "DELETE", "PATCH"] {
        let gone = api.ask(method, &path, "{}").await;
        assert_eq!((gone.status, gone.problem()), (StatusCode::NOT_FOUND, "no-input"), "{method}");
    }
    assert_eq!(api.get("/live-inputs/-bad").await.status, StatusCode::NOT_FOUND);
    assert!(api.directory.find_input(&key_of(&made).parse().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn inputs_of_the_configuration_are_listed_among_the_others_and_are_not_changed() {
    let api = Api::start().await;
    for _ in 0..4 {
        create(&api, "{}").await;
    }
    let mut uids = Vec::new();
    let mut path = format!("{INPUTS}?limit=2");
    loop {
        let page = api.get(&path).await.body;
        let inputs = page["liveInputs"].as_array().unwrap();
        assert!(inputs.len() <= 2);
        uids.extend(inputs.iter().map(|input| input["uid"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("{INPUTS}?limit=2&after={next}");
    }
    assert_eq!(uids.len(), 5, "{uids:?}");
    assert!(uids.is_sorted() && uids.contains(&"studio".to_owned()), "{uids:?}");
    let own = api.get("/live-inputs/studio").await;
    assert_eq!(own.body["readOnly"], true);
    assert_eq!(own.body["rtmp"], json!({"url": "xxxxx", "streamKey": "xxxxx"}));
    let rotate = "/live-inputs/studio/rotate-key";
    for (method, path) in
        [("PATCH", "/live-inputs/studio"), ("DELETE", "/live-inputs/studio"), ("POST", rotate)]
    {
        let refused = api.ask(method, path, "{}").await;
        assert_eq!((refused.status, refused.problem()), (StatusCode::CONFLICT, "read-only"), "{method}");
    }
}

#[tokio::test]
async fn services_are_told_of_each_change() {
    let api = Api::start().await;
    let mut events = api.registry.watch();
    let made = create(&api, "{}").await;
    let path = path_of(&made);
    api.ask("PATCH", &path, r#"{"enabled":false}"#).await;
    api.ask("POST", &format!("{path}/rotate-key"), "").await;
    api.ask("DELETE", &path, "").await;
    let uid = made.body["uid"].as_str().unwrap();
    let mut told = 0;
    while told < 4 {
        let event = events.next().await.unwrap();
        told += usize::from(event == RegistryEvent::InputChanged(uid.parse().unwrap()));
    }
}

#[tokio::test]
async fn a_store_that_is_away_is_said_to_be() {
    let api = Api::start().await;
    let made = create(&api, "{}").await;
    api.store.set(Fault::Away);
    for (method, path) in
        [("GET", INPUTS.to_owned()), ("POST", INPUTS.to_owned()), ("DELETE", path_of(&made))]
    {
        let away = api.ask(method, &path, "{}").await;
        assert_eq!(
            (away.status, away.problem()),
            (StatusCode::SERVICE_UNAVAILABLE, "store-away"),
            "{method}"
        );
    }
}
