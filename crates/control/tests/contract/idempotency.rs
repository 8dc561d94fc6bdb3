//! Requests that are repeated under an idempotency key.

use std::time::Duration;

use headwater_directory::Scope;
use headwater_platform::store::testing::Fault;
use http::StatusCode;

use crate::api::Api;

const INPUTS: &str = "/live-inputs";
const KEY: (&str, &str) = ("idempotency-key", "8e03978e-40d5");

async fn count_inputs(api: &Api) -> usize {
    api.directory.list_inputs(None, 100).await.unwrap().inputs.len()
}

#[tokio::test]
async fn a_repeated_request_makes_no_second_input() {
    let api = Api::start().await;
    let first = api.ask_with(KEY, "POST", INPUTS, "{}").await;
    let again = api.ask_with(KEY, "POST", INPUTS, "{}").await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &first.body));
    assert_eq!(count_inputs(&api).await, 1);
    let other = api.ask_with(KEY, "POST", INPUTS, r#"{"enabled":false}"#).await;
    assert_eq!((other.status, other.problem()), (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused"));
    let token = api.token(&Scope::ALL).await;
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json"), KEY];
    let foreign = api.send("POST", INPUTS, &headers, "{}").await;
    assert_ne!(foreign.body["uid"], first.body["uid"], "a key belongs to its caller");
    let bad = api.ask_with(("idempotency-key", "a b"), "POST", INPUTS, "{}").await;
    assert_eq!((bad.status, bad.problem()), (StatusCode::BAD_REQUEST, "idempotency-key"));
}

#[tokio::test]
async fn a_request_that_failed_may_be_repeated() {
    let api = Api::start().await;
    api.store.set(Fault::Away);
    let failed = api.ask_with(KEY, "POST", INPUTS, "{}").await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
    api.store.set(Fault::None);
    assert_eq!(api.ask_with(KEY, "POST", INPUTS, "{}").await.status, StatusCode::CREATED);
    assert_eq!(count_inputs(&api).await, 1);
}

#[tokio::test]
async fn a_request_in_flight_is_not_made_twice() {
    let api = Api::start().await;
    api.store.set(Fault::Slow(Duration::from_millis(500)));
    let ask = || api.ask_with(KEY, "POST", INPUTS, "{}");
    let (first, second) = tokio::join!(ask(), ask());
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::CREATED, StatusCode::CONFLICT]);
    let refused = if first.status == StatusCode::CONFLICT { first } else { second };
    assert_eq!((refused.problem(), refused.header("retry-after")), ("in-flight", "1"));
}
