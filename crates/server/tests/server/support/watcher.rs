//! An origin that watches.

use headwater_hls::LiveWindow;
use headwater_media::{MediaEvent, Opening, Record};
use headwater_wire::WatchMessage;
use headwater_wire::v2;
use headwater_wire::v2::delivery_client::DeliveryClient;
use tonic::{Code, Status, Streaming};

use super::{TestServer, eventually, within};

pub struct Watcher {
    /// As it was when the watch began.
    pub opening: Opening,
    pub window: LiveWindow,
    /// Segments that can be fetched from the store.
    pub stored: Vec<u64>,
    caught_up: bool,
    events: Streaming<v2::MediaEvent>,
}

/// Media of a chunk: the `mdat` behind its `moof`.
pub fn payload(chunk: &[u8]) -> &[u8] {
    let moof = u32::from_be_bytes(chunk[..4].try_into().unwrap()) as usize;
    assert_eq!((&chunk[4..8], &chunk[moof + 4..moof + 8]), (&b"moof"[..], &b"mdat"[..]));
    &chunk[moof + 8..]
}

impl Watcher {
    /// Watches a stream as soon as it is on air.
    pub async fn join(server: &TestServer, stream: &str) -> Self {
        let mut client = DeliveryClient::new(server.channel.clone());
        let watch = eventually("the stream is on air", async || {
            match client.watch(v2::WatchRequest { stream: stream.into() }).await {
                Ok(watch) => Some(watch.into_inner()),
                Err(status) if status.code() == Code::NotFound => None,
                Err(status) => panic!("{status}"),
            }
        });
        let mut events = watch.await;
        let first = events.message().await.unwrap().unwrap();
        let Ok(WatchMessage::Opening(opening)) = first.try_into() else { panic!("no opening") };
        Self {
            window: LiveWindow::new(opening.clone()),
            opening,
            stored: Vec::new(),
            caught_up: false,
            events,
        }
    }

    /// Follows until the window is so.
    pub async fn until(&mut self, what: &str, reached: impl Fn(&LiveWindow) -> bool) {
        let follow = async {
            while !reached(&self.window) {
                assert!(self.follow().await.unwrap(), "the watch ended");
            }
        };
        within(what, follow).await;
    }

    /// Follows until so many segments are whole everywhere.
    pub async fn segments(&mut self, count: u64) {
        let next = self.opening.first_sequence.0 + count;
        self.until("the segments", |window| window.committed().is_some_and(|last| last.0 + 1 >= next)).await;
    }

    /// Follows until the watch ends.
    pub async fn until_it_ends(&mut self) -> Result<(), Status> {
        within("the watch ends", async {
            while self.follow().await? {}
            Ok(())
        })
        .await
    }

    /// Follows until the server says that the window as it was has come.
    pub async fn catch_up(&mut self) {
        let follow = async {
            while !self.caught_up {
                assert!(self.follow().await.unwrap(), "the watch ended");
            }
        };
        within("all that there was", follow).await;
    }

    /// Follows until this segment can be fetched from the store.
    pub async fn until_stored(&mut self, sequence: u64) {
        let follow = async {
            while !self.stored.contains(&sequence) {
                assert!(self.follow().await.unwrap(), "the watch ended");
            }
        };
        within("the stored segment", follow).await;
    }

    /// Takes one message; false at the end.
    async fn follow(&mut self) -> Result<bool, Status> {
        let Some(event) = self.events.message().await? else { return Ok(false) };
        match event.try_into() {
            Ok(WatchMessage::Event(event)) => self.apply(&event),
            Ok(WatchMessage::CaughtUp) if !self.caught_up => self.caught_up = true,
            Ok(WatchMessage::StoredFrom { .. }) => self.stored.clear(),
            Ok(WatchMessage::Stored(Record::Period(_))) => {}
            Ok(WatchMessage::Stored(Record::Segment(segment))) => self.stored.push(segment.sequence.0),
            other => panic!("{other:?} does not come here"),
        }
        Ok(true)
    }

    fn apply(&mut self, event: &MediaEvent) {
        self.window.apply(event).expect("the server sends nothing that does not fit");
    }
}
