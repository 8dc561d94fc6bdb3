//! Tests of faults that only a directory store can have.

use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;

use super::*;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn store() -> (tempfile::TempDir, DirectoryStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(directory.path().join("store")).await.unwrap();
    (directory, store)
}

#[tokio::test]
async fn what_is_not_whole_is_seen_by_nobody_and_cleared_away_later() {
    let (_directory, store) = store().await;
    let temporary = store.root.join(TEMPORARY_SUFFIX);
    std::fs::write(temporary.join("new"), "half").unwrap();
    let old = File::create(temporary.join("old")).unwrap();
    old.set_modified(SystemTime::now() - LEFT_BEHIND_AGE * 2).unwrap();
    store.put(&key("a/b"), "whole".into(), "").await.unwrap();
    let listed = store.list(&Key::root(), None).await.unwrap();
    assert_eq!(listed.entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["a/b"]);
    assert_eq!(store.folders(&Key::root(), None).await.unwrap().names, ["a"]);

    DirectoryStore::open(store.root.clone()).await.unwrap();
    let left: Vec<_> =
        std::fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["new"], "another process may be writing the new one");
}

#[tokio::test]
async fn deleting_leaves_no_empty_directories() {
    let (_directory, store) = store().await;
    store.put(&key("a/b/c/1"), "x".into(), "").await.unwrap();
    store.put(&key("a/2"), "x".into(), "").await.unwrap();
    store.delete(&[key("a/b/c/1")]).await.unwrap();
    assert!(!store.root.join("a/b").exists());
    assert!(store.root.join("a/2").exists());
    store.delete(&[key("a/2")]).await.unwrap();
    assert!(!store.root.join("a").exists());
    assert!(store.root.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_do_not_mind_that_deletion_takes_their_directory() {
    let (_directory, store) = store().await;
    let deleting = async {
        for _ in 0..200 {
            store.delete(&[key("a/b/gone")]).await.unwrap();
        }
    };
    let writing = async {
        for _ in 0..50 {
            store.put(&key("a/b/c"), "x".into(), "").await.unwrap();
            store.delete(&[key("a/b/c")]).await.unwrap();
        }
    };
    tokio::join!(deleting, writing);
}

#[tokio::test]
async fn an_object_is_no_folder() {
    let (_directory, store) = store().await;
    store.put(&key("a/b"), "x".into(), "").await.unwrap();
    for result in [store.put(&key("a/b/c"), "x".into(), "").await, store.put(&key("a"), "x".into(), "").await]
    {
        let Err(StoreError::Refused(text)) = result else { panic!("{result:?}") };
        assert!(text.contains("both an object and a folder"), "{text}");
    }
    assert_eq!(store.get(&key("a")).await, Err(StoreError::NotFound));
    assert_eq!(store.get(&key("a/b/c")).await, Err(StoreError::NotFound));
    store.delete(&[key("a"), key("a/b/c")]).await.unwrap();
    assert_eq!(store.get(&key("a/b")).await.unwrap(), "x");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_says_what_to_do() {
    let error = DirectoryStore::open("/proc/headwater".into()).await.unwrap_err();
    assert!(error.to_string().contains("/proc/headwater"), "{error}");
    // Root may write everywhere.
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o555)).unwrap();
    if std::fs::create_dir(directory.path().join("x")).is_err() {
        let error = DirectoryStore::open(directory.path().join("store")).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Refused(text) if text.contains("the right to write")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_lock_that_somebody_keeps_is_not_waited_for_without_end() {
    let (_directory, store) = store().await;
    let path = store.root.join(TEMPORARY_SUFFIX).join(version::LOCK_FILE);
    let held = version::lock_file(&path, Duration::ZERO).unwrap();
    let error = version::lock_file(&path, Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(
        matches!(store.explain_error(error), StoreError::Unavailable(text) if text.contains("is locked"))
    );
    drop(held);
    version::lock_file(&path, Duration::ZERO).unwrap();
}
