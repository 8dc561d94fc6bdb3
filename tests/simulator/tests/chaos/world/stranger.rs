//! Stranger who reaches a server's port and is no proxy of ours.

use headwater_wire::v2::PublishRequest;
use headwater_wire::v2::ingest_client::IngestClient;
use headwater_wire::v2::publish_request::{Message as Request, Open};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::unit::channels;
use crate::kernel::log::event;
use crate::kernel::net::{Host, Net};

pub const HOST: Host = "stranger";

/// Opens calls under epochs that no registry gives out. All are refused, as the stream has a publisher.
pub async fn forge(net: Net, server: Host, stream: &'static str) {
    for epoch in [u64::MAX, (1 << 53) - 1] {
        let answer = open(&net, server, stream, epoch).await;
        event!("{HOST:<9} was answered {answer}");
    }
}

async fn open(net: &Net, server: Host, stream: &str, epoch: u64) -> String {
    let open = Open { stream: stream.into(), epoch, publisher: "forger".into(), ..Open::default() };
    let (requests, sent) = mpsc::channel(1);
    let _ = requests.try_send(PublishRequest { message: Some(Request::Open(open)) });
    let channel = channels(net, HOST).to(&format!("{server}:7000")).expect("an address");
    match IngestClient::new(channel).publish(ReceiverStream::new(sent)).await {
        Ok(answer) => format!("{:?}", answer.into_inner().message().await),
        Err(status) => status.to_string(),
    }
}
