//! `headwater streams`: streams on air and their publishers, through the control API.

use std::fmt::Write as _;
use std::process::ExitCode;

use headwater_media::StreamId;
use http::Method;
use serde_json::{Value, json};

use crate::control_api::{ApiOptions, ControlApi, run_command};

/// Arguments of `streams`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    options: ApiOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Lists the streams on air: uid, state, begin, viewers at origins, encoder, and what the broadcaster should change
    List,
    /// Prints a stream on air
    Show { uid: StreamId },
    /// Prints the health of a stream's publisher over the last hour
    Health { uid: StreamId },
    /// Ends the publication of a stream; its encoder may come back
    Disconnect {
        uid: StreamId,
        /// Reason that the encoder shows
        #[arg(long)]
        reason: Option<String>,
    },
    /// Blocks a live input: its publisher is ended, and nobody may publish it until it is unblocked
    Block {
        uid: StreamId,
        /// Reason that the encoder shows
        #[arg(long)]
        reason: Option<String>,
    },
    /// Lifts the block of a live input
    Unblock { uid: StreamId },
}

/// Does what the command says, and prints the answer.
pub fn run(arguments: &Arguments) -> ExitCode {
    run_command("streams", perform(arguments))
}

/// Text to print.
async fn perform(arguments: &Arguments) -> anyhow::Result<String> {
    let api = ControlApi::open(&arguments.options)?;
    let give_reason = |reason: &Option<String>| reason.as_ref().map(|reason| json!({ "reason": reason }));
    match &arguments.action {
        Action::List => list_streams(&api).await,
        Action::Show { uid } => api.show(&format!("/streams/{uid}")).await,
        Action::Health { uid } => api.show(&format!("/streams/{uid}/health")).await,
        Action::Disconnect { uid, reason } => {
            let path = format!("/streams/{uid}/disconnect");
            let ended = api.ask(Method::POST, &path, give_reason(reason)).await?;
            Ok(describe_end(uid, "disconnected", &ended))
        }
        Action::Block { uid, reason } => {
            let path = format!("/streams/{uid}/block");
            let ended = api.ask(Method::POST, &path, give_reason(reason)).await?;
            Ok(describe_end(uid, "blocked", &ended))
        }
        Action::Unblock { uid } => {
            api.ask(Method::POST, &format!("/streams/{uid}/unblock"), None).await?;
            Ok(format!("{uid} is not blocked any more\n"))
        }
    }
}

async fn list_streams(api: &ControlApi) -> anyhow::Result<String> {
    let pages = api.list_pages("/streams").await?;
    let streams = pages.iter().filter_map(|page| page["streams"].as_array()).flatten();
    let mut text: String = streams.map(describe_line).collect();
    for server in pages.last().into_iter().flat_map(|page| texts(&page["serversNotHeard"])) {
        writeln!(text, "{server} did not answer: it may have further streams")?;
    }
    Ok(text)
}

/// Line of the list, in columns that tabs part.
fn describe_line(stream: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let viewers = stream["viewersAtOrigins"].as_u64().map_or("-".into(), |viewers| viewers.to_string());
    let warnings = stream["warnings"].as_array().into_iter().flatten();
    let warnings: Vec<_> = warnings.filter_map(|warning| warning["text"].as_str()).collect();
    let columns = [
        text(&stream["uid"]),
        text(&stream["state"]),
        text(&stream["since"]),
        viewers,
        text(&stream["publisher"]["encoder"]),
        warnings.join("; "),
    ];
    format!("{}\n", columns.join("\t").trim_end())
}

/// Outcome of a request to end a publication, and the parties that have not confirmed it.
fn describe_end(uid: &StreamId, done: &str, ended: &Value) -> String {
    let mut text = format!("{uid} is {done}\n");
    for proxy in texts(&ended["proxiesNotConfirmed"]) {
        let _ = writeln!(text, "the proxy at {proxy} has not confirmed yet that its publisher is ended");
    }
    for server in texts(&ended["serversNotHeard"]) {
        let _ = writeln!(text, "the server at {server} did not answer: it may have the stream");
    }
    text
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_encoder_and_what_to_change() {
        let stream = json!({
            "uid": "demo", "state": "live", "since": "2026-11-30T20:00:00.000Z", "viewersAtOrigins": null,
            "publisher": {"encoder": "obs-output module"},
            "warnings": [{"code": "keyframeInterval", "text": "keyframe every 8.3 s: set 2 s in your encoder"}],
        });
        assert_eq!(
            describe_line(&stream),
            "demo\tlive\t2026-11-30T20:00:00.000Z\t-\tobs-output module\t\
             keyframe every 8.3 s: set 2 s in your encoder\n"
        );
        let waiting =
            json!({"uid": "demo", "state": "reconnecting", "viewersAtOrigins": 7, "publisher": null});
        assert_eq!(describe_line(&waiting), "demo\treconnecting\t-\t7\t-\n");
    }

    #[test]
    fn parties_that_have_not_confirmed_are_named() {
        let uid = "demo".parse().unwrap();
        let sure = json!({"proxiesNotConfirmed": [], "serversNotHeard": []});
        assert_eq!(describe_end(&uid, "disconnected", &sure), "demo is disconnected\n");
        let unsure = json!({"proxiesNotConfirmed": ["192.0.2.9"], "serversNotHeard": ["192.0.2.1:7000"]});
        let text = describe_end(&uid, "blocked", &unsure);
        assert!(
            text.contains("the proxy at 192.0.2.9 ") && text.contains("the server at 192.0.2.1:7000 "),
            "{text}"
        );
    }
}
