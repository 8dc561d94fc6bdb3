//! Looks at everything that an origin shows of a stream, as soon as it changes.

use std::sync::Arc;
use std::time::Duration;

use headwater_hls::LiveWindow;
use headwater_media::{Epoch, MediaSequence, StreamId};
use headwater_origin::Core;

use crate::check::{Checker, Seat};
use crate::kernel::net::Host;

/// Between two looks: several a part.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);

pub struct Viewer {
    seat: Seat,
    stream: StreamId,
    core: Arc<Core>,
    checker: Checker,
}

/// Changes with everything that a window may do.
type Mark = (Epoch, usize, Option<MediaSequence>, MediaSequence, bool, String);

impl Viewer {
    pub fn new(host: Host, run: u32, stream: &'static str, core: Arc<Core>, checker: Checker) -> Self {
        let seat = Seat { origin: host, run, stream };
        Self { seat, stream: stream.parse().expect("a stream's name"), core, checker }
    }

    pub async fn watch(self) {
        let mut last = None;
        loop {
            let seen = self.core.look(&self.stream, |window| match window {
                Some(window) if last.as_ref() == Some(&mark(window)) => None,
                Some(window) => Some(Some(window.clone())),
                None => last.is_some().then_some(None),
            });
            if let Some(window) = seen {
                last = window.as_ref().map(mark);
                self.checker.see(self.seat, window.as_ref());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

fn mark(window: &LiveWindow) -> Mark {
    let opening = window.opening();
    let broadcast = format!("{}", opening.broadcast);
    (opening.epoch, window.bytes(), window.committed(), window.next_sequence(), window.ended(), broadcast)
}
