//! End of a session whose publisher is dismissed.

use std::convert::Infallible;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::timeout;

use crate::broadcast::dismissal::Dismissal;
use crate::broadcast::{Request, Requests, Response, Responses};

/// Longest time in which a proxy ends the call of a publisher that it was told to dismiss; its word is a message on the same
/// call. Media that comes meanwhile is thrown away.
const CALL_END_TIME: Duration = Duration::from_secs(5);

/// Tells the proxy of the dismissal when it comes, whatever the session waits for then.
pub(super) async fn tell_proxy(dismissal: &Dismissal, responses: &Responses) -> Infallible {
    let failure = dismissal.wait_for_reason().await;
    responses.say(Response::Rejected(failure));
    std::future::pending().await
}

/// Waits for the end of the call, where the publisher was dismissed, and confirms the dismissal.
pub(super) async fn wait_for_call_end(dismissal: &Dismissal, requests: &mut Requests) {
    if dismissal.reason().is_none() {
        return;
    }
    let ended = async {
        while let Some(request) = requests.next().await {
            if matches!(request, Ok(Request::End { .. }) | Err(_)) {
                return;
            }
        }
    };
    match timeout(CALL_END_TIME, ended).await {
        Ok(()) => dismissal.confirm(),
        Err(_) => tracing::warn!("the proxy does not end a publisher that was dismissed"),
    }
}
