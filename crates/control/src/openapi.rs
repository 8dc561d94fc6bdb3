//! Description of the API (OpenAPI 3.1), made from the handlers and the bodies that they read and write.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{self, Components, Ref, RefOr, Schema};
use utoipa::{Modify, OpenApi};

use crate::problem::FieldError;
use crate::schema::Problem;
use crate::{live_inputs, moderation, recordings, streams, tokens};

/// Problems that every operation may answer with: no token, a missing scope, too many requests, the store away.
const COMMON_PROBLEMS: [&str; 4] = ["401", "403", "429", "503"];
/// Problems that every operation with a body may answer with: what can't be read, comes too slowly, is too long, is no JSON, or
/// has fields that are not accepted.
const BODY_PROBLEMS: [&str; 5] = ["400", "408", "413", "415", "422"];
const BEARER: &str = "bearer";
const PROBLEM: &str = "Problem";

/// The API with all its operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Headwater control API",
        version = "1",
        description = "Live inputs, streams on air, access tokens and recordings. Errors are application/problem+json (RFC 9457); \
            their detail says what to do."
    ),
    paths(
        live_inputs::list_inputs,
        live_inputs::create_input,
        live_inputs::get_input,
        live_inputs::update_input,
        live_inputs::delete_input,
        live_inputs::rotate_key,
        streams::list_streams,
        streams::get_stream,
        streams::get_health,
        moderation::disconnect_stream,
        moderation::block_stream,
        moderation::unblock_stream,
        recordings::list_recordings,
        recordings::get_recording,
        recordings::delete_recording,
        tokens::create_token,
        tokens::list_tokens,
        tokens::delete_token,
        get_description
    ),
    components(schemas(FieldError), responses(Problem)),
    security(("bearer" = [])),
    modifiers(&Common)
)]
struct Description;

/// This document
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "getDescription",
    tag = "description",
    security(()),
    responses((status = 200, description = "The document.", content_type = "application/json", body = Object)),
)]
pub(crate) async fn get_description() -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=60")];
    let json = serde_json::to_string(&Description::openapi()).expect("the description is JSON");
    (headers, json).into_response()
}

/// Parts of the description that all operations share.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
        open_settings_of_answers(components);
        let operations = document.paths.paths.values_mut().flat_map(|path| {
            [&mut path.get, &mut path.post, &mut path.patch, &mut path.delete].into_iter().flatten()
        });
        operations.filter(|operation| operation.security.is_none()).for_each(add_common_problems);
    }
}

/// Settings take no other fields in a request; in an answer others stand beside them.
fn open_settings_of_answers(components: &mut Components) {
    let settings = components.schemas.get("LiveInputSettings").cloned();
    let answer = components.schemas.get_mut("LiveInputAnswer");
    if let Some((RefOr::T(Schema::Object(mut settings)), RefOr::T(Schema::AllOf(answer)))) =
        settings.zip(answer)
    {
        settings.additional_properties = None;
        answer.items[0] = RefOr::T(Schema::Object(settings));
    }
}

fn add_common_problems(operation: &mut Operation) {
    let of_body = operation.request_body.iter().flat_map(|_| BODY_PROBLEMS);
    for status in of_body.chain(COMMON_PROBLEMS) {
        let problem = RefOr::Ref(Ref::from_response_name(PROBLEM));
        operation.responses.responses.insert(status.into(), problem);
    }
}
