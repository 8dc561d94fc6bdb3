//! Operators: each broadcast on air, its publisher, and the health of the source.

use headwater_media::broadcast::BroadcastReport;
use headwater_media::{AnnouncedRates, PublisherFacts, UnixMillis};
use headwater_wire::Channels;
use headwater_wire::operator::{BroadcastQuery, Disconnected, Operator};
use headwater_wire::v2::failure::Code;
use headwater_wire::v2::publish_request::{Message as Request, Open};

use crate::support::{Call, Source, TestServer, eventually, name};

fn facts(encoder: &str) -> PublisherFacts {
    PublisherFacts {
        connected: UnixMillis(1_800_000_000_000),
        address: Some("192.0.2.7".parse().unwrap()),
        protocol: "rtmps".into(),
        encoder: Some(encoder.into()),
        announced: AnnouncedRates { frame_rate: Some(30.0), video_bitrate: None },
    }
}

fn operator(server: &TestServer) -> Operator {
    Operator::new(&Channels::default(), &server.record.address).unwrap()
}

/// Publisher of a stream, with what its proxy says of it.
async fn publish_as(server: &TestServer, stream: &str, facts: PublisherFacts) -> Source {
    let open = Open {
        stream: stream.into(),
        epoch: server.claim(stream).await.0,
        publisher: uuid::Uuid::now_v7().to_string(),
        facts: Some(facts.into()),
        ..Open::default()
    };
    Call::begin(server, Request::Open(open)).await.unwrap().accepted().await.unwrap()
}

async fn report(server: &TestServer, stream: &str) -> BroadcastReport {
    operator(server).describe_broadcast(&stream.parse().unwrap()).await.unwrap().unwrap().report
}

#[tokio::test]
async fn a_publisher_is_described_as_its_proxy_says_until_it_leaves() {
    let server = TestServer::start().await;
    let mut source = publish_as(&server, "demo", facts("before")).await;
    source.period().await;
    let found = report(&server, "demo").await.publisher.unwrap();
    assert_eq!((found.facts, found.proxy.as_str()), (Some(facts("before")), "127.0.0.1"));
    source.tell(facts("announced")).await;
    eventually("the server knows the encoder's name", async || {
        let facts = report(&server, "demo").await.publisher?.facts?;
        (facts.encoder.as_deref() == Some("announced")).then_some(())
    })
    .await;
    source.keyframes(1).await;
    source.committed().await;
    source.end().await;
    server.unpublished("demo").await;
    assert_eq!(report(&server, "demo").await.publisher, None);
    let elsewhere = operator(&server).describe_broadcast(&"other".parse().unwrap()).await.unwrap();
    assert_eq!(elsewhere, None);
}

#[tokio::test]
async fn the_history_of_the_health_is_kept_and_the_newest_sample_is_in_the_list() {
    let server = TestServer::start().await;
    let mut source = publish_as(&server, "demo", facts("test")).await;
    source.period().await;
    source.keyframes(3).await;
    let (sample, samples) = eventually("a sample", async || {
        let history = operator(&server).describe_broadcast(&"demo".parse().unwrap()).await.unwrap()?;
        Some((history.report.health?, history.samples))
    })
    .await;
    assert_eq!(samples, std::slice::from_ref(&sample));
    // The stand-in's source has no codec that can be read: a keyframe every two seconds all the same.
    let video = sample.stats.source.video.unwrap();
    assert_eq!(video.keyframe_interval, Some(std::time::Duration::from_secs(2)));
    let listed = operator(&server).list_broadcasts(BroadcastQuery::default()).await.unwrap();
    assert!(listed[0].health.is_some() && listed[0].expectations.segment.as_secs() == 2, "{listed:?}");
}

#[tokio::test]
async fn broadcasts_are_listed_in_the_order_of_their_names_and_page_by_page() {
    let server = TestServer::start().await;
    let mut sources = Vec::new();
    for stream in ["b", "c", "a"] {
        sources.push(publish_as(&server, stream, facts(stream)).await);
    }
    let names = async |query| {
        let listed = operator(&server).list_broadcasts(query).await.unwrap();
        listed.iter().map(|report| report.stream.to_string()).collect::<String>()
    };
    assert_eq!(names(BroadcastQuery::default()).await, "abc");
    assert_eq!(names(BroadcastQuery { limit: 2, ..BroadcastQuery::default() }).await, "ab");
    let after = Some("a".parse().unwrap());
    assert_eq!(names(BroadcastQuery { after, limit: 1, ..BroadcastQuery::default() }).await, "b");
    let streams = ["c", "x"].map(|name| name.parse().unwrap()).into();
    assert_eq!(names(BroadcastQuery { streams, ..BroadcastQuery::default() }).await, "c");
}

#[tokio::test]
async fn a_publisher_that_is_disconnected_is_told_why_and_confirmed_when_its_proxy_has_ended_the_call() {
    for (blocked, code, text) in [
        (false, Code::Disconnected, "an operator has ended this publication: late"),
        (true, Code::Blocked, "this live input is blocked: late"),
    ] {
        let server = TestServer::start().await;
        let mut source = publish_as(&server, "demo", facts("test")).await;
        source.period().await;
        source.keyframes(1).await;
        source.committed().await;
        let stream = "demo".parse().unwrap();
        let mut operator = operator(&server);
        let disconnected = operator.disconnect(&stream, "late", blocked);
        let dismissed = async {
            let failure = source.until_rejected().await;
            source.end().await;
            failure
        };
        let (disconnected, failure) = tokio::join!(disconnected, dismissed);
        assert_eq!(name(&failure), (code, text));
        let disconnected = disconnected.unwrap().unwrap();
        assert_eq!((disconnected.proxy.as_str(), disconnected.confirmed), ("127.0.0.1", true));
        server.unpublished("demo").await;
        let nobody = operator.disconnect(&stream, "", false).await.unwrap();
        assert_eq!(nobody, None);
        assert!(report(&server, "demo").await.publisher.is_none(), "the broadcast waits for its publisher");
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_end_the_publisher_is_named() {
    let server = TestServer::start().await;
    let mut source = publish_as(&server, "demo", facts("test")).await;
    source.period().await;
    source.keyframes(1).await;
    let disconnected = operator(&server).disconnect(&"demo".parse().unwrap(), "", false).await.unwrap();
    let expected = Disconnected { proxy: "127.0.0.1".into(), confirmed: false };
    assert_eq!(disconnected, Some(expected));
}
