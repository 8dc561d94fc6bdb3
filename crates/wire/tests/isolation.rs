//! Calls between two services: those that are not read take nothing from the one that is.
#![allow(clippy::unwrap_used, reason = "only tests are in here")]

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use headwater_wire::v2::delivery_client::DeliveryClient;
use headwater_wire::v2::delivery_server::{Delivery, DeliveryServer};
use headwater_wire::v2::ingest_client::IngestClient;
use headwater_wire::v2::ingest_server::{Ingest, IngestServer};
use headwater_wire::v2::publish_request::{Message, Open};
use headwater_wire::v2::{
    Chunk, FetchRequest, LocateRequest, LocateResponse, MediaEvent, PublishRequest, PublishResponse, Tag,
    WatchRequest,
};
use headwater_wire::{Channels, http2};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// More calls than any window for all of them together would bear, were it not made for all.
const STUCK: usize = 40;
/// Messages of the call that is read: some hundred times a call's window, so that the others have long come to a stop.
const MESSAGES: usize = 4_096;
const MESSAGE: Bytes = Bytes::from_static(&[7; 64 << 10]);
const DEADLINE: Duration = Duration::from_secs(60);
/// The stream that is read.
const READ: &str = "read";

type Answers<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

/// A server whose publishers are stuck, but for one: it counts their messages.
struct Server(mpsc::Sender<usize>);

#[tonic::async_trait]
impl Ingest for Server {
    type PublishStream = Answers<PublishResponse>;

    async fn publish(
        &self,
        call: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStream>, Status> {
        let mut requests = call.into_inner();
        let counted = self.0.clone();
        let Some(Message::Open(open)) = requests.message().await?.unwrap().message else { panic!() };
        tokio::spawn(async move {
            if open.stream != READ {
                std::future::pending::<()>().await;
            }
            let mut count = 0;
            while let Ok(Some(_)) = requests.message().await {
                count += 1;
            }
            let _ = counted.send(count).await;
        });
        Ok(Response::new(Box::pin(tokio_stream::pending())))
    }
}

#[tonic::async_trait]
impl Delivery for Server {
    type WatchStream = Answers<MediaEvent>;
    type FetchStream = Answers<Chunk>;

    async fn locate(&self, _: Request<LocateRequest>) -> Result<Response<LocateResponse>, Status> {
        Ok(Response::new(LocateResponse::default()))
    }

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("segments are watched here"))
    }

    async fn fetch(&self, _: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let chunks = std::iter::repeat_n(Chunk { payload: MESSAGE }, MESSAGES).map(Ok);
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }
}

/// The server's address, and the counts of the publishers that are read.
async fn serve() -> (String, mpsc::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (counted, counts) = mpsc::channel(1);
    let router = http2::server(&Default::default())
        .add_service(IngestServer::new(Server(counted.clone())))
        .add_service(DeliveryServer::new(Server(counted)));
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    (address, counts)
}

/// How a call comes by its connection.
type Connect = fn(&Channels, &str) -> headwater_wire::ServiceChannel;
const WAYS: [Connect; 2] = [
    |channels, address| channels.to(address).unwrap(),
    |channels, address| channels.dedicated(address).unwrap(),
];

/// Sends until nothing more is taken, and stays.
async fn publish(channel: headwater_wire::ServiceChannel, stream: &str, messages: usize) {
    let (requests, sent) = mpsc::channel(1);
    let open = Open { stream: stream.into(), ..Open::default() };
    requests.send(PublishRequest { message: Some(Message::Open(open)) }).await.unwrap();
    let call = IngestClient::new(channel).publish(ReceiverStream::new(sent)).await.unwrap();
    for _ in 0..messages {
        let tag = Tag { payload: MESSAGE, ..Tag::default() };
        requests.send(PublishRequest { message: Some(Message::Tag(tag)) }).await.unwrap();
    }
    drop(requests);
    let _open = call;
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn publishers_that_a_server_does_not_read_do_not_stop_the_one_that_it_reads() {
    for way in WAYS {
        let (address, mut counts) = serve().await;
        let channels = Channels::default();
        for stream in (0..STUCK).map(|n| n.to_string()) {
            let channel = way(&channels, &address);
            tokio::spawn(async move { publish(channel, &stream, usize::MAX).await });
        }
        tokio::spawn(publish(way(&channels, &address), READ, MESSAGES));
        let count = tokio::time::timeout(DEADLINE, counts.recv()).await.expect("the media arrives");
        assert_eq!(count, Some(MESSAGES));
    }
}

#[tokio::test]
async fn media_that_an_origin_does_not_read_does_not_stop_what_it_reads() {
    for way in WAYS {
        let (address, _counts) = serve().await;
        let channels = Channels::default();
        let mut unread = Vec::new();
        for _ in 0..STUCK {
            let mut client = DeliveryClient::new(way(&channels, &address));
            unread.push(client.fetch(FetchRequest::default()).await.unwrap());
        }
        let mut client = DeliveryClient::new(way(&channels, &address));
        let mut chunks = client.fetch(FetchRequest::default()).await.unwrap().into_inner();
        let all = async {
            let mut count = 0;
            while chunks.message().await.unwrap().is_some() {
                count += 1;
            }
            count
        };
        let count = tokio::time::timeout(DEADLINE, all).await.expect("the media arrives");
        assert_eq!(count, MESSAGES);
    }
}
