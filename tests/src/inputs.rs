//! Live inputs of a stack, made by the control API of its origin.

use std::path::Path;

use ::http::StatusCode;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::http;
use crate::stack::{Plan, free_port};

/// Secret that stream keys are sealed under.
const DIRECTORY_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Control API of the only origin of a stack.
pub struct LiveInputs {
    url: String,
}

/// Live input that was made.
#[derive(Clone, Debug)]
pub struct LiveInput {
    pub uid: String,
    pub stream_key: String,
}

impl LiveInputs {
    /// Plan of services with a directory in this folder, and its control API.
    ///
    /// # Errors
    /// When no port is free.
    pub fn plan(plan: Plan, folder: &Path) -> Result<(Plan, Self)> {
        let listen = format!("127.0.0.1:{}", free_port()?);
        let url = format!("http://{listen}/api/v1/live-inputs");
        let plan = plan
            .set("INPUTS_MODE", "keys")
            .set("DIRECTORY_URL", &format!("file://{}", folder.display()))
            .set("DIRECTORY_SECRET", DIRECTORY_SECRET)
            .set("CONTROL_LISTEN", &listen);
        Ok((plan, Self { url }))
    }

    /// Makes a live input.
    ///
    /// # Errors
    /// When the API refuses the settings.
    pub async fn create(&self, settings: &Value) -> Result<LiveInput> {
        let answer = http::send_json("POST", &self.url, settings).await?;
        ensure!(answer.status == StatusCode::CREATED, "{}: {}", answer.status, answer.text());
        let made: Value = serde_json::from_slice(&answer.body)?;
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
        let uid = text(&made["uid"]).context("an input has a uid")?;
        let stream_key = text(&made["rtmp"]["streamKey"]).context("an input has a key")?;
        Ok(LiveInput { uid, stream_key })
    }

    /// Changes settings of a live input by a merge patch (RFC 7396).
    ///
    /// # Errors
    /// When the API refuses the patch.
    pub async fn patch(&self, uid: &str, patch: &Value) -> Result<()> {
        let url = format!("{}/{uid}", self.url);
        http::send_json("PATCH", &url, patch).await?.ok(&url).map(drop)
    }
}
