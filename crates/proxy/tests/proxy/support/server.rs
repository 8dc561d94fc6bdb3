//! A server that only has `Ingest`, and leaves every call to the test.

use std::net::SocketAddr;

use headwater_registry::{MemoryRegistry, Registry, ServerRecord};
use headwater_wire::v2::ingest_server::{Ingest, IngestServer};
use headwater_wire::v2::publish_request::{Message as Request, Open};
use headwater_wire::v2::publish_response::{Accepted, Committed, Message as Response};
use headwater_wire::v2::{
    Failure, PublishRequest, PublishResponse, ResumePoint, SegmentSettings, failure::Code,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Response as Answer, Status, Streaming};

use super::within;

pub struct TestServer {
    pub record: ServerRecord,
    served: JoinHandle<()>,
    calls: mpsc::Receiver<Call>,
}

/// A Publish call that was opened and waits for an answer.
pub struct Call {
    pub open: Open,
    requests: Streaming<PublishRequest>,
    responses: mpsc::Sender<Result<PublishResponse, Status>>,
}

struct Service(mpsc::Sender<Call>);

impl TestServer {
    /// Starts one that says how many of its 2,000 millicores are used.
    pub async fn start(registry: &MemoryRegistry, name: &str, used_millicores: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let record = register(registry, name, listener.local_addr().unwrap(), used_millicores).await;
        let (sender, calls) = mpsc::channel(16);
        let service = IngestServer::new(Service(sender)).max_decoding_message_size(16 << 20);
        let served = headwater_wire::http2::server(&Default::default()).add_service(service);
        let served = served.serve_with_incoming(TcpListenerStream::new(listener));
        let served = tokio::spawn(async { served.await.unwrap() });
        Self { record, served, calls }
    }

    /// Registers what it can do, in millicores: nothing when no worker starts there.
    pub async fn offer(&self, registry: &MemoryRegistry, capacity_millicores: u32) {
        let record = ServerRecord { capacity_millicores, ..self.record.clone() };
        registry.register_server(&record).await.unwrap();
    }

    /// Closes its listener; connections that are open stay.
    pub async fn stop(self) {
        self.served.abort();
        let _ = self.served.await;
    }

    /// Registers one that nobody can connect to.
    pub async fn dead(registry: &MemoryRegistry, name: &str) -> ServerRecord {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        register(registry, name, address, 0).await
    }

    /// The next call.
    pub async fn call(&mut self) -> Call {
        within("a call", self.calls.recv()).await.unwrap()
    }

    pub fn was_called(&mut self) -> bool {
        self.calls.try_recv().is_ok()
    }
}

async fn register(registry: &MemoryRegistry, name: &str, address: SocketAddr, used: u32) -> ServerRecord {
    let record = ServerRecord {
        id: name.parse().unwrap(),
        address: address.to_string(),
        capacity_millicores: 2_000,
        used_millicores: used,
        broadcasts: 0,
        draining: false,
        version: "0.1.0".into(),
    };
    registry.register_server(&record).await.unwrap();
    record
}

impl Call {
    /// Takes a publisher that begins with this period.
    pub async fn accept(&self, period: u32) {
        self.say(Response::Accepted(Accepted { resume: Some(resume_point(period, None, 100)), epoch: None }))
            .await;
    }

    /// Takes one that goes on.
    pub async fn accept_at(&self, resume: ResumePoint) {
        self.say(Response::Accepted(Accepted { resume: Some(resume), epoch: None })).await;
    }

    pub async fn commit(&self, resume: ResumePoint) {
        self.say(Response::Committed(Committed { resume: Some(resume), epoch: None })).await;
    }

    /// Commits, and tells the epoch that the publisher's turn has by now.
    pub async fn commit_under(&self, resume: ResumePoint, epoch: u64) {
        self.say(Response::Committed(Committed { resume: Some(resume), epoch: Some(epoch) })).await;
    }

    pub async fn reject(self, failure: Failure) {
        self.say(Response::Rejected(failure)).await;
    }

    pub async fn say(&self, message: Response) {
        self.responses.send(Ok(PublishResponse { message: Some(message) })).await.unwrap();
    }

    /// Sends a response that holds nothing this version knows.
    pub async fn say_nothing(&self) {
        self.responses.send(Ok(PublishResponse { message: None })).await.unwrap();
    }

    /// The proxy's next message; none when the call has ended, `Err` when it was broken off.
    pub async fn message(&mut self) -> Result<Option<Request>, Status> {
        let message = within("the proxy says something", self.requests.message()).await;
        message.map(|request| request.map(|request| request.message.unwrap()))
    }

    /// Whatever comes until the publisher's end, and its reason.
    pub async fn until_it_ends(mut self) -> (Vec<Request>, String) {
        let mut messages = Vec::new();
        loop {
            match self.message().await.unwrap().expect("an end") {
                Request::End(end) => return (messages, end.reason),
                message => messages.push(message),
            }
        }
    }
}

pub fn failure(code: Code, message: &str) -> Failure {
    Failure { code: code.into(), message: message.into() }
}

#[tonic::async_trait]
impl Ingest for Service {
    type PublishStream = ReceiverStream<Result<PublishResponse, Status>>;

    async fn publish(
        &self,
        call: tonic::Request<Streaming<PublishRequest>>,
    ) -> Result<Answer<Self::PublishStream>, Status> {
        let mut requests = call.into_inner();
        let Some(Request::Open(open)) = requests.message().await?.unwrap().message else { panic!("no open") };
        let (responses, answer) = mpsc::channel(16);
        self.0.send(Call { open, requests, responses }).await.unwrap();
        Ok(Answer::new(ReceiverStream::new(answer)))
    }
}

pub fn resume_point(period: u32, start_ms: Option<u64>, next_sequence: u64) -> ResumePoint {
    ResumePoint {
        broadcast: vec![1; 16].into(),
        settings: Some(SegmentSettings { segment_ms: 2_000, part_ms: 334 }),
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
