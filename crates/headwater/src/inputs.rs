//! `headwater inputs`: live inputs, through the control API.

use std::fmt::Write as _;
use std::process::ExitCode;

use headwater_media::StreamId;
use http::Method;
use serde_json::json;

use crate::control_api::{ApiOptions, ControlApi, print_json, run_command};

/// Arguments of `inputs`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    options: ApiOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Lists the live inputs: uid, whether it is enabled, and its name
    List,
    /// Makes a live input and prints it, with its stream key if the token may see that
    Create {
        /// Name by which people know the input
        #[arg(long)]
        name: Option<String>,
        /// Network or address that may publish; once for each
        #[arg(long = "allow", value_name = "NETWORK")]
        allowed: Vec<String>,
        /// Seconds without a publisher after which the stream key stops working
        #[arg(long, value_name = "SECONDS")]
        expires_unused_after: Option<u32>,
    },
    /// Prints a live input
    Show { uid: StreamId },
    /// Gives a live input a new stream key, and prints it; the old one opens nothing any more
    RotateKey { uid: StreamId },
    /// Deletes a live input
    Delete { uid: StreamId },
}

/// Does what the command says, and prints the answer.
pub fn run(arguments: &Arguments) -> ExitCode {
    run_command("inputs", perform(arguments))
}

/// Text to print.
async fn perform(arguments: &Arguments) -> anyhow::Result<String> {
    let api = ControlApi::open(&arguments.options)?;
    match &arguments.action {
        Action::List => list_inputs(&api).await,
        Action::Create { name, allowed, expires_unused_after } => {
            let meta = name.as_ref().map_or_else(|| json!({}), |name| json!({ "name": name }));
            let body = json!({
                "meta": meta, "allowedAddresses": allowed, "expiresUnusedAfter": expires_unused_after,
            });
            api.ask(Method::POST, "/live-inputs", Some(body)).await.map(print_json)
        }
        Action::Show { uid } => api.show(&format!("/live-inputs/{uid}")).await,
        Action::RotateKey { uid } => {
            api.ask(Method::POST, &format!("/live-inputs/{uid}/rotate-key"), None).await.map(print_json)
        }
        Action::Delete { uid } => {
            api.ask(Method::DELETE, &format!("/live-inputs/{uid}"), None).await?;
            Ok(format!("{uid} is deleted\n"))
        }
    }
}

async fn list_inputs(api: &ControlApi) -> anyhow::Result<String> {
    let pages = api.list_pages("/live-inputs").await?;
    let inputs = pages.iter().filter_map(|page| page["liveInputs"].as_array()).flatten();
    let mut text = String::new();
    for input in inputs {
        let state = if input["enabled"] == true { "enabled" } else { "disabled" };
        let name = input["meta"]["name"].as_str().unwrap_or_default();
        writeln!(text, "{}\t{state}\t{name}", input["uid"].as_str().unwrap_or_default())?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
