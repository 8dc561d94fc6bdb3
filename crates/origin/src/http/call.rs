//! Calls: one viewer's request with what the service knows to answer it. A route leads to one of these methods.

use std::net::IpAddr;
use std::time::Duration;

use headwater_hls::LiveObject;
use headwater_media::{RenditionId, StreamId};
use headwater_recordings::Layout;
use http::header::USER_AGENT;
use http::request::Parts;
use tokio::time::timeout;

use super::Service;
use super::handlers::archived::SegmentSource;
use super::handlers::playlist::PlaylistScope;
use super::handlers::{media, page, playlist, recorded, storyboard, thumbnail, utc_timing};
use super::response::answer::Answer;
use super::response::conditions::text;
use super::response::problem::Problem;
use crate::library::Unread;
use crate::mirror::{NoMirror, PlaylistKind};
use crate::thumbnails::Asked;

/// The longest wait of a page for whether its stream is known.
const KNOWN_LIMIT: Duration = Duration::from_secs(1);

/// Result of a handler.
pub(super) type Answered = Result<Answer, Problem>;

/// Request of one viewer.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) service: &'a Service,
    /// Address of the viewer.
    pub(super) from: IpAddr,
    pub(super) request: &'a Parts,
}

impl<'a> Call<'a> {
    pub(super) async fn home_page(self) -> Answered {
        Ok(page::home(&self.service.policy))
    }

    pub(super) async fn player_page(self, stream: StreamId) -> Answered {
        Ok(page::player(&self.service.policy, self.is_known(&stream).await))
    }

    /// The player page below another path, where its relative links would break.
    pub(super) async fn slashed_page(self, stream: StreamId) -> Answered {
        Ok(page::redirect(&format!("../{stream}"), self.query()))
    }

    /// Another name of a resource, by the path that leads there from this one.
    pub(super) async fn other_name(self, path: &'static str) -> Answered {
        Ok(page::redirect(path, self.query()))
    }

    pub(super) async fn asset(self, file: &str) -> Answered {
        page::asset(file, &self.request.headers)
    }

    pub(super) async fn multivariant(self, stream: StreamId, kind: PlaylistKind) -> Answered {
        let awaited = playlist::awaited(self.request);
        let mirror = match awaited {
            Some(until) => self.service.mirrors.find_by(&stream, until).await?,
            None => self.service.mirrors.find(&stream).await?,
        };
        let headers = &self.request.headers;
        match playlist::multivariant(&mirror, kind.clone(), awaited, headers).await {
            Err(Problem::NotLive) => playlist::left(&mirror, kind, headers).ok_or(Problem::NotLive),
            answer => answer,
        }
    }

    /// Players of DASH ask for it again and again, as those of HLS do for media playlists.
    pub(super) async fn presentation(self, stream: StreamId, kind: PlaylistKind) -> Answered {
        let answer = self.multivariant(stream.clone(), kind).await?;
        self.count_viewer(&stream);
        Ok(answer)
    }

    pub(super) async fn media_playlist(
        self,
        stream: StreamId,
        rendition: RenditionId,
        scope: PlaylistScope,
    ) -> Answered {
        let mirror = self.service.mirrors.find(&stream).await?;
        let answer = match playlist::media(&mirror, rendition.clone(), scope, self.request).await {
            Err(Problem::NotLive) if scope == PlaylistScope::Dvr => {
                playlist::left(&mirror, PlaylistKind::Dvr(rendition), &self.request.headers)
                    .ok_or(Problem::NotLive)?
            }
            answer => answer?,
        };
        self.count_viewer(&stream);
        Ok(answer)
    }

    pub(super) async fn live_object(
        self,
        stream: StreamId,
        rendition: RenditionId,
        object: LiveObject,
    ) -> Answered {
        let mirror = self.service.mirrors.find(&stream).await?;
        match media::object(mirror.clone(), &rendition, object, self.request).await {
            Err(problem) if problem.is_absence() => {
                let source = self.segment_source();
                // Boxed, as it is rare: every request that is under way keeps room for this future.
                Box::pin(recorded::archived_object(source, &mirror, &rendition, object, problem)).await
            }
            answer => answer,
        }
    }

    pub(super) async fn utc_timing(self, stream: StreamId) -> Answered {
        Ok(utc_timing::answer(self.service.mirrors.find(&stream).await.ok()).await)
    }

    pub(super) async fn thumbnail(self, stream: StreamId) -> Answered {
        let mirror = self.service.mirrors.find(&stream).await?;
        thumbnail::live(&mirror, self.segment_source(), self.asked(), self.query()).await
    }

    pub(super) async fn recorded_thumbnail(self, layout: Layout) -> Answered {
        thumbnail::recorded(self.segment_source(), &layout, self.asked(), self.query()).await
    }

    pub(super) async fn storyboard(self, stream: StreamId) -> Answered {
        storyboard::live(&*self.service.mirrors.find(&stream).await?).await
    }

    pub(super) async fn recorded_storyboard(self, layout: Layout) -> Answered {
        storyboard::recorded(&self.service.library, &layout).await
    }

    pub(super) async fn storyboard_sheet(self, layout: Layout, number: u32) -> Answered {
        let wanted = (number, self.query());
        storyboard::sheet(self.segment_source(), self.asked(), &layout, wanted).await
    }

    pub(super) async fn recordings(self, stream: StreamId) -> Answered {
        recorded::list(&self.service.library, &stream).await
    }

    pub(super) async fn recorded(self, layout: Layout, resource: recorded::Resource) -> Answered {
        let place = (&self.service.downloads, self.from);
        recorded::answer(&self.service.library, place, &layout, resource, self.request).await
    }

    /// Whether anything is, or was, broadcast under this name; also where that can't be said soon.
    async fn is_known(self, stream: &StreamId) -> bool {
        let is_known = async {
            match self.service.mirrors.find(stream).await {
                Ok(_) | Err(NoMirror::Unknown | NoMirror::Full) => true,
                Err(NoMirror::Nobody) => match self.service.library.list(stream).await {
                    Ok(recordings) => !recordings.is_empty(),
                    Err(unread) => unread == Unread::Away,
                },
            }
        };
        timeout(KNOWN_LIMIT, is_known).await.unwrap_or(true)
    }

    fn count_viewer(self, stream: &StreamId) {
        let agent = text(&self.request.headers, USER_AGENT).unwrap_or_default();
        self.service.viewers.saw(stream, self.from, agent);
    }

    fn segment_source(self) -> SegmentSource<'a> {
        SegmentSource { library: &self.service.library, mirrors: &self.service.mirrors }
    }

    fn asked(self) -> Asked<'a> {
        self.service.thumbnails.asked_from(self.from)
    }

    fn query(self) -> &'a str {
        self.request.uri.query().unwrap_or_default()
    }
}
