//! Requests of any kind: their size, form, number and id.

use headwater_directory::Scope;
use http::StatusCode;

use crate::api::{Api, ROOT};

const RECORDINGS: &str = "/streams/demo/recordings";
/// Requests after which a caller has surely asked too often, unless each takes 20 ms.
const TOO_MANY_REQUESTS: usize = 5_000;

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_refused() {
    let api = Api::start().await;
    let body = format!(r#"{{"name":"{}","scopes":[]}}"#, "a".repeat(1 << 20));
    let refused = api.ask("POST", "/tokens", &body).await;
    assert_eq!((refused.status, refused.problem()), (StatusCode::PAYLOAD_TOO_LARGE, "too-large"));
}

#[tokio::test]
async fn a_body_is_announced_as_json_and_is_json() {
    let api = Api::start().await;
    let authorization = format!("Bearer {ROOT}");
    let form = [("authorization", &*authorization), ("content-type", "text/plain")];
    let refused = api.send("POST", "/tokens", &form, "{}").await;
    assert_eq!((refused.status, refused.problem()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type"));
    let two = r#"{"name":"a","scopes":["inputs:read"]} {}"#;
    for text in ["", "{", "name=a", two] {
        let refused = api.ask("POST", "/tokens", text).await;
        assert_eq!((refused.status, refused.problem()), (StatusCode::BAD_REQUEST, "not-json"), "{text:?}");
    }
}

#[tokio::test]
async fn a_caller_that_asks_too_often_is_told_when_to_ask_again() {
    let api = Api::start().await;
    let token = api.token(&[Scope::RecordingsRead]).await;
    for _ in 0..TOO_MANY_REQUESTS {
        let answer = api.ask_as(&token, "GET", RECORDINGS, "").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!((answer.problem(), answer.header("retry-after")), ("too-fast", "1"));
            assert_eq!(api.get(RECORDINGS).await.status, StatusCode::OK, "another token has its own number");
            return;
        }
        assert_eq!(answer.status, StatusCode::OK);
    }
    panic!("{TOO_MANY_REQUESTS} requests were answered");
}

#[tokio::test]
async fn invented_tokens_count_for_the_address_that_they_come_from() {
    let api = Api::start().await;
    for number in 0..TOO_MANY_REQUESTS {
        let answer = api.ask_as(&format!("invented-{number}"), "GET", RECORDINGS, "").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return;
        }
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    panic!("{TOO_MANY_REQUESTS} tokens were tried");
}

#[tokio::test]
async fn a_request_is_found_in_the_audit_by_its_id() {
    let api = Api::start().await;
    let body = r#"{"name":"a","scopes":["inputs:read"]}"#;
    let named = api.ask_with(("x-request-id", "my-request.7"), "POST", "/tokens", body).await;
    assert_eq!(named.header("x-request-id"), "my-request.7");
    assert!(api.audit()[0].contains("request=my-request.7"), "{:?}", api.audit());
    let unnamed = api.get(RECORDINGS).await;
    assert_eq!(unnamed.header("x-request-id").len(), 16);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let api = Api::start_with(|control| control.token = None).await;
    let send = async |header| {
        let headers = [header, ("content-type", "application/json")];
        api.send("POST", "/live-inputs", &headers, "{}").await
    };
    let refused = send(("origin", "https://evil.example")).await;
    assert_eq!((refused.status, refused.problem()), (StatusCode::FORBIDDEN, "other-site"));
    let rebound = send(("host", "evil.example")).await;
    assert_eq!((rebound.status, rebound.problem()), (StatusCode::FORBIDDEN, "host-name"));
    assert_eq!(send(("sec-fetch-site", "same-origin")).await.status, StatusCode::CREATED);
    assert_eq!(api.directory.list_inputs(None, 10).await.unwrap().inputs.len(), 1);
}

#[tokio::test]
async fn each_answer_says_how_often_its_caller_may_ask() {
    let api = Api::start().await;
    let answer = api.get("/live-inputs").await;
    assert_eq!(answer.header("ratelimit-policy"), "\"requests\";q=200;w=4");
    assert_eq!(answer.header("ratelimit"), "\"requests\";r=199;t=1");
}

#[tokio::test]
async fn the_page_to_try_the_api_comes_from_here_alone() {
    let api = Api::start().await;
    for file in ["", "swagger-ui-bundle.js", "swagger-ui.css", "swagger-initializer.js"] {
        let answer = api.send("GET", &format!("/docs/{file}"), &[], "").await;
        assert_eq!(answer.status, StatusCode::OK, "{file}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'self'"), "{file}");
    }
}
