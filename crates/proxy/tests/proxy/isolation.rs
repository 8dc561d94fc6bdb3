//! Isolation: no broadcast holds up another one.

use std::time::Duration;

use bytes::Bytes;
use headwater_wire::v2::publish_request::Message as Request;

use crate::support::{Encoder, TestProxy, TestServer, media};

/// Publishers of one server whose workers are stuck.
const STUCK: usize = 8;
/// Bytes of a picture.
const PICTURE: usize = 256 << 10;

/// An encoder that sends pictures as fast as they are taken, with its server's end of the call.
async fn publish(
    proxy: &TestProxy,
    server: &mut TestServer,
    stream: &str,
) -> (Encoder, crate::support::Call) {
    let mut encoder = Encoder::request(proxy.address, stream).await;
    let call = server.call().await;
    call.accept(0).await;
    encoder.accepted().await;
    encoder.headers().await;
    (encoder, call)
}

async fn picture(encoder: &mut Encoder, n: u32) {
    encoder.video(n * 40, media::keyframe(&Bytes::from(vec![1; PICTURE]))).await;
    encoder.audio(n * 40, media::sound(b"sound")).await;
}

#[tokio::test]
async fn stuck_workers_of_other_broadcasts_do_not_stop_a_broadcast() {
    // Longer than the test: who is stuck stays so.
    let proxy = TestProxy::with(|config| config.proxy.stall_timeout = Duration::from_secs(300)).await;
    let mut server = TestServer::start(&proxy.registry, "a", 0).await;
    let mut stuck = Vec::new();
    for n in 0..STUCK {
        let (mut encoder, call) = publish(&proxy, &mut server, &format!("stuck-{n}")).await;
        let sending = tokio::spawn(async move {
            for n in 0.. {
                picture(&mut encoder, n).await;
            }
        });
        stuck.push((call, sending));
    }
    let (mut encoder, mut call) = publish(&proxy, &mut server, "healthy").await;
    // In turns: no more than a picture is on its way, and none is missing.
    for n in 0..400 {
        picture(&mut encoder, n).await;
        let mut pictures = 0;
        while pictures == 0 {
            match call.message().await.unwrap().expect("the call goes on") {
                Request::Tag(tag) => pictures += usize::from(tag.payload.len() == PICTURE),
                Request::Period(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    stuck.iter().for_each(|(_, sending)| sending.abort());
}
