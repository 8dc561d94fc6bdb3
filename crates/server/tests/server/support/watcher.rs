//! An origin that watches.

use headwater_hls::{LiveWindow, MediaEvent, Opening};
use headwater_wire::WatchMessage;
use headwater_wire::v1;
use headwater_wire::v1::delivery_client::DeliveryClient;
use tonic::{Code, Status, Streaming};

use super::{TestServer, eventually, within};

pub struct Watcher {
    /// As it was when the watch began.
    pub opening: Opening,
    pub window: LiveWindow,
    events: Streaming<v1::MediaEvent>,
}

impl Watcher {
    /// Watches a stream as soon as it is on air.
    pub async fn join(server: &TestServer, stream: &str) -> Self {
        let mut client = DeliveryClient::new(server.channel.clone());
        let watch = eventually("the stream is on air", async || {
            match client.watch(v1::WatchRequest { stream: stream.into() }).await {
                Ok(watch) => Some(watch.into_inner()),
                Err(status) if status.code() == Code::NotFound => None,
                Err(status) => panic!("{status}"),
            }
        });
        let mut events = watch.await;
        let first = events.message().await.unwrap().unwrap();
        let Ok(WatchMessage::Opening(opening)) = first.try_into() else { panic!("no opening") };
        Self { window: LiveWindow::new(opening.clone()), opening, events }
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

    /// Takes one event; false at the end.
    async fn follow(&mut self) -> Result<bool, Status> {
        let Some(event) = self.events.message().await? else { return Ok(false) };
        let Ok(WatchMessage::Event(event)) = event.try_into() else { panic!("a second opening") };
        self.apply(&event);
        Ok(true)
    }

    fn apply(&mut self, event: &MediaEvent) {
        self.window.apply(event).expect("the server sends nothing that does not fit");
    }
}
