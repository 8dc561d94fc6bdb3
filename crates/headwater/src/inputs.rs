//! `headwater inputs`: live inputs, through the control API.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use headwater_media::StreamId;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::timeout;

/// Time for an answer; the API gives up a store that is away after five seconds.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Bytes of an answer, at most: a page of 100 inputs with all the metadata that they may have is half of it.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Arguments of `inputs`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Address of the control API
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    api: Uri,
    /// File that holds the token to show to the API
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
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
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(perform(arguments)));
    match done {
        Ok(text) => {
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "headwater inputs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Text to print.
async fn perform(arguments: &Arguments) -> anyhow::Result<String> {
    let api = Api::new(&arguments.api, arguments.token_file.as_deref())?;
    match &arguments.action {
        Action::List => list_inputs(&api).await,
        Action::Create { name, allowed, expires_unused_after } => {
            let meta = name.as_ref().map_or_else(|| json!({}), |name| json!({ "name": name }));
            let body = json!({
                "meta": meta, "allowedAddresses": allowed, "expiresUnusedAfter": expires_unused_after,
            });
            api.ask(Method::POST, "", Some(body)).await.map(print_json)
        }
        Action::Show { uid } => api.ask(Method::GET, &format!("/{uid}"), None).await.map(print_json),
        Action::RotateKey { uid } => {
            api.ask(Method::POST, &format!("/{uid}/rotate-key"), None).await.map(print_json)
        }
        Action::Delete { uid } => {
            api.ask(Method::DELETE, &format!("/{uid}"), None).await?;
            Ok(format!("{uid} is deleted\n"))
        }
    }
}

async fn list_inputs(api: &Api) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut query = String::new();
    loop {
        let page = api.ask(Method::GET, &query, None).await?;
        for input in page["liveInputs"].as_array().into_iter().flatten() {
            let state = if input["enabled"] == true { "enabled" } else { "disabled" };
            let name = input["meta"]["name"].as_str().unwrap_or_default();
            writeln!(text, "{}\t{state}\t{name}", input["uid"].as_str().unwrap_or_default())?;
        }
        let Some(next) = page["next"].as_str() else { return Ok(text) };
        query = format!("?after={next}");
    }
}

fn print_json(value: Value) -> String {
    format!("{value:#}\n")
}

/// Control API that commands are sent to. No `Debug`: the token is a secret.
struct Api {
    url: String,
    token: Option<String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Api {
    fn new(url: &Uri, token_file: Option<&Path>) -> anyhow::Result<Self> {
        if url.scheme_str() != Some("http") {
            bail!("{url} can't be asked: the address looks like http://127.0.0.1:8081");
        }
        let token = token_file.map(|path| {
            let text = std::fs::read_to_string(path);
            text.with_context(|| format!("the token can't be read from {}", path.display()))
        });
        let token = token.transpose()?.map(|text| text.trim().to_owned());
        let url = url.to_string().trim_end_matches('/').to_owned();
        Ok(Self { url, token, client: Client::builder(TokioExecutor::new()).build_http() })
    }

    /// Answer to a request for a path below the live inputs; null where it has no body.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut request =
            Request::builder().method(method).uri(format!("{}/api/v1/live-inputs{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = timeout(ANSWER_TIME, self.client.request(request)).await;
        let answer = answer.with_context(|| format!("{} does not answer", self.url))?;
        let answer = answer.with_context(|| format!("{} can't be reached", self.url))?;
        let status = answer.status();
        let body = timeout(ANSWER_TIME, Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect()).await;
        let body = body.with_context(|| format!("{} does not end its answer", self.url))?;
        let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?.to_bytes();
        let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() { Ok(value) } else { bail!(describe_problem(status, &value)) }
    }
}

/// Text of a problem, with the fields that were not accepted.
fn describe_problem(status: http::StatusCode, problem: &Value) -> String {
    let part = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let mut text = format!("{status}: {}. {}", part(problem, "title"), part(problem, "detail"));
    for error in problem["errors"].as_array().into_iter().flatten() {
        let _ = write!(text, "\n  {}: {}", part(error, "pointer"), part(error, "detail"));
    }
    text
}

#[cfg(test)]
mod tests;
