use std::sync::Arc;

use headwater_media::UnixMillis;
use headwater_platform::store::testing::{Fault, MemoryStore};
use headwater_platform::store::{Key, ObjectStore};

use super::*;
use crate::{InputSettings, Sealer};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

struct Scene {
    store: MemoryStore,
    directory: Directory,
    copy: DirectoryCopy,
}

impl Scene {
    fn new() -> Self {
        let store = MemoryStore::new();
        let directory =
            Directory::new(Arc::new(store.clone()), Sealer::new("a secret of the operator", None));
        Self { store, copy: DirectoryCopy::new(directory.clone()), directory }
    }

    async fn create(&self) -> LiveInput {
        self.directory.create_input(None, InputSettings::default(), NOW).await.unwrap()
    }

    async fn found(&self, key: &StreamKey) -> Option<LiveInput> {
        match self.copy.find_input(key).await {
            Found::Input(input) => Some(*input),
            Found::Unknown => None,
            Found::Unavailable(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_key_costs_one_look_up_until_it_is_changed() {
    let scene = Scene::new();
    let input = scene.create().await;
    assert_eq!(scene.found(&input.stream_key).await, Some(input.clone()));
    let requests = scene.store.requests();
    assert_eq!(scene.found(&input.stream_key).await, Some(input.clone()));
    assert_eq!(scene.store.requests(), requests);

    let disable = |settings: &mut InputSettings| settings.enabled = false;
    let disabled = scene.directory.change_input(&input.uid, None, NOW, disable).await.unwrap();
    scene.copy.forget(&input.uid);
    assert_eq!(scene.found(&input.stream_key).await, Some(disabled));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_used_any_more_opens_nothing() {
    let scene = Scene::new();
    let input = scene.create().await;
    scene.found(&input.stream_key).await.unwrap();
    let rotated = scene.directory.rotate_key(&input.uid, None, NOW).await.unwrap();
    scene.copy.forget(&input.uid);
    assert_eq!(scene.found(&input.stream_key).await, None);
    assert_eq!(scene.found(&rotated.stream_key).await, Some(rotated.clone()));
    scene.directory.delete_input(&input.uid, None).await.unwrap();
    tokio::time::advance(TRUSTED_TIME).await;
    assert_eq!(scene.found(&rotated.stream_key).await, None, "also where nobody tells of it");
}

#[tokio::test(start_paused = true)]
async fn known_keys_open_while_the_store_is_away_and_others_do_not() {
    let scene = Scene::new();
    let known = scene.create().await;
    let other = scene.create().await;
    scene.found(&known.stream_key).await.unwrap();
    scene.copy.forget_all();
    for fault in [Fault::Away, Fault::Refusing, Fault::Hanging(Duration::from_secs(3_600))] {
        scene.store.set(fault);
        assert_eq!(scene.found(&known.stream_key).await, Some(known.clone()), "{fault:?}");
        let answer = scene.copy.find_input(&other.stream_key).await;
        assert!(matches!(answer, Found::Unavailable(_)), "{fault:?}: {answer:?}");
    }
    scene.store.set(Fault::None);
    assert_eq!(scene.found(&other.stream_key).await, Some(other));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_comes_back_empty_lets_nobody_in() {
    let scene = Scene::new();
    let input = scene.create().await;
    scene.found(&input.stream_key).await.unwrap();
    let keys: Vec<_> = scene.store.keys().iter().map(|key| Key::new(key).unwrap()).collect();
    scene.store.delete(&keys).await.unwrap();
    scene.copy.forget_all();
    assert_eq!(scene.found(&input.stream_key).await, None);
}

#[tokio::test(start_paused = true)]
async fn unknown_keys_are_asked_for_once_in_two_seconds_and_push_out_no_known_one() {
    let scene = Scene::new();
    let input = scene.create().await;
    scene.found(&input.stream_key).await.unwrap();
    let unknown: StreamKey = "nobody's".parse().unwrap();
    assert_eq!(scene.found(&unknown).await, None);
    let requests = scene.store.requests();
    assert_eq!(scene.found(&unknown).await, None);
    assert_eq!(scene.store.requests(), requests);
    for number in 0..2 * MAX_UNKNOWN_KEYS {
        assert_eq!(scene.found(&format!("invented-{number}").parse().unwrap()).await, None);
    }
    let requests = scene.store.requests();
    assert_eq!(scene.found(&input.stream_key).await, Some(input));
    assert_eq!(scene.store.requests(), requests);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_unknown_opens_as_soon_as_its_input_is_told_of() {
    let scene = Scene::new();
    let input = scene.create().await;
    let rotated = scene.directory.rotate_key(&input.uid, None, NOW).await.unwrap();
    assert_eq!(scene.found(&input.stream_key).await, None);
    scene.copy.forget(&input.uid);
    assert_eq!(scene.found(&rotated.stream_key).await, Some(rotated));
}

#[tokio::test(start_paused = true)]
async fn more_changes_than_are_told_apart_have_every_copy_read_again() {
    let scene = Scene::new();
    let input = scene.create().await;
    scene.found(&input.stream_key).await.unwrap();
    let requests = scene.store.requests();
    for number in 0..MAX_CHANGED_INPUTS {
        scene.copy.forget(&format!("other-{number}").parse().unwrap());
    }
    assert_eq!(scene.found(&input.stream_key).await, Some(input.clone()));
    assert_eq!(scene.store.requests(), requests, "changes of others concern it not");
    scene.copy.forget(&"one-more".parse().unwrap());
    assert_eq!(scene.found(&input.stream_key).await, Some(input));
    assert!(scene.store.requests() > requests);
}
