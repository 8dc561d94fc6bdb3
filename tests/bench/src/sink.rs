//! A server that takes what proxies send, commits it as a real one does, and makes nothing of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use headwater_registry::{Registry, ServerRecord};
use headwater_wire::v2::ingest_server::{Ingest, IngestServer};
use headwater_wire::v2::publish_request::Message as Request;
use headwater_wire::v2::publish_response::{Accepted, Committed, Message as Response};
use headwater_wire::v2::{PublishRequest, PublishResponse, ResumePoint, SegmentSettings};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Response as Answer, Status, Streaming};

use crate::received::Received;

/// Segments of the default length.
const SEGMENT_MS: u64 = 2_000;
/// A segment is whole so long after its end has come: what an encoder with its lookahead takes.
const DELAY_MS: u64 = 1_000;
/// Bytes that a real server takes in one message.
const LARGEST_MESSAGE: usize = 16 << 20;
/// Words that wait for the proxy: one in two seconds.
const WORDS: usize = 16;

/// Runs until it is dropped.
pub struct Sink {
    pub received: Arc<Received>,
    _tasks: JoinSet<()>,
}

impl Sink {
    pub async fn start(registry: Arc<dyn Registry>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let record = record(listener.local_addr()?)?;
        let mut tasks = JoinSet::new();
        registry.register_server(&record).await?;
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(headwater_registry::HEARTBEAT_INTERVAL).await;
                // The next one will do as well.
                let _ = registry.register_server(&record).await;
            }
        });
        let received = Arc::new(Received::default());
        let service = IngestServer::new(Service(received.clone())).max_decoding_message_size(LARGEST_MESSAGE);
        // The windows of a real server.
        let server = tonic::transport::Server::builder()
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .http2_keepalive_interval(Some(Duration::from_secs(1)))
            .add_service(service);
        tasks.spawn(async move {
            // It ends with the benchmark.
            let _ = server.serve_with_incoming(TcpListenerStream::new(listener)).await;
        });
        Ok(Self { received, _tasks: tasks })
    }
}

fn record(address: SocketAddr) -> Result<ServerRecord> {
    Ok(ServerRecord {
        id: "sink".parse()?,
        address: address.to_string(),
        capacity_millicores: 1_000_000,
        used_millicores: 0,
        broadcasts: 0,
        draining: false,
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

struct Service(Arc<Received>);

#[tonic::async_trait]
impl Ingest for Service {
    type PublishStream = ReceiverStream<Result<PublishResponse, Status>>;

    async fn publish(
        &self,
        call: tonic::Request<Streaming<PublishRequest>>,
    ) -> Result<Answer<Self::PublishStream>, Status> {
        let (words, answer) = mpsc::channel(WORDS);
        // It ends with the call.
        tokio::spawn(take(call.into_inner(), words, self.0.clone()));
        Ok(Answer::new(ReceiverStream::new(answer)))
    }
}

/// Reads everything, and commits every segment.
async fn take(
    mut requests: Streaming<PublishRequest>,
    words: mpsc::Sender<Result<PublishResponse, Status>>,
    received: Arc<Received>,
) -> Option<()> {
    let _publisher = received.publisher();
    let say = async |message| words.send(Ok(PublishResponse { message: Some(message) })).await.ok();
    let mut period = 0;
    let mut start = 0;
    let mut sequence = 0;
    while let Some(request) = requests.message().await.ok()? {
        let message = request.message?;
        if let Request::Tag(tag) = &message {
            received.tag(tag);
        }
        match message {
            Request::Open(_) => {
                let resume = Some(resume_point(period, None, sequence));
                say(Response::Accepted(Accepted { resume, epoch: None })).await?;
            }
            Request::Period(begun) => (period, start) = (begun.number, begun.origin_us / 1_000),
            Request::Tag(tag) if tag.time_us / 1_000 >= start + SEGMENT_MS + DELAY_MS => {
                (start, sequence) = (start + SEGMENT_MS, sequence + 1);
                let resume = Some(resume_point(period, Some(start), sequence));
                say(Response::Committed(Committed { resume, epoch: None })).await?;
            }
            Request::End(_) => return Some(()),
            _ => {}
        }
    }
    Some(())
}

fn resume_point(period: u32, start_ms: Option<u64>, next_sequence: u64) -> ResumePoint {
    ResumePoint {
        broadcast: vec![1; 16].into(),
        settings: Some(SegmentSettings { segment_ms: SEGMENT_MS as u32, part_ms: 334 }),
        window_segments: 10,
        period,
        start_us: start_ms.map(|start| start * 1_000),
        next_sequence,
        discontinuity_sequence: 0,
        kept: Vec::new(),
        begun_as: None,
        free_sequence: next_sequence + 2,
        policy: None,
    }
}
