//! Seals what must be shown again, and names what must be looked up by a secret.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use headwater_access::to_hex;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{hkdf, hmac};

/// Salt of the keys that are derived from `directory.secret`; another one makes all documents unreadable.
const SALT: &[u8] = b"headwater directory 1";
const SEALING: &[u8] = b"sealing";
const LOOKUP: &[u8] = b"look-up";
const IDENTITY: &[u8] = b"identity";
/// Hexadecimal digits of a secret's identity, which sealed texts begin with.
const IDENTITY_LENGTH: usize = 8;

/// Seals texts by AES-256-GCM under keys derived (HKDF-SHA256, RFC 5869) from `directory.secret`. While the secret is
/// rotated there are two: what either sealed can be opened, and the first one seals.
pub struct Sealer {
    keys: Vec<Keys>,
    random: SystemRandom,
}

struct Keys {
    identity: String,
    sealing: LessSafeKey,
    lookup: hmac::Key,
}

/// Fault of a sealed text. It says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("it was sealed under another secret than directory.secret: give that one as the second value")]
    OtherSecret,
    #[error("it was changed since it was sealed, or belongs to another document")]
    Broken,
    #[error("the system gives no random numbers")]
    NoRandom,
}

impl Sealer {
    /// Sealer by the secret in use, and the one before it while documents of that one are left.
    pub fn new(secret: &str, previous: Option<&str>) -> Self {
        let keys = [Some(secret), previous].into_iter().flatten().map(Keys::derive).collect();
        Self { keys, random: SystemRandom::new() }
    }

    /// Seals a text for one place, such as a field of one document: elsewhere it can't be opened.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn seal(&self, place: &str, text: &str) -> Result<String, SealError> {
        let keys = &self.keys[0];
        let mut nonce = [0; NONCE_LEN];
        self.fill_random(&mut nonce)?;
        let mut sealed = text.as_bytes().to_vec();
        let place = Aad::from(place.as_bytes());
        let nonce_of_key = Nonce::assume_unique_for_key(nonce);
        keys.sealing
            .seal_in_place_append_tag(nonce_of_key, place, &mut sealed)
            .map_err(|_| SealError::Broken)?;
        let nonce = URL_SAFE_NO_PAD.encode(nonce);
        Ok(format!("{}.{nonce}.{}", keys.identity, URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens a text that was sealed for this place.
    ///
    /// # Errors
    /// When it was sealed under another secret or for another place, or was changed.
    pub fn open(&self, place: &str, sealed: &str) -> Result<String, SealError> {
        let mut fields = sealed.splitn(3, '.');
        let mut field = || fields.next().ok_or(SealError::Broken);
        let identity = field()?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| SealError::Broken);
        let nonce = Nonce::try_assume_unique_for_key(&decode(field()?)?).map_err(|_| SealError::Broken)?;
        let mut text = decode(field()?)?;
        let keys = self.keys.iter().find(|keys| keys.identity == identity).ok_or(SealError::OtherSecret)?;
        let place = Aad::from(place.as_bytes());
        let opened = keys.sealing.open_in_place(nonce, place, &mut text).map_err(|_| SealError::Broken)?;
        String::from_utf8(opened.to_vec()).map_err(|_| SealError::Broken)
    }

    /// Names that a secret text may be looked up by, the one in use first: hexadecimal digits of its HMAC-SHA256.
    pub fn lookup_names(&self, text: &str) -> impl Iterator<Item = String> {
        self.keys.iter().map(move |keys| to_hex(hmac::sign(&keys.lookup, text.as_bytes()).as_ref()))
    }

    /// Name that a secret text is looked up by from now on.
    pub fn lookup_name(&self, text: &str) -> String {
        to_hex(hmac::sign(&self.keys[0].lookup, text.as_bytes()).as_ref())
    }

    /// Random bytes as a secret needs them.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn fill_random(&self, bytes: &mut [u8]) -> Result<(), SealError> {
        self.random.fill(bytes).map_err(|_| SealError::NoRandom)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(redacted)")
    }
}

impl Keys {
    fn derive(secret: &str) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(secret.as_bytes());
        let bytes = |purpose| {
            let mut key = [0; 32];
            let purpose = [purpose];
            let expanded = root.expand(&purpose, hkdf::HKDF_SHA256);
            expanded
                .and_then(|key_material| key_material.fill(&mut key))
                .expect("32 bytes are one block of SHA-256");
            key
        };
        let sealing = UnboundKey::new(&AES_256_GCM, &bytes(SEALING)).expect("the key has 256 bits");
        Self {
            identity: to_hex(&bytes(IDENTITY))[..IDENTITY_LENGTH].into(),
            sealing: LessSafeKey::new(sealing),
            lookup: hmac::Key::new(hmac::HMAC_SHA256, &bytes(LOOKUP)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "inputs/demo/streamKey";

    #[test]
    fn a_sealed_text_is_opened_at_its_place_only() {
        let sealer = Sealer::new("a secret of the operator", None);
        let sealed = sealer.seal(PLACE, "hunter2").unwrap();
        assert!(!sealed.contains("hunter2") && !sealed.contains(&URL_SAFE_NO_PAD.encode("hunter2")));
        assert_eq!(sealer.open(PLACE, &sealed).as_deref(), Ok("hunter2"));
        assert_eq!(sealer.open("inputs/other/streamKey", &sealed), Err(SealError::Broken));
        assert_ne!(sealer.seal(PLACE, "hunter2").unwrap(), sealed, "each has a nonce of its own");
    }

    #[test]
    fn each_changed_byte_is_found() {
        let sealer = Sealer::new("a secret of the operator", None);
        let sealed = sealer.seal(PLACE, "hunter2").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let opened = sealer.open(PLACE, std::str::from_utf8(&changed).unwrap());
            assert!(opened.is_err(), "{at}: {opened:?}");
        }
        for cut in 0..sealed.len() {
            assert!(sealer.open(PLACE, &sealed[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_rotated_secret_opens_and_finds_what_the_one_before_it_sealed() {
        let old = Sealer::new("the first secret", None);
        let rotating = Sealer::new("the second secret", Some("the first secret"));
        let new = Sealer::new("the second secret", None);
        let sealed = old.seal(PLACE, "hunter2").unwrap();
        assert_eq!(rotating.open(PLACE, &sealed).as_deref(), Ok("hunter2"));
        assert_eq!(new.open(PLACE, &sealed), Err(SealError::OtherSecret));
        assert_eq!(new.open(PLACE, &rotating.seal(PLACE, "hunter2").unwrap()).as_deref(), Ok("hunter2"));
        let names: Vec<_> = rotating.lookup_names("hunter2").collect();
        assert_eq!(names, [new.lookup_name("hunter2"), old.lookup_name("hunter2")]);
        assert_ne!(names[0], names[1]);
    }
}
