use headwater_directory::{Block, InputSettings, Sealer};
use headwater_platform::store::testing::{Fault, MemoryStore};
use headwater_registry::{MemoryRegistry, Ttls};

use super::*;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

struct Scene {
    store: MemoryStore,
    directory: Directory,
    registry: MemoryRegistry,
    authority: Arc<Authority>,
}

impl Scene {
    fn new() -> Self {
        let store = MemoryStore::new();
        let directory =
            Directory::new(Arc::new(store.clone()), Sealer::new("a secret of the operator", None));
        let registry = MemoryRegistry::new(Ttls::default());
        let file = Input { stream: "show".parse().unwrap(), key: "right-secret".parse().unwrap() };
        let authority = Authority::new(InputMode::Keys, [file], Some(directory.clone()));
        Self { store, directory, registry, authority: Arc::new(authority) }
    }

    async fn create(&self, settings: InputSettings) -> LiveInput {
        self.directory.create_input(None, settings, clock::now()).await.unwrap()
    }

    async fn permit(&self, key: &StreamKey) -> Result<StreamId, KeyError> {
        self.authority.permit(key, CLIENT).await.map(|permit| permit.stream)
    }

    /// Supervises a publisher of this input, with the registry's news.
    async fn supervise(&self, input: &LiveInput) -> Supervision {
        let permit = self.authority.permit(&input.stream_key, CLIENT).await.unwrap();
        let supervision = Supervision::start(&self.authority, &permit, &input.stream_key, CLIENT);
        let authority = self.authority.clone();
        let registry: Arc<dyn Registry> = Arc::new(self.registry.clone());
        tokio::spawn(async move { authority.follow(registry).await });
        tokio::task::yield_now().await;
        supervision
    }
}

fn disable(settings: &mut InputSettings) {
    settings.enabled = false;
}

#[tokio::test]
async fn without_keys_the_key_is_the_streams_name() {
    let authority = Authority::new(InputMode::Open, [], None);
    let permit = authority.permit(&"demo".parse().unwrap(), CLIENT).await.unwrap();
    assert_eq!((permit.stream.as_str(), permit.input), ("demo", None));
    let refused = authority.permit(&"../demo".parse().unwrap(), CLIENT).await;
    assert!(matches!(refused, Err(KeyError::NotAName(_))), "{refused:?}");
}

#[tokio::test]
async fn with_keys_nothing_is_inferred_from_there_being_no_inputs() {
    let authority = Authority::new(InputMode::Keys, [], None);
    let refused = authority.permit(&"demo".parse().unwrap(), CLIENT).await;
    assert!(matches!(refused, Err(KeyError::Unknown)), "{refused:?}");
}

#[tokio::test]
async fn keys_of_the_configuration_and_of_the_directory_open_their_streams() {
    let scene = Scene::new();
    let input = scene.create(InputSettings::default()).await;
    assert_eq!(scene.permit(&"right-secret".parse().unwrap()).await.unwrap().as_str(), "show");
    assert_eq!(scene.permit(&input.stream_key).await.unwrap(), input.uid);
    for wrong in ["show", input.uid.as_str(), "right-secret2"] {
        let refused = scene.permit(&wrong.parse().unwrap()).await;
        assert!(matches!(refused, Err(KeyError::Unknown)), "{wrong}: {refused:?}");
    }
}

#[tokio::test]
async fn each_reason_of_a_refusal_is_told_apart() {
    let scene = Scene::new();
    let disabled = scene.create(InputSettings { enabled: false, ..InputSettings::default() }).await;
    assert!(matches!(scene.permit(&disabled.stream_key).await, Err(KeyError::Disabled)));
    let blocked = scene.create(InputSettings::default()).await;
    let block = Block { reason: "a copyright claim".into(), since: clock::now() };
    scene.directory.set_block(&blocked.uid, Some(block)).await.unwrap();
    let refused = scene.permit(&blocked.stream_key).await.unwrap_err();
    assert!(matches!(refused, KeyError::Blocked(_)), "{refused:?}");
    assert_eq!(refused.to_string(), "this live input is blocked: a copyright claim");
    let allowed_addresses = vec!["192.0.2.0/24".parse().unwrap()];
    let elsewhere = scene.create(InputSettings { allowed_addresses, ..InputSettings::default() }).await;
    assert!(matches!(scene.permit(&elsewhere.stream_key).await, Err(KeyError::AddressNotAllowed)));
    let block = Block { reason: "a copyright claim".into(), since: clock::now() };
    scene.directory.set_block(&elsewhere.uid, Some(block)).await.unwrap();
    let told = scene.permit(&elsewhere.stream_key).await;
    assert!(
        matches!(told, Err(KeyError::AddressNotAllowed)),
        "a stranger is not told of the block: {told:?}"
    );
    let expiring = InputSettings { expires_unused_after: Some(600), ..InputSettings::default() };
    let long_ago = headwater_media::UnixMillis(clock::now().0 - 601_000);
    let expired = scene.directory.create_input(None, expiring, long_ago).await.unwrap();
    assert!(matches!(scene.permit(&expired.stream_key).await, Err(KeyError::Expired)));
    scene.store.set(Fault::Away);
    let unheard = scene.permit(&"a key that was never shown".parse().unwrap()).await;
    assert!(matches!(unheard, Err(KeyError::Unavailable(_))), "{unheard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_on_air_is_ended_when_its_input_is_disabled_rotated_or_deleted() {
    for change in 0..3 {
        let scene = Scene::new();
        let input = scene.create(InputSettings::default()).await;
        let mut supervision = scene.supervise(&input).await;
        match change {
            0 => drop(scene.directory.change_input(&input.uid, None, clock::now(), disable).await.unwrap()),
            1 => drop(scene.directory.rotate_key(&input.uid, None, clock::now()).await.unwrap()),
            _ => scene.directory.delete_input(&input.uid, None).await.unwrap(),
        }
        scene.registry.announce_input(&input.uid).await.unwrap();
        let error = supervision.withdrawn().await;
        let is_expected = if change == 0 {
            matches!(*error, KeyError::Disabled)
        } else {
            matches!(*error, KeyError::Unknown)
        };
        assert!(is_expected, "{change}: {error:?}");
        // The rest of its media may go to another server, and that asks again.
        assert!(Arc::ptr_eq(&supervision.withdrawn().await, &error));
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_on_air_stays_while_the_directory_is_away_or_another_input_is_changed() {
    let scene = Scene::new();
    let input = scene.create(InputSettings::default()).await;
    let other = scene.create(InputSettings::default()).await;
    let mut supervision = scene.supervise(&input).await;
    scene.directory.change_input(&other.uid, None, clock::now(), disable).await.unwrap();
    scene.registry.announce_input(&other.uid).await.unwrap();
    scene.store.set(Fault::Away);
    scene.registry.announce_input(&input.uid).await.unwrap();
    let still = tokio::time::timeout(Duration::from_secs(3_600), supervision.withdrawn()).await;
    assert!(still.is_err(), "{still:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_in_use_does_not_expire() {
    let scene = Scene::new();
    let settings = InputSettings { expires_unused_after: Some(600), ..InputSettings::default() };
    let made = headwater_media::UnixMillis(clock::now().0 - 500_000);
    let input = scene.directory.create_input(None, settings, made).await.unwrap();
    let _supervision = scene.supervise(&input).await;
    let used = async {
        loop {
            let used = scene.directory.read_input(&input.uid).await.unwrap().key_used;
            if used.is_some() {
                return used;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let used = tokio::time::timeout(Duration::from_secs(10), used).await.unwrap();
    assert!(used.unwrap().0 >= made.0 + 500_000);
}
