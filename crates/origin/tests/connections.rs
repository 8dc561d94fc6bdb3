//! Connections that take places, and viewers who need one.

mod support;

use std::io::ErrorKind;
use std::sync::Arc;

use http::StatusCode;
use support::client::Viewer;
use support::{DEADLINE, TestOrigin, registry};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const MAX: usize = 4;

async fn origin(setting: &str) -> TestOrigin {
    TestOrigin::start_set(Arc::new(registry()), &[(setting, &MAX.to_string())]).await
}

/// Waits until the other side has closed.
async fn closed(connection: &mut TcpStream) {
    let read = timeout(DEADLINE, connection.read(&mut [0])).await.expect("it is closed");
    assert!(
        matches!(read, Ok(0)) || matches!(&read, Err(error) if error.kind() == ErrorKind::ConnectionReset)
    );
}

#[tokio::test]
async fn whoever_asks_for_nothing_gives_way_to_viewers() {
    for setting in ["ORIGIN_MAX_CONNECTIONS", "ORIGIN_MAX_CONNECTIONS_PER_ADDRESS"] {
        let origin = origin(setting).await;
        let mut silent = Vec::new();
        for number in 0..2 * MAX {
            let mut connection = TcpStream::connect(origin.address).await.unwrap();
            if number % 2 == 0 {
                // It may be closed by then.
                let _ = connection.write_all(b"GET / HTTP/1.1\r\n").await;
            }
            silent.push(connection);
        }
        assert_eq!(Viewer::new(origin.address).get("/").await.status, StatusCode::OK, "{setting}");
        for connection in &mut silent[..MAX] {
            closed(connection).await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_only_kept_gives_way_and_one_that_waits_for_its_answer_does_not() {
    let origin = origin("ORIGIN_MAX_CONNECTIONS").await;
    let kept = Viewer::new(origin.address);
    assert_eq!(kept.get("/").await.status, StatusCode::OK);
    let mut waiting = Vec::new();
    for _ in 0..MAX {
        let mut connection = TcpStream::connect(origin.address).await.unwrap();
        // Held until somebody publishes it, for some seconds.
        let request = b"GET /later/live.m3u8?await=live HTTP/1.1\r\nHost: x\r\n\r\n";
        connection.write_all(request).await.unwrap();
        waiting.push(connection);
    }
    let mut answers = Vec::new();
    for connection in &mut waiting {
        let mut answer = vec![0; 64];
        timeout(DEADLINE, connection.read_exact(&mut answer)).await.unwrap().unwrap();
        answers.push(String::from_utf8(answer).unwrap());
    }
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 404")), "{answers:?}");
    assert_eq!(kept.get("/").await.status, StatusCode::OK, "it connects again, in place of an idle one");
}
