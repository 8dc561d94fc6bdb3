//! Work on live inputs, whichever API asks for it.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use headwater_directory::{Directory, DirectoryError, InputSettings, LiveInput, Scope};
use headwater_media::StreamId;
use headwater_runtime::clock;
use headwater_runtime::config::InputMode;
use http::HeaderValue;
use http::header::ETAG;
use serde_json::{Map, Value};
use tracing::warn;

use super::answer::{LiveInputAnswer, LiveInputPage, ShownKey};
use super::settings::LiveInputSettings;
use crate::Shared;
use crate::audit::Change;
use crate::auth::Caller;
use crate::body::read_body;
use crate::idempotency::{self, Begun};
use crate::page::Page;
use crate::precondition::Precondition;
use crate::problem::Problem;
use crate::response::json_response;

/// Attempts of a change that names no expected state, while others change the input too.
const MAX_ATTEMPTS: usize = 5;

/// Change of a live input that is there.
pub(crate) enum InputChange {
    /// Settings of a merge patch (RFC 7396).
    Merge(Map<String, Value>),
    /// Settings that replace those of their names.
    Replace(Map<String, Value>),
    RotateKey,
    Delete,
}

impl InputChange {
    fn event(&self) -> &'static str {
        match self {
            Self::Merge(_) | Self::Replace(_) => "live-input.changed",
            Self::RotateKey => "live-input.key-rotated",
            Self::Delete => "live-input.deleted",
        }
    }
}

/// Outcome of one attempt to change a live input.
enum Attempt {
    /// The input after the change, or before it was deleted.
    Applied(Box<LiveInput>),
    /// Another caller changed the input first.
    Outrun,
}

/// Description of a live input.
pub(crate) struct Described {
    pub(crate) answer: LiveInputAnswer,
    /// Revision of its document; none for an input of the configuration.
    revision: Option<u64>,
}

impl IntoResponse for Described {
    fn into_response(self) -> Response {
        let mut response = json_response(&self.answer);
        let etag = |revision| HeaderValue::from_str(&format!("\"{revision}\"")).expect("digits in quotes");
        response.headers_mut().extend(self.revision.map(|revision| (ETAG, etag(revision))));
        response
    }
}

impl Shared {
    /// Page of all live inputs.
    pub(crate) async fn list_page(
        &self,
        page: &Page<StreamId>,
        key: ShownKey,
    ) -> Result<LiveInputPage, Problem> {
        let control = &self.control;
        let kept = match &control.directory {
            Some(directory) => Some(directory.list_inputs(page.cursor.as_ref(), page.limit).await?),
            None => None,
        };
        let mut page = LiveInputPage::merge(kept, page, &control.file_inputs, &control.public, key);
        page.set_statuses(&self.find_statuses(page.uids()).await);
        Ok(page)
    }

    /// Description of the live input of this name.
    pub(crate) async fn find_input(&self, caller: &Caller, uid: &str) -> Result<Described, Problem> {
        caller.require(Scope::InputsRead)?;
        let uid = parse_uid(uid)?;
        if self.control.file_inputs.contains(&uid) {
            let mut answer = LiveInputAnswer::of_file(&uid, &self.control.public);
            answer.set_status(&self.find_statuses(vec![uid]).await);
            return Ok(Described { answer, revision: None });
        }
        let input = self.input_directory()?.read_input(&uid).await?;
        Ok(self.describe_input(caller, &input).await)
    }

    /// Description of an input, with its stream key if the caller may see that.
    pub(crate) async fn describe_input(&self, caller: &Caller, input: &LiveInput) -> Described {
        let mut answer = LiveInputAnswer::new(input, &self.control.public, self.shown_key(caller));
        answer.set_status(&self.find_statuses(vec![input.uid.clone()]).await);
        Described { answer, revision: Some(input.revision) }
    }

    /// Makes the live input that a request asks for, and audits that. A request that is repeated under its idempotency key
    /// finds the input that it has made, as that is now.
    pub(crate) async fn make_input(
        &self,
        caller: &Caller,
        request: Request,
        parse: impl FnOnce(&[u8]) -> Result<LiveInputSettings, Problem>,
    ) -> Result<LiveInput, Problem> {
        caller.require(Scope::InputsWrite)?;
        let directory = self.directory()?;
        let key = idempotency::key_of(request.headers())?;
        let body = read_body(request).await?;
        let stored = parse(&body)?.check()?;
        let pending = match self.attempts.begin(caller, key, &body)? {
            Begun::First(pending) => pending,
            Begun::Again(uid) => return Ok(directory.read_input(&uid).await?),
        };
        let input = directory.create_input(None, stored, clock::now()).await?;
        pending.finish(&input.uid);
        self.announce(&input.uid).await;
        let change = Change { event: "live-input.created", resource: input.uid.as_str() };
        change.record(caller, None, Some(&input.settings));
        Ok(input)
    }

    /// Changes a live input if it is in the expected state, and audits that. The input is answered as it is afterwards, or
    /// as it was before it was deleted.
    pub(crate) async fn change_input(
        &self,
        caller: &Caller,
        uid: &str,
        precondition: &Precondition,
        change: &InputChange,
    ) -> Result<LiveInput, Problem> {
        let uid = self.parse_changeable(uid)?;
        for _ in 0..MAX_ATTEMPTS {
            let before = self.input_directory()?.read_input(&uid).await?;
            precondition.check(before.revision)?;
            match self.apply_change(&before, change).await? {
                Attempt::Applied(after) => {
                    let left = (!matches!(change, InputChange::Delete)).then_some(&after.settings);
                    let audited = Change { event: change.event(), resource: uid.as_str() };
                    audited.record(caller, Some(&before.settings), left);
                    self.announce(&uid).await;
                    return Ok(*after);
                }
                Attempt::Outrun => {}
            }
        }
        Err(DirectoryError::Changed.into())
    }

    /// Uid of a path, unless it is that of an input of the configuration, which alone changes it.
    pub(crate) fn parse_changeable(&self, text: &str) -> Result<StreamId, Problem> {
        let uid = parse_uid(text)?;
        if self.control.file_inputs.contains(&uid) { Err(Problem::read_only_input()) } else { Ok(uid) }
    }

    /// Applies a change to an input that must still be as it was read.
    async fn apply_change(&self, before: &LiveInput, change: &InputChange) -> Result<Attempt, Problem> {
        let directory = self.input_directory()?;
        let uid = &before.uid;
        let expected = Some(before.revision);
        let current = LiveInputSettings::from(&before.settings);
        let applied = match change {
            InputChange::Merge(patch) => {
                replace_settings(directory, before, &current.merge(patch)?.check()?).await
            }
            InputChange::Replace(fields) => {
                replace_settings(directory, before, &current.replace(fields)?.check()?).await
            }
            InputChange::RotateKey => directory.rotate_key(uid, expected, clock::now()).await,
            InputChange::Delete => directory.delete_input(uid, expected).await.map(|()| before.clone()),
        };
        match applied {
            Ok(after) => Ok(Attempt::Applied(Box::new(after))),
            Err(DirectoryError::Changed) => Ok(Attempt::Outrun),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the services of a changed input. They find it out by themselves where the registry does not answer.
    pub(crate) async fn announce(&self, uid: &StreamId) {
        if let Err(error) = self.control.registry.announce_input(uid).await {
            warn!(%uid, %error, "the registry could not be told of a changed live input: services find it out later");
        }
    }

    pub(super) fn shown_key(&self, caller: &Caller) -> ShownKey {
        match self.control.input_mode {
            _ if !caller.allows(Scope::InputsKeys) => ShownKey::Mask,
            InputMode::Open => ShownKey::StreamName,
            InputMode::Keys => ShownKey::Secret,
        }
    }

    /// Directory for one input: without a directory there is no such input.
    pub(crate) fn input_directory(&self) -> Result<&Directory, Problem> {
        self.control.directory.as_ref().ok_or_else(Problem::no_input)
    }
}

/// Uid of a path; one that can't be is the name of nothing.
fn parse_uid(text: &str) -> Result<StreamId, Problem> {
    text.parse().map_err(|_| Problem::no_input())
}

async fn replace_settings(
    directory: &Directory,
    before: &LiveInput,
    settings: &InputSettings,
) -> Result<LiveInput, DirectoryError> {
    let replace = |current: &mut _| *current = settings.clone();
    directory.change_input(&before.uid, Some(before.revision), clock::now(), replace).await
}
