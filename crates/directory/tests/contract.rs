//! Contract of the directory, held on every store: in memory, in a directory, and on an S3 server.

#![allow(clippy::unwrap_used, reason = "a test")]

mod mortal;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use headwater_directory::{
    Block, Directory, DirectoryError, InputSettings, LiveInput, NewToken, Scope, Sealer, TokenText,
};
use headwater_media::{StreamId, StreamKey, UnixMillis};
use headwater_platform::store::testing::{GatedStore, MemoryStore, stand_in_settings};
use headwater_platform::store::{Key, ObjectStore, StoreSettings, open};
use mortal::{Death, MortalGate};

const SECRET: &str = "a secret of the operator";
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

type Store = Arc<dyn ObjectStore>;

/// Writers at once are tried on these only: the S3 server of the tests does not keep them apart.
async fn on_ours(check: impl AsyncFn(Store)) {
    check(Arc::new(MemoryStore::new())).await;
    let folder = tempfile::tempdir().unwrap();
    check(open(&StoreSettings::Directory(folder.path().join("directory"))).await.unwrap()).await;
}

async fn on_all(check: impl AsyncFn(Store)) {
    on_ours(&check).await;
    let server = headwater_store::TestStore::start().await;
    let settings = stand_in_settings(server.endpoint(), Duration::from_secs(20));
    check(open(&StoreSettings::S3(settings)).await.unwrap()).await;
}

fn directory(store: &Store) -> Directory {
    Directory::new(store.clone(), Sealer::new(SECRET, None))
}

fn named(name: &str) -> InputSettings {
    let meta = [("name".to_owned(), name.into())].into_iter().collect();
    InputSettings { meta, ..InputSettings::default() }
}

async fn opens(directory: &Directory, key: &StreamKey) -> Option<StreamId> {
    directory.find_input(key).await.unwrap().map(|input| input.uid)
}

#[tokio::test]
async fn an_input_is_made_read_changed_and_deleted() {
    on_all(async |store| {
        let directory = directory(&store);
        let made = directory.create_input(None, named("first"), NOW).await.unwrap();
        assert!(
            made.uid.as_str().len() == 32 && made.uid.as_str().bytes().all(|byte| byte.is_ascii_hexdigit())
        );
        assert_eq!(directory.read_input(&made.uid).await.unwrap(), made);
        assert_eq!(opens(&directory, &made.stream_key).await, Some(made.uid.clone()));

        let later = UnixMillis(NOW.0 + 5);
        let rename = |settings: &mut InputSettings| *settings = named("second");
        let changed = directory.change_input(&made.uid, Some(made.revision), later, rename).await.unwrap();
        let expected = LiveInput { settings: named("second"), modified: later, revision: 2, ..made.clone() };
        assert_eq!(changed, expected);
        let stale = directory.change_input(&made.uid, Some(made.revision), later, rename).await;
        assert!(matches!(stale, Err(DirectoryError::Changed)), "{stale:?}");
        let stale = directory.delete_input(&made.uid, Some(made.revision)).await;
        assert!(matches!(stale, Err(DirectoryError::Changed)), "{stale:?}");

        directory.delete_input(&made.uid, Some(changed.revision)).await.unwrap();
        assert_eq!(opens(&directory, &made.stream_key).await, None);
        let gone = directory.read_input(&made.uid).await;
        assert!(matches!(gone, Err(DirectoryError::NoInput(_))), "{gone:?}");
        assert_eq!(store.list(&Key::root(), None).await.unwrap().entries, [], "nothing is left behind");
    })
    .await;
}

#[tokio::test]
async fn a_block_stays_through_changes_until_it_is_lifted() {
    on_ours(async |store| {
        let directory = directory(&store);
        let made = directory.create_input(None, named("first"), NOW).await.unwrap();
        let block = Block { reason: "a copyright claim".into(), since: NOW };
        directory.set_block(&made.uid, Some(block.clone())).await.unwrap();
        let rename = |settings: &mut InputSettings| *settings = named("second");
        directory.change_input(&made.uid, None, NOW, rename).await.unwrap();
        let rotated = directory.rotate_key(&made.uid, None, NOW).await.unwrap();
        assert_eq!(rotated.blocked, Some(block.clone()));
        assert_eq!(directory.read_input(&made.uid).await.unwrap().blocked, Some(block));
        directory.set_block(&made.uid, None).await.unwrap();
        assert_eq!(directory.read_input(&made.uid).await.unwrap().blocked, None);
    })
    .await;
}

#[tokio::test]
async fn a_uid_is_taken_once() {
    on_ours(async |store| {
        let directory = directory(&store);
        let uid: StreamId = "demo".parse().unwrap();
        let make = async || directory.create_input(Some(uid.clone()), named("demo"), NOW).await;
        let tries = futures::future::join_all((0..8).map(|_| make())).await;
        let (made, refused): (Vec<_>, Vec<_>) = tries.into_iter().partition(Result::is_ok);
        assert_eq!((made.len(), refused.len()), (1, 7));
        assert!(
            refused.iter().all(|error| matches!(error, Err(DirectoryError::InputExists(_)))),
            "{refused:?}"
        );
        let made = made.into_iter().next().unwrap().unwrap();
        assert_eq!(directory.read_input(&uid).await.unwrap(), made);
        assert_eq!(opens(&directory, &made.stream_key).await, Some(uid.clone()));
        directory.delete_input(&uid, None).await.unwrap();
        assert_ne!(make().await.unwrap().stream_key, made.stream_key);
    })
    .await;
}

#[tokio::test]
async fn of_changes_at_once_none_is_lost() {
    on_ours(async |store| {
        let directory = directory(&store);
        let uid = directory.create_input(None, named("demo"), NOW).await.unwrap().uid;
        let count = async |name: String| {
            let add = |settings: &mut InputSettings| drop(settings.meta.insert(name.clone(), true.into()));
            while directory.change_input(&uid, None, NOW, add).await.is_err() {}
        };
        futures::future::join_all((0..6).map(|number| count(format!("writer-{number}")))).await;
        let input = directory.read_input(&uid).await.unwrap();
        assert_eq!((input.settings.meta.len(), input.revision), (7, 7));
    })
    .await;
}

#[tokio::test]
async fn a_rotated_key_opens_and_the_one_before_does_not() {
    on_all(async |store| {
        let directory = directory(&store);
        let old = directory.create_input(None, named("demo"), NOW).await.unwrap();
        let new = directory.rotate_key(&old.uid, None, UnixMillis(NOW.0 + 9)).await.unwrap();
        assert_ne!(new.stream_key, old.stream_key);
        assert_eq!((new.key_made.0 - NOW.0, new.created, &new.settings), (9, old.created, &old.settings));
        assert_eq!(opens(&directory, &new.stream_key).await, Some(new.uid.clone()));
        assert_eq!(opens(&directory, &old.stream_key).await, None);
        assert_eq!(store.list(&Key::root(), None).await.unwrap().entries.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn pages_have_every_input_once() {
    on_all(async |store| {
        let directory = directory(&store);
        let mut uids = BTreeSet::new();
        for _ in 0..7 {
            uids.insert(directory.create_input(None, named("demo"), NOW).await.unwrap().uid);
        }
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = directory.list_inputs(after.as_ref(), 3).await.unwrap();
            assert!(page.inputs.len() <= 3);
            listed.extend(page.inputs.into_iter().map(|input| input.uid));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(listed.iter().eq(&uids), "{listed:?}");
    })
    .await;
}

#[tokio::test]
async fn tokens_are_recognised_until_they_expire_or_are_deleted() {
    on_all(async |store| {
        let directory = directory(&store);
        let scopes = vec![Scope::InputsRead, Scope::InputsKeys];
        let new = NewToken { name: "backend".into(), scopes, expires: Some(UnixMillis(NOW.0 + 10)) };
        let (token, text) = directory.create_token(new, NOW).await.unwrap();
        assert!(token.allows(Scope::InputsKeys) && !token.allows(Scope::InputsWrite));
        let find = async |text: &TokenText, after| {
            directory.find_token(text, UnixMillis(NOW.0 + after)).await.unwrap()
        };
        assert_eq!(find(&text, 9).await, Some(token.clone()));
        assert_eq!(find(&text, 10).await, None);
        let exposed = text.expose();
        let forged = format!("{}{}", &exposed[..exposed.len() - 4], "0000").parse().unwrap();
        assert_eq!(find(&forged, 0).await, None);
        assert_eq!(directory.list_tokens().await.unwrap(), std::slice::from_ref(&token));
        directory.delete_token("../inputs/demo").await.unwrap();
        directory.delete_token(&token.id).await.unwrap();
        assert_eq!(find(&text, 0).await, None);
    })
    .await;
}

#[tokio::test]
async fn no_stored_object_holds_a_key_or_a_token() {
    on_all(async |store| {
        let directory = directory(&store);
        let input = directory.create_input(None, named("demo"), NOW).await.unwrap();
        let new = NewToken { name: "backend".into(), scopes: Scope::ALL.into(), expires: None };
        let (_, token) = directory.create_token(new, NOW).await.unwrap();
        let secret = token.expose().rsplit('_').next().unwrap().to_owned();
        for entry in store.list(&Key::root(), None).await.unwrap().entries {
            let body = store.get(&entry.key).await.unwrap();
            let text = format!("{} {}", entry.key, String::from_utf8_lossy(&body));
            assert!(!text.contains(input.stream_key.expose()) && !text.contains(&secret), "{text}");
        }
    })
    .await;
}

/// Documents of the first secret are read under both, sealed anew, and then read under the second one alone.
#[tokio::test]
async fn the_directorys_secret_can_be_rotated() {
    on_all(async |store| {
        let input = directory(&store).create_input(None, named("demo"), NOW).await.unwrap();
        let sealer = |previous| Sealer::new("another secret of the operator", previous);
        let after = Directory::new(store.clone(), sealer(None));
        assert!(matches!(after.read_input(&input.uid).await, Err(DirectoryError::Seal(_))));
        assert_eq!(opens(&after, &input.stream_key).await, None);
        let rotating = Directory::new(store.clone(), sealer(Some(SECRET)));
        assert_eq!(opens(&rotating, &input.stream_key).await, Some(input.uid.clone()));
        rotating.reseal_input(&input.uid).await.unwrap();
        assert_eq!(opens(&rotating, &input.stream_key).await, Some(input.uid.clone()));
        assert_eq!(opens(&after, &input.stream_key).await, Some(input.uid.clone()));
    })
    .await;
}

/// A writer dies before or right after each of its writes. At every such moment each key that anybody was given opens its
/// input or nothing, an input that can be read opens by its own key, and the operation can be done again.
#[tokio::test]
async fn a_writer_may_die_at_any_write() {
    let uid: StreamId = "demo".parse().unwrap();
    for death in [Death::Before, Death::After] {
        for writes in 0..4 {
            let store: Store = Arc::new(MemoryStore::new());
            let whole = directory(&store);
            let mortal = |writes| {
                let store = GatedStore::new(store.clone(), MortalGate::new(writes, death));
                Directory::new(Arc::new(store), Sealer::new(SECRET, None))
            };
            let is_consistent = async || match whole.read_input(&uid).await {
                Ok(input) => assert_eq!(opens(&whole, &input.stream_key).await, Some(uid.clone())),
                Err(error) => assert!(matches!(error, DirectoryError::NoInput(_)), "{error}"),
            };

            let _ = mortal(writes).create_input(Some(uid.clone()), named("demo"), NOW).await;
            is_consistent().await;
            let created = whole.create_input(Some(uid.clone()), named("demo"), NOW).await;
            assert!(matches!(created, Ok(_) | Err(DirectoryError::InputExists(_))), "{created:?}");

            let before = whole.read_input(&uid).await.unwrap();
            let _ = mortal(writes).rotate_key(&uid, None, NOW).await;
            is_consistent().await;
            let is_same = whole.read_input(&uid).await.unwrap().stream_key == before.stream_key;
            assert_eq!(opens(&whole, &before.stream_key).await.is_some(), is_same);

            let last = whole.rotate_key(&uid, None, NOW).await.unwrap();
            let _ = mortal(writes).delete_input(&uid, None).await;
            is_consistent().await;
            let is_there = whole.read_input(&uid).await.is_ok();
            assert_eq!(opens(&whole, &last.stream_key).await.is_some(), is_there);
            if is_there {
                whole.delete_input(&uid, None).await.unwrap();
            }
            let again = whole.create_input(Some(uid.clone()), named("demo"), NOW).await.unwrap();
            assert_eq!(opens(&whole, &again.stream_key).await, Some(uid.clone()));
            assert_eq!(opens(&whole, &last.stream_key).await, None);
        }
    }
}
