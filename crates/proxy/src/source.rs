//! Interface between a protocol and the publisher: one publication over any protocol.
//!
//! A protocol enters the proxy by implementing [`Source`] and handing it to [`publish`](crate::publisher::publish) with
//! the key that the publisher named. Keys, routing, timeline, replay, failover and drain are the same for all protocols.

use std::error::Error;
use std::io;

use headwater_media::timeline::Announced;
use headwater_media::{AnnouncedRates, MediaError, SourceMedia};

use crate::refusal::Refusal;

/// Bytes that are read of an encoder that does not wait until it is accepted. More waits in its own buffers.
pub const MAX_READ_AHEAD_BYTES: usize = 512 << 10;

/// Publication, from the request to its end. Until it is accepted, it has no events: what the publisher sends is
/// held back, [`MAX_READ_AHEAD_BYTES`] bytes and one read at least.
pub trait Source: Send {
    /// Lets the publisher go on air, and goes on with what was held back.
    fn accept(&mut self) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Tells a publisher why it is not accepted. The connection is to be closed.
    fn refuse(&mut self, refusal: &Refusal) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Tells a publisher that is not accepted to try again in a moment, in a way in which encoders do. The connection is to be
    /// closed.
    fn defer(&mut self, refusal: &Refusal) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Tells an accepted publisher why it can't stay. The connection is to be closed.
    fn fail(&mut self, refusal: &Refusal) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Asks an accepted publisher to connect again, if its protocol can. Gives whether it was asked; it sends on until
    /// it leaves.
    fn ask_to_leave(&mut self, text: &str) -> impl Future<Output = Result<bool, SourceError>> + Send;

    /// Waits for bytes; gives how many they were. Nothing is lost when it is cancelled.
    /// [`process_input`](Self::process_input) comes after it.
    fn read(&mut self) -> impl Future<Output = Result<usize, SourceError>> + Send;

    /// Makes events of the bytes that were read, and sends what the protocol answers. Nothing is lost when it is
    /// cancelled. A publisher that breaks the protocol here is found by [`end`](Self::end), behind the events before it.
    fn process_input(&mut self) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// Next event; none when more has to be read first, or the source has ended.
    fn next_event(&mut self) -> Option<SourceEvent>;

    /// Description of the source, as far as the encoder has given it by now.
    fn description(&self) -> SourceDescription;

    /// Reason why the source has ended, to be asked when there is no [`next_event`](Self::next_event).
    fn end(&mut self) -> Option<SourceError>;
}

/// Description of a source, as its encoder gives it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceDescription {
    /// Protocol of the connection, such as `rtmps`.
    pub protocol: &'static str,
    /// Name and version of the encoder.
    pub encoder: Option<String>,
    pub announced: AnnouncedRates,
}

/// Event of a publication: media, or its end.
#[derive(Debug)]
pub enum SourceEvent {
    /// Tracks that the publisher is going to send.
    Announced(Announced),
    /// Codec configuration or access unit.
    Media(SourceMedia),
    /// Media that can't be taken: the publisher is sent away for it.
    Unusable(MediaError),
    /// End of the publication. The connection may stay, for another one.
    Unpublished,
}

/// Reason why a source has no more events.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("the encoder closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("the encoder reads nothing")]
    Unread,
    #[error("the encoder broke the protocol: {error}")]
    Protocol {
        error: Box<dyn Error + Send + Sync>,
        /// Refusal that the publisher is told.
        refusal: Refusal,
    },
}
