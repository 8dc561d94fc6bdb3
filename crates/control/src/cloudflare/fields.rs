//! Fields of Cloudflare's live inputs: some are the same here, some mean nothing, and some promise what can't be kept.

use headwater_media::StreamId;
use headwater_runtime::http::query;
use serde_json::{Map, Value};

use crate::body::from_value;
use crate::live_inputs::LiveInputSettings;
use crate::problem::{FieldError, Problem};

/// Fields that are accepted and not kept.
const IGNORED: [&str; 3] = ["/defaultCreator", "/preferLowLatency", "/recording/hideLiveViewerCount"];
/// Fields that keep viewers out, which an operator would rely on: they are accepted only where they let everybody in.
const REFUSED: [&str; 2] = ["/recording/requireSignedURLs", "/recording/allowedOrigins"];

/// Fields of a request.
pub(super) struct Fields {
    /// Fields that live inputs have here too.
    pub(super) known: Map<String, Value>,
    /// Pointers of the fields that are not kept.
    ignored: Vec<&'static str>,
}

impl Fields {
    /// Sorts the fields of a body; what remains is checked where it is used.
    pub(super) fn check(mut body: Map<String, Value>) -> Result<Self, Problem> {
        let ignored = IGNORED.into_iter().filter(|pointer| take(&mut body, pointer).is_some()).collect();
        let mut errors = Vec::new();
        for pointer in REFUSED {
            if take(&mut body, pointer).is_some_and(|value| !lets_everybody_in(&value)) {
                let detail = "viewers can't be kept out by it: leave it away".into();
                errors.push(FieldError { pointer: pointer.into(), detail });
            }
        }
        if errors.is_empty() { Ok(Self { known: body, ignored }) } else { Err(Problem::bad_fields(errors)) }
    }

    /// Texts about the fields that are not kept.
    pub(super) fn messages(&self) -> Vec<String> {
        self.ignored.iter().map(|pointer| format!("{pointer} is not kept.")).collect()
    }

    /// Settings of a new live input.
    pub(super) fn into_settings(self) -> Result<LiveInputSettings, Problem> {
        from_value(Value::Object(self.known))
    }
}

/// Takes a field out of a body.
fn take(body: &mut Map<String, Value>, pointer: &str) -> Option<Value> {
    let (parent, name) = pointer.rsplit_once('/')?;
    match parent.strip_prefix('/') {
        Some(object) => body.get_mut(object)?.as_object_mut()?.remove(name),
        None => body.remove(name),
    }
}

fn lets_everybody_in(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(origins) => origins.is_empty(),
        _ => false,
    }
}

/// Uid that a list goes on after. Other parameters are Cloudflare's filters, which its programs send and nobody needs here.
pub(super) fn cursor_of(query: Option<&str>) -> Result<Option<StreamId>, Problem> {
    let after = query::pairs(query.unwrap_or_default()).find(|(name, _)| name == "after");
    let cursor = after.map(|(_, uid)| uid.parse()).transpose();
    cursor.map_err(|_| Problem::bad_query("after is the uid that a message of another list names".into()))
}
