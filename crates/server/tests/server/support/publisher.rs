//! A proxy with one publisher.

use bytes::Bytes;
use headwater_media::{Epoch, Period, PublisherFacts, TrackId};
use headwater_wire::v2;
use headwater_wire::v2::ingest_client::IngestClient;
use headwater_wire::v2::publish_request::{End, Leaving, Message as Request, Open};
use headwater_wire::v2::publish_response::{Accepted, Committed, Message as Response};
use headwater_wire::v2::{Failure, PublishRequest, PublishResponse, ResumePoint, failure::Code};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::stub::Order;
use super::{TestServer, within};

/// A Publish call.
pub struct Call {
    requests: mpsc::Sender<PublishRequest>,
    responses: Streaming<PublishResponse>,
}

/// A publisher that was accepted.
pub struct Source {
    call: Call,
    pub accepted: ResumePoint,
    /// The epoch of its turn.
    pub epoch: Epoch,
    /// Time of its next keyframe.
    time_ms: u64,
    /// Number up to which its next period leaves out segments.
    left_out_to: Option<u64>,
    has_begun: bool,
}

impl Call {
    pub async fn begin(server: &TestServer, first: Request) -> Result<Self, Status> {
        let (requests, sent) = mpsc::channel(64);
        requests.send(PublishRequest { message: Some(first) }).await.unwrap();
        let mut client = IngestClient::new(server.channel.clone());
        let called = within("an answer", client.publish(ReceiverStream::new(sent))).await;
        Ok(Self { requests, responses: called?.into_inner() })
    }

    /// Opens a stream under an epoch, as a publisher that nobody has seen before.
    pub async fn open(server: &TestServer, stream: &str, epoch: Epoch) -> Self {
        Self::resume(server, stream, epoch, &uuid::Uuid::now_v7().to_string(), None).await
    }

    /// The same for one whose media has cost other servers so many workers.
    pub async fn costly(server: &TestServer, stream: &str, epoch: Epoch, failures: u32) -> Self {
        let publisher = uuid::Uuid::now_v7().to_string();
        let open = Open { stream: stream.into(), epoch: epoch.0, publisher, failures, ..Open::default() };
        Self::begin(server, Request::Open(open)).await.unwrap()
    }

    /// The same for a publisher that goes on.
    pub async fn resume(
        server: &TestServer,
        stream: &str,
        epoch: Epoch,
        publisher: &str,
        resume: Option<ResumePoint>,
    ) -> Self {
        let stream = stream.into();
        let publisher = publisher.into();
        let open = Open { stream, epoch: epoch.0, publisher, resume, ..Open::default() };
        Self::begin(server, Request::Open(open)).await.unwrap()
    }

    /// Whether the server takes the media now.
    pub async fn accepted(mut self) -> Result<Source, Failure> {
        match self.hear().await {
            Some(Response::Accepted(Accepted { resume, epoch })) => {
                let accepted = resume.unwrap();
                let epoch = Epoch(epoch.unwrap());
                Ok(Source { call: self, accepted, epoch, time_ms: 0, left_out_to: None, has_begun: false })
            }
            Some(Response::Rejected(failure)) => Err(failure),
            other => panic!("neither accepted nor rejected: {other:?}"),
        }
    }

    /// The server's next word; `None` at the end of the call.
    async fn hear(&mut self) -> Option<Response> {
        let heard = within("the server's word", self.responses.message()).await;
        heard.unwrap().map(|response| response.message.unwrap())
    }
}

impl Source {
    /// Publishes a stream that is claimed for it.
    pub async fn publish(server: &TestServer, stream: &str) -> Self {
        let epoch = match server.owner(stream).await {
            Some(owner) => owner.epoch,
            None => server.claim(stream).await,
        };
        Call::open(server, stream, epoch).await.accepted().await.unwrap()
    }

    /// Crashes its worker.
    pub async fn crash(mut self) -> Failure {
        self.order(Order::Exit).await;
        self.last_word().await.unwrap()
    }

    /// Sends the period again that the point is in, which began at 40 ms; the next keyframe is the one at the point.
    pub async fn go_on(&mut self) {
        let start = self.accepted.start_us.unwrap() / 1_000;
        self.period().await;
        self.time_ms = start;
    }

    /// Breaks the call off without a goodbye.
    pub fn break_off(self) {}

    /// Begins a period, the one that the server expects.
    pub async fn period(&mut self) {
        (self.time_ms, self.has_begun) = (40, true);
        let config = || Some(Bytes::from_static(b"config"));
        let tracks = Period::tracks_of(config(), config());
        let number = self.accepted.period;
        self.accepted.period += 1;
        let period = v2::Period {
            number,
            first_sequence: self.left_out_to.take(),
            origin_us: self.time_ms * 1_000,
            wall_clock_unix_ms: 1_800_000_000_000,
            tracks: tracks.into_iter().map(Into::into).collect(),
        };
        self.send(Request::Period(period)).await;
    }

    /// Begins a period because what would come next is lost.
    pub async fn period_after_loss(&mut self) {
        let ResumePoint { period, free_sequence, .. } = self.accepted;
        self.accepted.period = period + 1;
        self.left_out_to = Some(free_sequence);
        self.period().await;
    }

    /// Sends keyframes, of which the worker makes a segment each.
    pub async fn keyframes(&mut self, count: u64) {
        for _ in 0..count {
            assert!(self.keyframe().await, "the call is over");
        }
    }

    /// Whether the call goes on.
    pub async fn keyframe(&mut self) -> bool {
        let sent = self.tag(Period::VIDEO_TRACK, format!("picture at {} ms", self.time_ms)).await;
        self.time_ms += 2_000;
        sent
    }

    /// Sends more than the pipe to a worker holds.
    pub async fn large_keyframe(&mut self) {
        assert!(self.tag(Period::VIDEO_TRACK, "x".repeat(1 << 20)).await, "the call is over");
    }

    /// Orders the worker about, in a period where there is one already.
    pub async fn order(&mut self, order: Order) {
        if !self.has_begun {
            self.period().await;
        }
        assert!(self.tag(Period::AUDIO_TRACK, format!("{order:?}")).await, "the call is over");
    }

    async fn tag(&mut self, track: TrackId, payload: String) -> bool {
        self.send(Request::Tag(v2::Tag {
            track: track.0,
            keyframe: true,
            time_us: self.time_ms * 1_000,
            composition_offset_us: 0,
            drift_ms: 0,
            payload: payload.into(),
        }))
        .await
    }

    /// Its proxy tells other facts about it.
    pub async fn tell(&mut self, facts: PublisherFacts) {
        self.send(Request::Facts(facts.into())).await;
    }

    /// Its proxy has asked it to connect again.
    pub async fn leave(&mut self) {
        self.send(Request::Leaving(Leaving {})).await;
    }

    pub async fn end(&mut self) {
        self.send(Request::End(End { reason: "test".into() })).await;
    }

    async fn send(&mut self, message: Request) -> bool {
        let request = PublishRequest { message: Some(message) };
        within("the server takes it", self.call.requests.send(request)).await.is_ok()
    }

    /// The point at which another server would go on, once one more segment is whole.
    pub async fn committed(&mut self) -> ResumePoint {
        loop {
            match self.call.hear().await {
                Some(Response::Committed(Committed { resume, .. })) => return resume.unwrap(),
                // It is said again when the turn has got another epoch.
                Some(Response::Stats(_) | Response::Accepted(_)) => {}
                other => panic!("not committed: {other:?}"),
            }
        }
    }

    /// Why the publisher is sent away; `None` when the call ends without a reason.
    pub async fn last_word(self) -> Option<Failure> {
        self.last_words().await.1
    }

    /// The last commit, and why the publisher is sent away.
    async fn last_words(mut self) -> (Option<ResumePoint>, Option<Failure>) {
        let mut last = None;
        loop {
            match self.call.hear().await {
                Some(Response::Committed(Committed { resume, .. })) => last = resume,
                Some(Response::Stats(_)) => {}
                Some(Response::Rejected(failure)) => return (last, Some(failure)),
                Some(other) => panic!("{other:?} does not come here"),
                None => return (last, None),
            }
        }
    }

    /// Waits until it is sent away; its call stays open.
    pub async fn until_rejected(&mut self) -> Failure {
        loop {
            match self.call.hear().await {
                Some(Response::Rejected(failure)) => return failure,
                Some(_) => {}
                None => panic!("the call ended without a word"),
            }
        }
    }

    /// Publishes on until it is sent away.
    pub async fn until_sent_away(self) -> Failure {
        self.until_last_words().await.1
    }

    /// Publishes on until it is sent away, and gives the last commit before that, too.
    pub async fn until_last_words(mut self) -> (Option<ResumePoint>, Failure) {
        let publish = async {
            while self.keyframe().await {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        within("the publisher is sent away", publish).await;
        let (last, failure) = self.last_words().await;
        (last, failure.unwrap())
    }
}

/// A failure's code and text.
pub fn name(failure: &Failure) -> (Code, &str) {
    (failure.code(), &failure.message)
}
