//! Access tokens: made, shown once, recognised, and refused.

use headwater_directory::Scope;
use headwater_media::UnixMillis;
use headwater_platform::store::testing::Fault;
use http::StatusCode;
use serde_json::json;

use crate::api::{Api, ROOT};

const TOKENS: &str = "/tokens";
const RECORDINGS: &str = "/streams/demo/recordings";

#[tokio::test]
async fn a_token_is_shown_once_and_opens_what_its_scopes_say() {
    let api = Api::start().await;
    let body = r#"{"name":"dashboard","scopes":["recordings:read"],"expiresIn":3600}"#;
    let made = api.ask("POST", TOKENS, body).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let text = made.body["token"].as_str().unwrap();
    assert!(made.body["expires"].as_str() > made.body["created"].as_str());
    assert_eq!(api.ask_as(text, "GET", RECORDINGS, "").await.status, StatusCode::OK);
    let refused = api.ask_as(text, "DELETE", &format!("{RECORDINGS}/x"), "").await;
    assert_eq!((refused.status, refused.problem()), (StatusCode::FORBIDDEN, "scope"));
    assert!(refused.body["detail"].as_str().unwrap().contains("recordings:write"));
    let list = api.get(TOKENS).await;
    assert_eq!(list.body["tokens"][0]["id"], made.body["id"]);
    assert_eq!(list.body["tokens"][0]["token"], json!(null));
    let id = made.body["id"].as_str().unwrap();
    assert!(api.audit()[0].contains("token=root") && api.audit()[0].contains(id), "{:?}", api.audit());
    let secret = text.rsplit('_').next().unwrap();
    assert!(!api.logged().contains(secret));
}

#[tokio::test]
async fn a_deleted_token_is_refused_at_once() {
    let api = Api::start().await;
    let token = api.token(&[Scope::RecordingsRead]).await;
    assert_eq!(api.ask_as(&token, "GET", RECORDINGS, "").await.status, StatusCode::OK);
    let id = token.split('_').nth(1).unwrap();
    assert_eq!(api.ask("DELETE", &format!("{TOKENS}/{id}"), "").await.status, StatusCode::NO_CONTENT);
    let refused = api.ask_as(&token, "GET", RECORDINGS, "").await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (StatusCode::UNAUTHORIZED, "Bearer"));
    let again = api.ask("DELETE", &format!("{TOKENS}/{id}"), "").await;
    assert_eq!((again.status, again.problem()), (StatusCode::NOT_FOUND, "no-token"));
}

#[tokio::test]
async fn wrong_and_expired_tokens_open_nothing() {
    let api = Api::start().await;
    let good = api.token(&Scope::ALL).await;
    let expired = api.token_until(&Scope::ALL, Some(UnixMillis(1))).await;
    let other = format!("{}{}", &good[..good.len() - 64], "0".repeat(64));
    for wrong in ["", "hwt_x_y", &ROOT[1..], &format!("{ROOT}s"), &expired, &other] {
        assert_eq!(
            api.ask_as(wrong, "GET", RECORDINGS, "").await.status,
            StatusCode::UNAUTHORIZED,
            "{wrong}"
        );
    }
    assert_eq!(api.send("GET", RECORDINGS, &[], "").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(api.ask_as(&good, "GET", RECORDINGS, "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_cannot_be_looked_up_is_refused_for_the_time_being() {
    let api = Api::start().await;
    let token = api.token(&Scope::ALL).await;
    api.store.set(Fault::Away);
    let refused = api.ask_as(&token, "GET", RECORDINGS, "").await;
    assert_eq!((refused.status, refused.problem()), (StatusCode::SERVICE_UNAVAILABLE, "store-away"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(api.get(RECORDINGS).await.status, StatusCode::OK, "the settings' token needs no store");
    api.store.set(Fault::None);
    assert_eq!(api.ask_as(&token, "GET", RECORDINGS, "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_that_is_used_often_is_looked_up_seldom() {
    let api = Api::start().await;
    let token = api.token(&[Scope::RecordingsRead]).await;
    api.ask_as(&token, "GET", RECORDINGS, "").await;
    let requests = api.store.requests();
    for _ in 0..20 {
        assert_eq!(api.ask_as(&token, "GET", RECORDINGS, "").await.status, StatusCode::OK);
    }
    assert!(api.store.requests() <= requests + 1, "one more when the first look-up has become old");
}

#[tokio::test]
async fn a_token_gives_no_right_that_its_maker_lacks() {
    let api = Api::start().await;
    let maker = api.token(&[Scope::TokensWrite, Scope::InputsRead]).await;
    let more = api.ask_as(&maker, "POST", TOKENS, r#"{"name":"a","scopes":["inputs:read","inputs:keys"]}"#);
    let more = more.await;
    assert_eq!(more.status, StatusCode::FORBIDDEN);
    assert!(more.body["detail"].as_str().unwrap().contains("inputs:keys"));
    let less = api.ask_as(&maker, "POST", TOKENS, r#"{"name":"a","scopes":["inputs:read"]}"#).await;
    assert_eq!(less.status, StatusCode::CREATED);
}

#[tokio::test]
async fn fields_that_are_not_accepted_are_named() {
    let api = Api::start().await;
    for (body, pointers) in [
        (r#"{"name":"","scopes":[],"expiresIn":0}"#, vec!["/name", "/scopes", "/expiresIn"]),
        (r#"{"name":"a","scopes":["inputs:read"],"extra":1}"#, vec!["/extra"]),
        (r#"{"name":"a","scopes":["inputs:read","all"]}"#, vec!["/scopes/1"]),
        (r#"{"name":7,"scopes":["inputs:read"]}"#, vec!["/name"]),
        (r#"{"name":"a"}"#, vec![""]),
    ] {
        let refused = api.ask("POST", TOKENS, body).await;
        assert_eq!((refused.status, refused.problem()), (StatusCode::UNPROCESSABLE_ENTITY, "fields"));
        assert_eq!(refused.pointers(), pointers, "{body}: {}", refused.body);
    }
}

#[tokio::test]
async fn tokens_are_listed_in_pages() {
    let api = Api::start().await;
    for _ in 0..3 {
        api.token(&[Scope::InputsRead]).await;
    }
    let first = api.get("/tokens?limit=2").await;
    let next = first.body["next"].as_str().unwrap();
    let second = api.get(&format!("/tokens?limit=2&after={next}")).await;
    assert_eq!(first.body["tokens"].as_array().unwrap().len(), 2);
    assert_eq!(second.body["tokens"].as_array().unwrap().len(), 1);
    assert_eq!(second.body["next"], json!(null));
}

#[tokio::test]
async fn without_a_directory_there_are_no_tokens() {
    let api = Api::start_with(|control| control.directory = None).await;
    let token = api.token(&Scope::ALL).await;
    assert_eq!(api.ask_as(&token, "GET", RECORDINGS, "").await.status, StatusCode::UNAUTHORIZED);
    let list = api.get(TOKENS).await;
    assert_eq!((list.status, list.problem()), (StatusCode::NOT_FOUND, "no-directory"));
}

#[tokio::test]
async fn an_api_without_a_token_asks_for_none_and_refuses_wrong_ones() {
    let api = Api::start_with(|control| control.token = None).await;
    assert_eq!(api.send("GET", RECORDINGS, &[], "").await.status, StatusCode::OK);
    assert_eq!(api.ask_as("wrong", "GET", RECORDINGS, "").await.status, StatusCode::UNAUTHORIZED);
}
