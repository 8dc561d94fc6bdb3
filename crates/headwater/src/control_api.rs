//! Control API as commands ask it.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

/// Time for an answer; the API gives up a store that is away after five seconds.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Bytes of an answer, at most: a page of 100 inputs with all the metadata that they may have is half of it.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Options of commands that ask the control API.
#[derive(clap::Args)]
pub struct ApiOptions {
    /// Address of the control API
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    api: Uri,
    /// File that holds the token to show to the API
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Runs a command of this name to its end, and prints its text.
pub fn run_command(name: &str, command: impl Future<Output = anyhow::Result<String>>) -> ExitCode {
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(command));
    match done {
        Ok(text) => {
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "headwater {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Text of a JSON value for people.
pub fn print_json(value: Value) -> String {
    format!("{value:#}\n")
}

/// Control API that commands are sent to. No `Debug`: the token is a secret.
pub struct ControlApi {
    url: String,
    token: Option<String>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl ControlApi {
    /// API of these options.
    ///
    /// # Errors
    /// When the address is none, or the token can't be read.
    pub fn open(options: &ApiOptions) -> anyhow::Result<Self> {
        Self::new(&options.api, options.token_file.as_deref())
    }

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

    /// Resource of a path below `/api/v1`, as text for people.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn show(&self, path: &str) -> anyhow::Result<String> {
        self.ask(Method::GET, path, None).await.map(print_json)
    }

    /// All pages of a list below `/api/v1`, in their order.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub async fn list_pages(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut pages = vec![self.ask(Method::GET, path, None).await?];
        while let Some(next) = pages.last().and_then(|page| page["next"].as_str()) {
            pages.push(self.ask(Method::GET, &format!("{path}?after={next}"), None).await?);
        }
        Ok(pages)
    }

    /// Answer to a request for a path below `/api/v1`; null where it has no body.
    ///
    /// # Errors
    /// When the API does not answer, or refuses, with the reason.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut request = Request::builder().method(method).uri(format!("{}/api/v1{path}", self.url));
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
