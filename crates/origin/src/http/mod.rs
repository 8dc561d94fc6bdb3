//! Requests of viewers and their answers: a path is a [`Route`], which a handler answers.

mod handlers;
mod response;
mod route;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use headwater_media::StreamId;
use headwater_recordings::Layout;
use headwater_runtime::http::Handler;
use http::header::USER_AGENT;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::library::{Library, Unread};
use crate::metrics::Metrics;
use crate::mirror::{Mirrors, NoMirror, PlaylistKind};
use crate::thumbnails::Thumbnails;
use crate::viewers::Viewers;
use handlers::archived::SegmentSource;
pub(crate) use handlers::page::Policy;
use handlers::{media, page, playlist, preflight, recorded, storyboard, thumbnail, utc_timing};
use response::answer::Answer;
pub(crate) use response::body::Body;
pub use response::body::Interrupted;
use response::conditions::text;
pub(crate) use response::downloads::Downloads;
use response::problem::Problem;
use response::problem_page;
use route::{PlaylistScope, Resource, Route};

/// The longest wait of a page for whether its stream is known.
const KNOWN_LIMIT: Duration = Duration::from_secs(1);

/// Answers requests; shared by all connections.
pub(crate) struct Service {
    pub(crate) mirrors: Arc<Mirrors>,
    pub(crate) viewers: Viewers,
    pub(crate) library: Arc<Library>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stills: Thumbnails,
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
    pub(crate) async fn respond<B>(&self, from: IpAddr, mut request: Request<B>) -> Response<Body> {
        let route = Route::parse(request.uri().path());
        let kind = route.as_ref().map_or("other", Route::kind);
        let answer = match *request.method() {
            Method::GET | Method::HEAD => self.answer(from, route, &request).await,
            Method::OPTIONS => Ok(preflight::answer()),
            _ => Err(Problem::Method),
        };
        let answer = answer
            .unwrap_or_else(|problem| problem_page::answer(problem, request.uri().path(), request.headers()));
        let headers = std::mem::take(request.headers_mut());
        let response = answer.respond(request.method(), headers);
        let sent = self.metrics.answered(kind, response.status());
        response.map(|body| body.counted(sent))
    }

    /// The answer of a route's handler. Handlers of rare requests are boxed: every connection keeps room for this future.
    async fn answer<B>(
        &self,
        from: IpAddr,
        route: Option<Route>,
        request: &Request<B>,
    ) -> Result<Answer, Problem> {
        match route.ok_or(Problem::NoRoute)? {
            Route::Home => Ok(page::home(&self.policy)),
            Route::Page(stream) => Ok(page::player(&self.policy, self.is_known(&stream).await)),
            Route::SlashedPage(stream) => Ok(page::without_slash(&stream, query(request))),
            Route::Asset(file) => page::asset(&file, request.headers()),
            Route::Multivariant(stream) => {
                self.multivariant(&stream, PlaylistKind::Multivariant, request).await
            }
            Route::Presentation(stream) => {
                self.presentation(from, &stream, PlaylistKind::Presentation, request).await
            }
            Route::DvrPresentation(stream) => {
                self.presentation(from, &stream, PlaylistKind::DvrPresentation, request).await
            }
            Route::UtcTiming(stream) => Ok(utc_timing::answer(self.mirrors.find(&stream).await.ok()).await),
            Route::Dvr(stream) => self.multivariant(&stream, PlaylistKind::DvrMultivariant, request).await,
            Route::Recordings(stream) => Box::pin(recorded::list(&self.library, &stream)).await,
            Route::Recording(stream, broadcast, what) => {
                let layout = Layout { stream, broadcast };
                let place = (&self.downloads, from);
                Box::pin(recorded::answer(&self.library, place, &layout, what, request)).await
            }
            Route::Thumbnail(stream) => {
                let mirror = self.mirrors.find(&stream).await?;
                Box::pin(thumbnail::live(
                    &mirror,
                    self.segment_source(),
                    self.stills.asked_from(from),
                    query(request),
                ))
                .await
            }
            Route::Storyboard(stream) => {
                let mirror = self.mirrors.find(&stream).await?;
                Box::pin(storyboard::live(&mirror)).await
            }
            Route::RecordedThumbnail(stream, broadcast) => {
                let layout = Layout { stream, broadcast };
                Box::pin(thumbnail::recorded(
                    self.segment_source(),
                    &layout,
                    self.stills.asked_from(from),
                    query(request),
                ))
                .await
            }
            Route::RecordedStoryboard(stream, broadcast) => {
                Box::pin(storyboard::recorded(&self.library, &Layout { stream, broadcast })).await
            }
            Route::Sheet(stream, broadcast, number) => {
                let layout = Layout { stream, broadcast };
                let wanted = (number, query(request));
                Box::pin(storyboard::sheet(
                    self.segment_source(),
                    self.stills.asked_from(from),
                    &layout,
                    wanted,
                ))
                .await
            }
            Route::Rendition(stream, rendition, Resource::Playlist(scope)) => {
                let mirror = self.mirrors.find(&stream).await?;
                let answer = match playlist::media(&mirror, rendition.clone(), scope, request).await {
                    Err(Problem::NotLive) if scope == PlaylistScope::Dvr => {
                        playlist::left(&mirror, PlaylistKind::Dvr(rendition), request.headers())
                            .ok_or(Problem::NotLive)?
                    }
                    answer => answer?,
                };
                self.viewers.saw(&stream, from, text(request.headers(), USER_AGENT).unwrap_or_default());
                Ok(answer)
            }
            Route::Rendition(stream, rendition, Resource::Object(object)) => {
                let mirror = self.mirrors.find(&stream).await?;
                match media::object(mirror.clone(), &rendition, object, request).await {
                    Err(problem) if problem.is_absence() => {
                        Box::pin(recorded::archived_object(
                            self.segment_source(),
                            &mirror,
                            &rendition,
                            object,
                            problem,
                        ))
                        .await
                    }
                    answer => answer,
                }
            }
        }
    }

    /// Whether anything is, or was, broadcast under this name; also where that can't be said soon.
    async fn is_known(&self, stream: &StreamId) -> bool {
        let is_known = async {
            match self.mirrors.find(stream).await {
                Ok(_) | Err(NoMirror::Unknown | NoMirror::Full) => true,
                Err(NoMirror::Nobody) => match self.library.list(stream).await {
                    Ok(recordings) => !recordings.is_empty(),
                    Err(unread) => unread == Unread::Away,
                },
            }
        };
        Box::pin(timeout(KNOWN_LIMIT, is_known)).await.unwrap_or(true)
    }

    fn segment_source(&self) -> SegmentSource<'_> {
        SegmentSource { library: &self.library, mirrors: &self.mirrors }
    }

    async fn multivariant<B>(
        &self,
        stream: &StreamId,
        which: PlaylistKind,
        request: &Request<B>,
    ) -> Result<Answer, Problem> {
        let awaited = playlist::awaited(request);
        let mirror = match awaited {
            Some(until) => self.mirrors.find_by(stream, until).await?,
            None => self.mirrors.find(stream).await?,
        };
        match playlist::multivariant(&mirror, which.clone(), awaited, request.headers()).await {
            Err(Problem::NotLive) => {
                playlist::left(&mirror, which, request.headers()).ok_or(Problem::NotLive)
            }
            answer => answer,
        }
    }

    /// Players of DASH ask for it again and again, as those of HLS do for media playlists.
    async fn presentation<B>(
        &self,
        from: IpAddr,
        stream: &StreamId,
        which: PlaylistKind,
        request: &Request<B>,
    ) -> Result<Answer, Problem> {
        let answer = self.multivariant(stream, which, request).await?;
        self.viewers.saw(stream, from, text(request.headers(), USER_AGENT).unwrap_or_default());
        Ok(answer)
    }
}

fn query<B>(request: &Request<B>) -> &str {
    request.uri().query().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that a connection keeps for the answer to a request.
    fn room<F>(_: impl FnOnce(&'static Service, IpAddr, Request<()>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_answer_takes_little_room_in_each_connection() {
        let room = room(|service, from, request| service.respond(from, request));
        assert!(room <= 3_072, "{room} bytes");
    }
}
