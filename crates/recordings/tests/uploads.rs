//! Uploads to a real S3 server that goes away and comes back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headwater_platform::store::testing::stand_in_settings;
use headwater_platform::store::{Key, ObjectStore, S3Store};
use headwater_recordings::uploads::{Progress, Receipt, SpoolSettings, UploadSettings, Uploads};
use headwater_store::TestStore;
use tokio::time::timeout;

/// A machine that builds at the same time is slow.
const LIMIT: Duration = Duration::from_secs(60);

async fn store(server: &TestStore) -> Arc<dyn ObjectStore> {
    Arc::new(S3Store::open(&stand_in_settings(server.endpoint(), Duration::from_secs(10))).await)
}

fn key(number: usize) -> Key {
    Key::new(format!("demo/1/720p/{number}.m4s")).expect("a key")
}

fn body(number: usize) -> Bytes {
    vec![number as u8; 100_000].into()
}

async fn settled(receipts: &mut [Receipt]) {
    for receipt in receipts {
        let settled = timeout(LIMIT, receipt.settled()).await.expect("the store is there");
        assert_eq!(settled, Progress::Stored { size: 100_000 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_store_missed_is_there_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = TestStore::start().await;
    let spool = SpoolSettings { directory: directory.path().into(), size: 1 << 30 };
    let settings = UploadSettings { memory: 400_000, spool: Some(spool), ..UploadSettings::default() };
    let uploads = Uploads::start(store(&server).await, &settings).await;
    let lane = uploads.lane("demo/1");
    let put = |number| lane.put_new(key(number), body(number), "video/mp4");

    let mut receipts: Vec<_> = (0..3).map(put).collect();
    settled(&mut receipts).await;
    assert_eq!(std::fs::read(server.path(key(2).as_str())).unwrap(), body(2));

    server.stop();
    for number in 3..20 {
        receipts.push(put(number));
        let safe = timeout(LIMIT, receipts[number].safe()).await.expect("there is a disk");
        assert_eq!(safe, Progress::Spooled);
    }
    assert!(!server.path(key(3).as_str()).exists());
    assert_eq!(uploads.read(&key(10)).await, Some(body(10)));

    server.restart().await.unwrap();
    settled(&mut receipts).await;
    for number in 0..20 {
        assert_eq!(std::fs::read(server.path(key(number).as_str())).unwrap(), body(number));
    }
    uploads.close(LIMIT).await;
}
