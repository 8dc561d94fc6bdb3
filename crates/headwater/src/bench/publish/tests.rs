use std::net::SocketAddr;

use bytes::Bytes;
use headwater_rtmp::{Event, Rejection, ServerConfig, ServerSession, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::recording;
use super::super::run::Counts;
use super::counts::Summary;
use super::*;

/// Treatment of the next publisher by a server.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Refuse(StatusCode),
    /// After the first frame.
    Drop,
    Keep,
}

/// Serves one connection after the other, each with its fate, and gives the timestamps of all frames.
async fn serve(listener: TcpListener, fates: &[Fate]) -> Vec<Vec<u32>> {
    let mut received = Vec::new();
    for fate in fates {
        let (socket, _) = listener.accept().await.unwrap();
        received.push(serve_one(socket, *fate).await);
    }
    received
}

async fn serve_one(mut socket: TcpStream, fate: Fate) -> Vec<u32> {
    let mut session = ServerSession::new(ServerConfig::default());
    let mut times = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = socket.read(&mut buffer).await.unwrap();
        if count == 0 {
            return times;
        }
        session.handle_input(Bytes::copy_from_slice(&buffer[..count])).unwrap();
        while let Some(event) = session.poll_event() {
            match (event, fate) {
                (Event::Publish(request), Fate::Refuse(code)) => {
                    // A server that is careless with the key.
                    let description = format!("no {}", request.key.expose());
                    session.reject(request, Rejection::new(code, description)).unwrap();
                }
                (Event::Publish(request), _) => session.accept(request).unwrap(),
                (Event::Video { .. } | Event::Audio { .. }, Fate::Drop) => return times,
                (Event::Video { timestamp, .. }, _) => times.push(timestamp),
                _ => {}
            }
        }
        while let Some(output) = session.poll_output() {
            socket.write_all(&output).await.unwrap();
        }
    }
}

/// Runs one publisher, which meets these fates and no more.
async fn publish(fates: &[Fate], looped: bool, stop_after: Option<Duration>) -> (Summary, Vec<Vec<u32>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let counts = PublishCounts::new(1);
    let stop = CancellationToken::new();
    let recording = recording::tests::short();
    let load = Load { recording, looped, counts: counts.clone(), stop: stop.clone() };
    let publisher = Publisher::new(target(listener.local_addr().unwrap()), Arc::new(load));
    let stopped = async {
        match stop_after {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
        stop.cancel();
        std::future::pending::<()>().await;
    };
    let both = async { tokio::join!(publisher.run(), serve(listener, fates)).1 };
    let received = tokio::select! {
        received = tokio::time::timeout(Duration::from_secs(30), both) => received.expect("it hangs"),
        () = stopped => unreachable!(),
    };
    (counts.make_summary(Duration::from_secs(1)), received)
}

fn target(address: SocketAddr) -> Target {
    Target::parse(&format!("rtmp://{address}/live/secret")).ok().unwrap()
}

fn good(summary: &Summary) -> bool {
    PublishCounts::is_good(summary)
}

#[tokio::test]
async fn a_recording_is_sent_once_in_its_own_time() {
    let began = Instant::now();
    let (summary, received) = publish(&[Fate::Keep], false, None).await;
    // The header, and four pictures.
    assert_eq!(received, [[0, 0, 40, 80, 120]]);
    assert!(began.elapsed() >= Duration::from_millis(110), "{:?}", began.elapsed());
    assert_eq!((summary.accepted, summary.tags), (1, 6));
    assert!(good(&summary) && summary.bytes > 0);
}

#[tokio::test]
async fn a_loop_goes_on_until_it_is_stopped() {
    let (summary, received) = publish(&[Fate::Keep], true, Some(Duration::from_millis(500))).await;
    let times = &received[0][1..];
    assert!((10..=16).contains(&times.len()), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 40), "{times:?}");
    assert!(good(&summary), "being stopped is no fault");
}

#[tokio::test]
async fn a_lost_publisher_comes_back_after_two_seconds() {
    let began = Instant::now();
    let (summary, received) = publish(&[Fate::Drop, Fate::Keep], false, None).await;
    assert_eq!(received[1], [0, 0, 40, 80, 120], "it begins anew");
    assert!(began.elapsed() >= Retries::FIRST_PAUSE, "{:?}", began.elapsed());
    assert_eq!((summary.accepted, summary.reconnects, summary.lost.values().sum()), (1, 1, 1u64));
    assert!(!good(&summary));
}

#[tokio::test]
async fn a_bad_name_is_final_at_first_and_the_key_is_not_repeated() {
    let (summary, _) = publish(&[Fate::Refuse(StatusCode::BadName)], false, None).await;
    let reasons: Vec<_> = summary.refused.iter().collect();
    assert_eq!(reasons, [(&"no … (NetStream.Publish.BadName)".to_owned(), &1)]);
    assert!(!good(&summary));
}

#[tokio::test]
async fn any_other_refusal_is_tried_again() {
    let fates = [Fate::Refuse(StatusCode::Denied), Fate::Keep];
    let (summary, _) = publish(&fates, false, None).await;
    assert_eq!((summary.accepted, summary.reconnects), (1, 0));
    assert!(summary.refused.contains_key("no … (NetStream.Publish.Denied)") && !good(&summary));
}

#[test]
fn keys_are_numbered_before_their_query() {
    let target = Target::parse("rtmp://h/live/key?youtube=a").ok().unwrap();
    assert_eq!(numbered_target(&target, 3).key, "key-3?youtube=a");
}

#[test]
fn retries_come_at_the_times_of_obs() {
    let mut retries = Retries::new();
    let delays: Vec<_> = std::iter::from_fn(|| retries.next()).map(|delay| delay.as_secs_f64()).collect();
    assert_eq!((delays[0], delays[1], delays[2], delays.len()), (2.0, 3.0, 4.5, 25));
    assert_eq!(delays[24], 900.0);
}
