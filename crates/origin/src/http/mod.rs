//! Requests of viewers and their answers: a path leads to a [`Route`], whose handler answers.

mod call;
mod handlers;
mod response;
mod route;

use std::net::IpAddr;
use std::sync::Arc;

use headwater_runtime::http::Handler;
use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;

use crate::library::Library;
use crate::metrics::Metrics;
use crate::mirror::Mirrors;
use crate::thumbnails::Thumbnails;
use crate::viewers::Viewers;
use call::{Answered, Call};
pub(crate) use handlers::page::Policy;
use handlers::preflight;
pub(crate) use response::body::Body;
pub use response::body::Interrupted;
pub(crate) use response::downloads::Downloads;
use response::problem::Problem;
use response::problem_page;
use route::Route;

/// Answers requests; shared by all connections.
pub(crate) struct Service {
    pub(crate) mirrors: Arc<Mirrors>,
    pub(crate) viewers: Viewers,
    pub(crate) library: Arc<Library>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) thumbnails: Thumbnails,
    pub(crate) policy: Policy,
    pub(crate) downloads: Downloads,
}

impl Handler for Service {
    type Body = Body;

    async fn handle(&self, from: IpAddr, request: Request<Incoming>) -> Response<Body> {
        self.respond(from, request).await
    }

    fn connection_opened(&self) -> impl Send + 'static {
        self.metrics.connections.enter()
    }
}

impl Service {
    /// The response to a request from this address. A request's body is never read.
    pub(crate) async fn respond<B>(&self, from: IpAddr, request: Request<B>) -> Response<Body> {
        // The body is held, unread, until the answer is there.
        let (request, _unread_body) = request.into_parts();
        let (label, answer) = self.answer(from, &request).await;
        let answer = answer
            .unwrap_or_else(|problem| problem_page::answer(problem, request.uri.path(), &request.headers));
        let response = answer.respond(&request.method, request.headers);
        let sent = self.metrics.answered(label, response.status());
        response.map(|body| body.counted(sent))
    }

    /// Label of the route that a request names, for metrics, and the answer.
    async fn answer(&self, from: IpAddr, request: &Parts) -> (&'static str, Answered) {
        let route = Route::find(Call { service: self, from, request });
        let label = route.as_ref().map_or("other", |route| route.label);
        let answer = match (&request.method, route) {
            (&Method::OPTIONS, _) => Ok(preflight::answer()),
            (&Method::GET | &Method::HEAD, Some(route)) => route.answer.await,
            (&Method::GET | &Method::HEAD, None) => Err(Problem::NoRoute),
            _ => Err(Problem::Method),
        };
        (label, answer)
    }
}

#[cfg(test)]
mod tests {
    use headwater_hls::LiveObject;
    use headwater_media::{RenditionId, StreamId};

    use super::handlers::playlist::PlaylistScope;
    use super::*;

    /// Bytes of the future that a function makes of `T`.
    fn room<T, F>(_: impl FnOnce(T) -> F) -> usize {
        size_of::<F>()
    }

    type Named = (Call<'static>, StreamId, RenditionId);

    #[test]
    fn an_answer_takes_little_room_in_each_connection() {
        let idle = room(|(service, request): (&'static Service, Request<()>)| {
            service.respond(IpAddr::from([192, 0, 2, 1]), request)
        });
        let playlist = room(|(call, stream, rendition): Named| {
            call.media_playlist(stream, rendition, PlaylistScope::Window)
        });
        let object = room(|((call, stream, rendition), object): (Named, LiveObject)| {
            call.live_object(stream, rendition, object)
        });
        // A connection keeps the first one always, and one of the others while its request waits.
        assert!(idle <= 1_536, "{idle} bytes");
        assert!(idle + playlist.max(object) <= 3_072, "{idle} + {playlist} or {object} bytes");
    }
}
