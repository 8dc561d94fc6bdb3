//! Contract of every object store. The suite runs on all of them; the S3 one on a real server.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::s3::{Credentials, S3Settings, S3Store};
use super::testing::{MemoryStore, stand_in_settings};
use super::*;

type Store = Arc<dyn ObjectStore>;

async fn on_all<F: Future<Output = ()>>(check: impl Fn(Store) -> F) {
    on_ours(&check).await;
    let server = headwater_store::TestStore::start().await;
    check(open(&StoreSettings::S3(settings(&server))).await.unwrap()).await;
    let prefixed = S3Settings { prefix: "some/where".into(), ..settings(&server) };
    check(open(&StoreSettings::S3(prefixed)).await.unwrap()).await;
}

async fn on_ours<F: Future<Output = ()>>(check: impl Fn(Store) -> F) {
    check(Arc::new(MemoryStore::new())).await;
    let directory = tempfile::tempdir().unwrap();
    check(open(&StoreSettings::Directory(directory.path().join("store"))).await.unwrap()).await;
}

fn settings(server: &headwater_store::TestStore) -> S3Settings {
    stand_in_settings(server.endpoint(), Duration::from_secs(20))
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn fill(store: &Store, keys: &[&str]) {
    for text in keys {
        store.put(&key(text), Bytes::copy_from_slice(text.as_bytes()), "text/plain").await.unwrap();
    }
}

async fn listed(store: &Store, prefix: &Key, after: Option<&str>) -> Vec<String> {
    let page = store.list(prefix, after.map(key).as_ref()).await.unwrap();
    page.entries.iter().map(|entry| entry.key.to_string()).collect()
}

#[tokio::test]
async fn what_is_put_is_read_and_replaced_whole() {
    on_all(|store| async move {
        let at = key("demo/vod-1.m3u8");
        assert_eq!(store.get(&at).await, Err(StoreError::NotFound));
        assert_eq!(store.get_range(&at, 0..5).await, Err(StoreError::NotFound));
        assert_eq!(store.size(&at).await, Ok(None));
        store.put(&at, "a longer text".into(), "text/plain").await.unwrap();
        store.put(&at, "text".into(), "text/plain").await.unwrap();
        assert_eq!(store.get(&at).await.unwrap(), "text");
        assert_eq!(store.size(&at).await, Ok(Some(4)));
        store.put(&at, Bytes::new(), "text/plain").await.unwrap();
        assert_eq!(store.get(&at).await.unwrap(), "");
        assert_eq!(store.size(&at).await, Ok(Some(0)));
        assert!(store.put(&Key::root(), "x".into(), "text/plain").await.is_err());
    })
    .await;
}

#[tokio::test]
async fn what_is_new_is_put_once() {
    on_all(|store| async move {
        let at = key("demo/1/720p/7.m4s");
        assert_eq!(store.put_new(&at, "first".into(), "video/mp4").await, Ok(Put::Stored));
        assert_eq!(store.put_new(&at, "the second".into(), "video/mp4").await, Ok(Put::Existed { size: 5 }));
        assert_eq!(store.get(&at).await.unwrap(), "first");
    })
    .await;
}

#[tokio::test]
async fn only_the_version_that_was_seen_is_replaced() {
    on_all(|store| async move {
        let at = key("demo/1/journal/1-0");
        assert_eq!(store.look(&at).await, Err(StoreError::NotFound));
        let first = store.put(&at, "first".into(), "text/plain").await.unwrap();
        let seen = store.look(&at).await.unwrap();
        assert_eq!((seen.body.as_ref(), &seen.version), (&b"first"[..], &first));
        let replace =
            async |body: &'static str, version| store.replace(&at, body.into(), "text/plain", version).await;
        let Ok(Replaced::Stored(second)) = replace("second", &first).await else {
            panic!("it was not replaced")
        };
        assert_eq!(replace("third", &first).await, Ok(Replaced::Changed));
        let seen = store.look(&at).await.unwrap();
        assert_eq!((seen.body.as_ref(), &seen.version), (&b"second"[..], &second));
        store.delete(std::slice::from_ref(&at)).await.unwrap();
        assert_eq!(replace("fourth", &second).await, Ok(Replaced::Changed));
        assert_eq!(store.size(&at).await, Ok(None));
    })
    .await;
}

/// s3s-fs looks at the version, and writes afterwards.
#[tokio::test]
async fn of_many_who_replace_the_same_version_one_succeeds() {
    on_ours(|store| async move {
        let at = key("a/b/c");
        let version = store.put(&at, "x".into(), "text/plain").await.unwrap();
        let replace = |n: usize| {
            let store = store.clone();
            let at = at.clone();
            let version = version.clone();
            async move { store.replace(&at, vec![b'x'; n + 2].into(), "text/plain", &version).await.unwrap() }
        };
        let all = futures::future::join_all((0..8).map(replace)).await;
        let stored: Vec<_> = (0..8).filter(|n| all[*n] != Replaced::Changed).collect();
        assert_eq!(stored.len(), 1, "{all:?}");
        assert_eq!(store.size(&at).await, Ok(Some(stored[0] as u64 + 2)));
    })
    .await;
}

/// An hour that this machine's clock is off is no hour of age: the store says both when an object was written and what the time
/// is.
#[tokio::test]
async fn the_age_of_an_object_goes_by_the_clock_of_its_store() {
    let date = "Mon, 30 Nov 2026 12:00:07 GMT";
    let written = "Mon, 30 Nov 2026 12:00:00 GMT";
    let age = |answer: String| async move { answered(answer).await.look(&key("a")).await };
    let answer = |headers: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n{headers}\r\nx");
    let whole = answer(&format!("etag: \"1\"\r\ndate: {date}\r\nlast-modified: {written}\r\n"));
    assert_eq!(age(whole).await.unwrap().age, Duration::from_secs(7));
    for missing in [
        format!("etag: \"1\"\r\nlast-modified: {written}\r\n"),
        format!("etag: \"1\"\r\ndate: {date}\r\n"),
        format!("date: {date}\r\nlast-modified: {written}\r\n"),
    ] {
        let seen = age(answer(&missing)).await;
        assert!(matches!(&seen, Err(StoreError::Unavailable(_))), "{missing}: {seen:?}");
    }
}

/// A proxy, or a page to log in by, may answer anything with 200.
#[tokio::test]
async fn an_upload_that_is_answered_without_an_entity_tag_is_none() {
    let store = answered("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into()).await;
    let put = store.put_new(&key("a"), "x".into(), "text/plain").await;
    assert!(matches!(&put, Err(StoreError::Unavailable(text)) if text.contains("ETag")), "{put:?}");
}

#[tokio::test]
async fn what_can_not_be_read_at_once_is_read_again() {
    let busy = "HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n";
    let there = "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 4\r\n\r\ntext";
    let absent = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let store = answering(vec![busy.into(), busy.into(), there.into(), absent.into()]).await;
    assert_eq!(store.get(&key("a")).await.unwrap(), "text");
    assert_eq!(store.size(&key("a")).await, Ok(None), "an answer is an answer");
    let store = answering([busy; 5].map(String::from).into()).await;
    assert!(matches!(store.get(&key("a")).await, Err(StoreError::Unavailable(_))));
}

async fn answered(answer: String) -> S3Store {
    answering(vec![answer]).await
}

/// A store that gives these answers, one after the other.
async fn answering(answers: Vec<String>) -> S3Store {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let settings = stand_in_settings(endpoint, Duration::from_secs(20));
    tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0);
            }
            let answer = answer.replacen("\r\n", "\r\nconnection: close\r\n", 1);
            socket.write_all(answer.as_bytes()).await.unwrap();
            // Until the client has read it all and goes away.
            socket.shutdown().await.unwrap();
            while socket.read_buf(&mut request).await.unwrap_or(0) > 0 {}
        }
    });
    S3Store::open(&settings).await
}

/// Amazon keeps this too; s3s-fs looks whether there is an object, and writes it afterwards.
#[tokio::test]
async fn of_many_who_put_the_same_new_object_one_succeeds() {
    on_ours(|store| async move {
        let at = key("a/b/c");
        let put = |n: usize| {
            let store = store.clone();
            let at = at.clone();
            async move { store.put_new(&at, Bytes::from(vec![b'x'; n + 1]), "text/plain").await.unwrap() }
        };
        let all = futures::future::join_all((0..8).map(put)).await;
        let stored: Vec<_> = (0..8).filter(|n| all[*n] == Put::Stored).collect();
        assert_eq!(stored.len(), 1, "{all:?}");
        assert_eq!(store.size(&at).await, Ok(Some(stored[0] as u64 + 1)));
    })
    .await;
}

#[tokio::test]
async fn a_range_is_cut_at_the_end_of_the_object() {
    on_all(|store| async move {
        let at = key("a");
        store.put(&at, "0123456789".into(), "text/plain").await.unwrap();
        for (range, expected) in
            [(0..3, "012"), (3..10, "3456789"), (8..100, "89"), (10..20, ""), (50..60, ""), (4..4, "")]
        {
            assert_eq!(store.get_range(&at, range.clone()).await.unwrap(), expected, "{range:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_large_arrives_as_it_was() {
    on_all(|store| async move {
        let at = key("large");
        let body: Bytes = (0..17u32 << 20).map(|n| (n ^ (n >> 9)) as u8).collect();
        assert_eq!(store.put_new(&at, body.clone(), "video/mp4").await, Ok(Put::Stored));
        let size = body.len() as u64;
        assert_eq!(store.put_new(&at, body.clone(), "video/mp4").await, Ok(Put::Existed { size }));
        assert!(store.get(&at).await.unwrap() == body);
        store.put(&at, body.slice(1..), "video/mp4").await.unwrap();
        assert!(
            store.get_range(&at, 9 << 20..10 << 20).await.unwrap() == body[(9 << 20) + 1..(10 << 20) + 1]
        );
    })
    .await;
}

#[tokio::test]
async fn lists_are_in_the_order_of_keys_and_only_of_what_is_below() {
    on_all(|store| async move {
        let keys = [
            "demo-1/a",
            "demo.x",
            "demo/1/a",
            "demo/1/b/c",
            "demo/1-a",
            "demo/1.a",
            "demo/12/a",
            "demo0",
            ".live/demo/1",
        ];
        fill(&store, &keys).await;
        let mut sorted = keys;
        sorted.sort_unstable();
        assert_eq!(listed(&store, &Key::root(), None).await, sorted);
        assert_eq!(
            listed(&store, &key("demo"), None).await,
            ["demo/1-a", "demo/1.a", "demo/1/a", "demo/1/b/c", "demo/12/a"]
        );
        assert_eq!(listed(&store, &key("demo/1"), None).await, ["demo/1/a", "demo/1/b/c"]);
        assert_eq!(listed(&store, &key("demo"), Some("demo/1/a")).await, ["demo/1/b/c", "demo/12/a"]);
        assert_eq!(
            listed(&store, &key("demo"), Some("demo/1.a")).await,
            ["demo/1/a", "demo/1/b/c", "demo/12/a"]
        );
        assert_eq!(listed(&store, &key("demo"), Some("demo/12/a")).await, [""; 0]);
        assert_eq!(listed(&store, &key("nobody"), None).await, [""; 0]);
        let page = store.list(&key("demo/12"), None).await.unwrap();
        assert_eq!((page.entries[0].size, page.is_truncated), (9, false));
        assert!(page.entries[0].modified.0 > 0);
    })
    .await;
}

#[tokio::test]
async fn folders_are_named_once_in_order() {
    on_all(|store| async move {
        fill(&store, &["a/vod-1.m3u8", "a/1/x", "a/1/y/z", "a/1-b/x", "a/2/x", "ab/3/x", "c"]).await;
        let folders = async |prefix: &Key, after| store.folders(prefix, after).await.unwrap();
        assert_eq!(folders(&key("a"), None).await.names, ["1-b", "1", "2"]);
        assert_eq!(folders(&key("a"), Some("1-b")).await.names, ["1", "2"]);
        assert_eq!(folders(&key("a"), Some("1")).await.names, ["2"]);
        assert_eq!(folders(&Key::root(), None).await.names, ["a", "ab"]);
        assert_eq!(folders(&key("nobody"), None).await, Folders::default());
    })
    .await;
}

#[tokio::test]
async fn a_long_list_has_pages() {
    on_all(|store| async move {
        let keys: Vec<_> = (0..PAGE_ENTRIES + 5).map(|n| key(&format!("long/{n:04}/x"))).collect();
        for some in keys.chunks(64) {
            let put = some.iter().map(|key| store.put(key, "x".into(), "text/plain"));
            futures::future::try_join_all(put).await.unwrap();
        }
        let first = store.list(&key("long"), None).await.unwrap();
        assert_eq!((first.entries.len(), first.is_truncated), (PAGE_ENTRIES, true));
        let second = store.list(&key("long"), Some(&first.entries[PAGE_ENTRIES - 1].key)).await.unwrap();
        assert_eq!((second.entries.len(), second.is_truncated), (5, false));
        let all = first.entries.iter().chain(&second.entries).map(|entry| &entry.key);
        assert!(all.eq(&keys));

        let first = store.folders(&key("long"), None).await.unwrap();
        assert_eq!((first.names.len(), first.is_truncated), (PAGE_ENTRIES, true));
        let second = store.folders(&key("long"), first.names.last().map(String::as_str)).await.unwrap();
        assert_eq!((second.names.len(), second.is_truncated), (5, false));

        store.delete(&keys).await.unwrap();
        assert_eq!(listed(&store, &Key::root(), None).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn deleting_what_is_not_there_is_fine() {
    on_all(|store| async move {
        fill(&store, &["a/1", "a/2", "a/3"]).await;
        store.delete(&[key("a/1"), key("a/9"), key("b/c/d"), key("a/3")]).await.unwrap();
        store.delete(&[]).await.unwrap();
        assert_eq!(listed(&store, &Key::root(), None).await, ["a/2"]);
        assert_eq!(store.put_new(&key("a/1"), "new".into(), "text/plain").await, Ok(Put::Stored));
    })
    .await;
}

#[tokio::test]
async fn a_presigned_url_is_read_by_anybody() {
    let server = headwater_store::TestStore::start().await;
    let store = S3Store::open(&settings(&server)).await;
    let at = key("demo/1/720p/7.m4s");
    store.put(&at, "bytes".into(), "video/mp4").await.unwrap();
    let url = store.presign(&at, Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!(fetch(&url).await, (200, "bytes".into()));
    let (unsigned, _) = url.split_once('?').unwrap();
    assert_eq!(fetch(unsigned).await.0, 403);
}

async fn fetch(url: &str) -> (u16, Bytes) {
    use http_body_util::{BodyExt, Empty};
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<Empty<Bytes>>();
    let answer = client.get(url.parse().unwrap()).await.unwrap();
    (answer.status().as_u16(), answer.into_body().collect().await.unwrap().to_bytes())
}

/// Errors of wrong settings tell the operator what to do.
#[tokio::test]
async fn what_is_set_wrongly_is_said_with_what_to_do() {
    let mut server = headwater_store::TestStore::start().await;
    let right = settings(&server);
    let wrong_key = Credentials { access_key: "nobody".into(), secret_key: "nothing".into() };
    let wrong_secret =
        Credentials { access_key: headwater_store::ACCESS_KEY.into(), secret_key: "nothing".into() };
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let elsewhere = S3Settings { endpoint: Some(format!("http://{nowhere}")), ..right.clone() };
    for (settings, is_refused, part) in [
        (S3Settings { credentials: Some(wrong_key), ..right.clone() }, true, "check the credentials"),
        (S3Settings { credentials: Some(wrong_secret), ..right.clone() }, true, "check the credentials"),
        (S3Settings { bucket: "missing".into(), ..right.clone() }, true, "make the bucket \"missing\""),
        (elsewhere, false, "check store.endpoint"),
    ] {
        let store = S3Store::open(&settings).await;
        let error = store.list(&Key::root(), None).await.unwrap_err();
        assert_eq!(matches!(error, StoreError::Refused(_)), is_refused, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(!error.to_string().contains("nothing"), "{error}");
    }
    let store = S3Store::open(&right).await;
    store.put(&key("a"), "x".into(), "text/plain").await.unwrap();
    server.stop();
    assert!(matches!(store.get(&key("a")).await, Err(StoreError::Unavailable(_))));
    server.restart().await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), "x");
}

/// A store that takes the request and says nothing.
#[tokio::test]
async fn a_silent_store_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let settings = stand_in_settings(endpoint, Duration::from_millis(300));
    let error = S3Store::open(&settings).await.put(&key("a"), "x".into(), "text/plain").await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("in time")), "{error}");
}

/// A web server at the endpoint is no store, whatever it says.
#[tokio::test]
async fn encryption_and_class_are_asked_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let settings = S3Settings {
        encryption: Encryption::Kms { key: Some("my-key".into()) },
        storage_class: Some("STANDARD_IA".into()),
        region: Some("eu-central-1".into()),
        ..stand_in_settings(endpoint, Duration::from_secs(20))
    };
    let store = S3Store::open(&settings).await;
    let at = key("a");
    let asked = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"body") {
            assert_ne!(socket.read_buf(&mut request).await.unwrap(), 0);
        }
        socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nno S3").await.unwrap();
        String::from_utf8_lossy(&request).to_lowercase()
    };
    let (request, answer) = tokio::join!(asked, store.put_new(&at, "body".into(), "video/mp4"));
    for part in [
        "put /recordings/a",
        "x-amz-server-side-encryption: aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id: my-key",
        "x-amz-storage-class: standard_ia",
        "content-type: video/mp4",
        "if-none-match: *",
        "/eu-central-1/s3/",
    ] {
        assert!(request.contains(part), "{part}\n{request}");
    }
    assert!(
        matches!(&answer, Err(StoreError::Refused(text)) if text.contains("store.endpoint")),
        "{answer:?}"
    );
}

/// In a process of its own, as everything around it tells where credentials are.
#[test]
fn that_there_are_no_credentials_is_said() {
    let child = "store::contract::try_without_credentials";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", child, "--ignored", "--nocapture"])
        .env_clear()
        .envs([("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nonexistent")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "run by the test above"]
async fn try_without_credentials() {
    let server = headwater_store::TestStore::start().await;
    let store = S3Store::open(&S3Settings { credentials: None, ..settings(&server) }).await;
    let error = store.put(&key("a"), "x".into(), "text/plain").await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(text) if text.contains("set AWS_ACCESS_KEY_ID")), "{error}");
}
