//! RTMP as a [`Source`]: one publish request on an encoder's connection, and its media.

use headwater_media::timeline::Announced;
use headwater_media::{AnnouncedRates, FlvReader, MediaError, SourceMedia};
use headwater_rtmp::{Event, Metadata, PublishRequest, Rejection, StatusCode};

use crate::refusal::Refusal;
use crate::source::{Source, SourceDescription, SourceError, SourceEvent};

use super::RtmpConnection;
use super::status::rejection_of;

/// Publication on an RTMP connection.
pub struct RtmpSource<'a> {
    connection: &'a mut RtmpConnection,
    /// Request, until it is answered.
    request: Option<PublishRequest>,
    reader: FlvReader,
    description: SourceDescription,
}

impl<'a> RtmpSource<'a> {
    /// Publication that this request asks for over a connection of this protocol.
    pub fn new(connection: &'a mut RtmpConnection, request: PublishRequest, protocol: &'static str) -> Self {
        let encoder = request.encoder.clone();
        let description = SourceDescription { protocol, encoder, ..SourceDescription::default() };
        Self { connection, request: Some(request), reader: FlvReader::default(), description }
    }

    /// Takes what the encoder says of itself and its media: more than `connect` says as a rule, where `flashVer` is a
    /// player's name of old.
    fn read_metadata(&mut self, metadata: &Metadata) {
        let Metadata { frame_rate, video_kbps, encoder, .. } = metadata;
        if encoder.is_some() {
            self.description.encoder.clone_from(encoder);
        }
        let video_bitrate = video_kbps.map(|kilobits| u64::from(kilobits) * 1_000);
        self.description.announced = AnnouncedRates { frame_rate: *frame_rate, video_bitrate };
    }
}

impl Source for RtmpSource<'_> {
    async fn accept(&mut self) -> Result<(), SourceError> {
        let Some(request) = self.request.take() else { return Ok(()) };
        self.connection.accept(request).await
    }

    async fn refuse(&mut self, refusal: &Refusal) -> Result<(), SourceError> {
        let Some(request) = self.request.take() else { return Ok(()) };
        let rejection = rejection_of(refusal);
        tracing::info!(code = %rejection.code, description = rejection.description, "publish refused");
        self.connection.reject(request, rejection).await
    }

    /// OBS tries again only when it has lost a publication that was accepted: after a refusal of its first one it gives up,
    /// `Denied` included (OBS 29, "failed: -3").
    async fn defer(&mut self, refusal: &Refusal) -> Result<(), SourceError> {
        self.accept().await?;
        let rejection = Rejection::new(StatusCode::Failed, refusal.text.clone());
        tracing::info!(code = %rejection.code, description = rejection.description, "publish put off");
        self.connection.fail(&rejection).await
    }

    async fn fail(&mut self, refusal: &Refusal) -> Result<(), SourceError> {
        self.connection.fail(&rejection_of(refusal)).await
    }

    /// Enhanced RTMP v2, § "Reconnect Request".
    async fn ask_to_leave(&mut self, text: &str) -> Result<bool, SourceError> {
        self.connection.request_reconnect(text).await
    }

    async fn read(&mut self) -> Result<usize, SourceError> {
        self.connection.read().await
    }

    async fn process_input(&mut self) -> Result<(), SourceError> {
        self.connection.process_input().await
    }

    fn next_event(&mut self) -> Option<SourceEvent> {
        loop {
            match self.connection.next_event()? {
                Event::Metadata(metadata) => {
                    self.read_metadata(&metadata);
                    let announced = Announced::new(metadata.video, metadata.audio);
                    return Some(SourceEvent::Announced(announced));
                }
                Event::Video { timestamp, payload } => {
                    if let Some(event) = media_event(self.reader.video(timestamp, &payload)) {
                        return Some(event);
                    }
                }
                Event::Audio { timestamp, payload } => {
                    if let Some(event) = media_event(self.reader.audio(timestamp, &payload)) {
                        return Some(event);
                    }
                }
                Event::Unpublish => return Some(SourceEvent::Unpublished),
                Event::SecondStreamRefused => {
                    tracing::info!(
                        "a second stream on this connection was refused; what it sends there is dropped"
                    );
                }
                Event::Publish(_) | Event::PlayRefused | Event::AppRefused | Event::ClientRefused => {}
            }
        }
    }

    fn description(&self) -> SourceDescription {
        self.description.clone()
    }

    fn end(&mut self) -> Option<SourceError> {
        self.connection.end()
    }
}

/// None where the message holds nothing to show.
fn media_event(read: Result<Option<SourceMedia>, MediaError>) -> Option<SourceEvent> {
    read.map_or_else(|error| Some(SourceEvent::Unusable(error)), |media| media.map(SourceEvent::Media))
}

#[cfg(test)]
mod tests {
    use headwater_rtmp::Limits;

    use crate::source::MAX_READ_AHEAD_BYTES;

    #[test]
    fn a_session_holds_back_twice_what_is_read_ahead() {
        assert!(Limits::default().held_back >= 2 * MAX_READ_AHEAD_BYTES);
    }
}
