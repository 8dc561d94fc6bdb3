//! Live inputs in the store: made, read, listed, changed, found by their keys, and deleted.

use futures::StreamExt;
use futures::stream;
use headwater_access::to_hex;
use headwater_media::{StreamId, StreamKey, UnixMillis};
use headwater_platform::store::{Put, Replaced, StoreError, Version};

use crate::Directory;
use crate::document::{CONTENT_TYPE, InputDocument, LookupDocument, from_json, to_json};
use crate::error::DirectoryError;
use crate::input::{Block, InputSettings, LiveInput};
use crate::layout;
use crate::seal::SealError;

/// Live inputs of a page, at most.
pub const MAX_PAGE_INPUTS: usize = 100;

/// Documents of a page that are read at once.
const CONCURRENT_READS: usize = 16;
/// Bytes of the uid and of the stream key that the directory makes.
const UID_BYTES: usize = 16;
const STREAM_KEY_BYTES: usize = 32;
/// Attempts of a change that does not depend on the state before it.
const MAX_ATTEMPTS: usize = 5;

/// Some of the live inputs, in the order of their uids.
#[derive(Clone, Debug, PartialEq)]
pub struct InputPage {
    pub inputs: Vec<LiveInput>,
    /// Uid to go on after; none at the end.
    pub next: Option<StreamId>,
}

/// Live input as it was read, and the version to replace it by.
struct Current {
    input: LiveInput,
    version: Version,
}

impl Directory {
    /// Makes a live input with a new stream key, under a new uid unless one is given.
    ///
    /// # Errors
    /// When there is an input of this uid, or the store fails; an answer that was lost may leave an input whose key
    /// nobody knows.
    pub async fn create_input(
        &self,
        uid: Option<StreamId>,
        settings: InputSettings,
        now: UnixMillis,
    ) -> Result<LiveInput, DirectoryError> {
        let uid = match uid {
            Some(uid) => uid,
            None => self.make_uid()?,
        };
        let stream_key = self.make_key()?;
        let input = LiveInput {
            uid,
            settings,
            stream_key,
            created: now,
            modified: now,
            key_made: now,
            key_used: None,
            blocked: None,
            revision: 1,
        };
        self.write_lookup(&input).await?;
        if !self.put_new_input(&input).await? {
            self.delete_lookup(&input.stream_key).await?;
            return Err(DirectoryError::InputExists(input.uid));
        }
        Ok(input)
    }

    /// Reads a live input.
    ///
    /// # Errors
    /// When there is none, its document can't be read, or the store fails.
    pub async fn read_input(&self, uid: &StreamId) -> Result<LiveInput, DirectoryError> {
        Ok(self.current(uid).await?.input)
    }

    /// Live inputs after a uid, [`MAX_PAGE_INPUTS`] at most. One that is deleted meanwhile is left out.
    ///
    /// # Errors
    /// When a document can't be read, or the store fails.
    pub async fn list_inputs(
        &self,
        after: Option<&StreamId>,
        limit: usize,
    ) -> Result<InputPage, DirectoryError> {
        let after = after.map(layout::input);
        let page = self.store.list(&layout::folder(layout::INPUTS), after.as_ref()).await?;
        let limit = limit.clamp(1, MAX_PAGE_INPUTS);
        let more = page.is_truncated || page.entries.len() > limit;
        let uids: Vec<_> =
            page.entries.iter().take(limit).filter_map(|entry| layout::uid_of(&entry.key)).collect();
        let next = uids.last().filter(|_| more).cloned();
        let mut reads =
            stream::iter(uids).map(async |uid| self.read_input(&uid).await).buffered(CONCURRENT_READS);
        let mut inputs = Vec::new();
        while let Some(read) = reads.next().await {
            match read {
                Ok(input) => inputs.push(input),
                Err(DirectoryError::NoInput(_)) => {}
                Err(error) => return Err(error),
            }
        }
        drop(reads);
        Ok(InputPage { inputs, next })
    }

    /// Changes the settings of a live input, if it is still in the expected revision where one is given.
    ///
    /// # Errors
    /// When there is no such input, it was changed meanwhile, or the store fails.
    pub async fn change_input(
        &self,
        uid: &StreamId,
        expected: Option<u64>,
        now: UnixMillis,
        change: impl Fn(&mut InputSettings),
    ) -> Result<LiveInput, DirectoryError> {
        let apply = |input: &mut LiveInput| {
            change(&mut input.settings);
            input.modified = now;
        };
        self.update(uid, expected, apply).await
    }

    /// Gives a live input a new stream key; the old one opens nothing from then on.
    ///
    /// # Errors
    /// When there is no such input, it was changed meanwhile, or the store fails.
    pub async fn rotate_key(
        &self,
        uid: &StreamId,
        expected: Option<u64>,
        now: UnixMillis,
    ) -> Result<LiveInput, DirectoryError> {
        let old = self.read_input(uid).await?;
        let new = LiveInput { stream_key: self.make_key()?, ..old.clone() };
        self.write_lookup(&new).await?;
        let apply = |input: &mut LiveInput| {
            input.stream_key = new.stream_key.clone();
            input.key_made = now;
            input.key_used = None;
            input.modified = now;
        };
        let expected = expected.or(Some(old.revision));
        let rotated = self.update(uid, expected, apply).await;
        let unused = match &rotated {
            Ok(_) => &old.stream_key,
            Err(DirectoryError::Changed | DirectoryError::NoInput(_)) => &new.stream_key,
            // The store may have replaced the document all the same: then the new key has to open.
            Err(_) => return rotated,
        };
        // A look-up document that stays behind opens nothing.
        if let Err(error) = self.delete_lookup(unused).await {
            tracing::warn!(%uid, %error, "the look-up document of a stream key that opens nothing could not be deleted");
        }
        rotated
    }

    /// Deletes a live input, if it is still in the expected revision where one is given.
    ///
    /// # Errors
    /// When there is no such input, it was changed meanwhile, or the store fails.
    pub async fn delete_input(&self, uid: &StreamId, expected: Option<u64>) -> Result<(), DirectoryError> {
        for _ in 0..MAX_ATTEMPTS {
            let Current { mut input, version } = self.expect(uid, expected).await?;
            input.revision += 1;
            let mut document = InputDocument::seal(&self.sealer, &input)?;
            document.deleted = true;
            let at = layout::input(uid);
            match self.store.replace(&at, to_json(&document), CONTENT_TYPE, &version).await? {
                Replaced::Changed => {}
                Replaced::Stored(_) => {
                    self.store.delete(&[at]).await?;
                    return self.delete_lookup(&input.stream_key).await;
                }
            }
        }
        Err(DirectoryError::Changed)
    }

    /// Live input that a stream key opens.
    ///
    /// # Errors
    /// When a document can't be read, or the store fails: then nothing is known of the key.
    pub async fn find_input(&self, stream_key: &StreamKey) -> Result<Option<LiveInput>, DirectoryError> {
        for name in self.sealer.lookup_names(stream_key.expose()) {
            let at = layout::lookup(&name);
            let lookup: LookupDocument = match self.store.get(&at).await {
                Ok(body) => from_json(&at, &body)?,
                Err(StoreError::NotFound) => continue,
                Err(error) => return Err(error.into()),
            };
            let Ok(uid) = lookup.uid.parse() else { continue };
            match self.read_input(&uid).await {
                Ok(input) if input.stream_key == *stream_key => return Ok(Some(input)),
                Ok(_) | Err(DirectoryError::NoInput(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Blocks a live input, or lifts its block. A block that is there already gets the new reason.
    ///
    /// # Errors
    /// When there is no such input, or the store fails.
    pub async fn set_block(&self, uid: &StreamId, block: Option<Block>) -> Result<LiveInput, DirectoryError> {
        self.update(uid, None, |input| input.blocked.clone_from(&block)).await
    }

    /// Notes that the stream key of a live input is in use, where that keeps it from expiring.
    ///
    /// # Errors
    /// When there is no such input any more, or the store fails.
    pub async fn record_use(&self, uid: &StreamId, now: UnixMillis) -> Result<(), DirectoryError> {
        self.update(uid, None, |input| input.key_used = Some(now)).await.map(drop)
    }

    /// Seals a live input under the secret in use, and names its look-up document by it.
    ///
    /// # Errors
    /// When there is no such input, or the store fails.
    pub async fn reseal_input(&self, uid: &StreamId) -> Result<(), DirectoryError> {
        self.write_lookup(&self.read_input(uid).await?).await?;
        self.update(uid, None, |_| {}).await.map(drop)
    }

    /// Applies a change, again if another writer was quicker and no revision is expected.
    async fn update(
        &self,
        uid: &StreamId,
        expected: Option<u64>,
        apply: impl Fn(&mut LiveInput),
    ) -> Result<LiveInput, DirectoryError> {
        for _ in 0..MAX_ATTEMPTS {
            let Current { mut input, version } = self.expect(uid, expected).await?;
            apply(&mut input);
            input.revision += 1;
            let body = to_json(&InputDocument::seal(&self.sealer, &input)?);
            match self.store.replace(&layout::input(uid), body, CONTENT_TYPE, &version).await? {
                Replaced::Stored(_) => return Ok(input),
                Replaced::Changed => {}
            }
        }
        Err(DirectoryError::Changed)
    }

    async fn expect(&self, uid: &StreamId, expected: Option<u64>) -> Result<Current, DirectoryError> {
        let current = self.current(uid).await?;
        if expected.is_some_and(|expected| expected != current.input.revision) {
            return Err(DirectoryError::Changed);
        }
        Ok(current)
    }

    async fn current(&self, uid: &StreamId) -> Result<Current, DirectoryError> {
        let at = layout::input(uid);
        let seen = match self.store.look(&at).await {
            Ok(seen) => seen,
            Err(StoreError::NotFound) => return Err(DirectoryError::NoInput(uid.clone())),
            Err(error) => return Err(error.into()),
        };
        let document: InputDocument = from_json(&at, &seen.body)?;
        if document.deleted {
            return Err(DirectoryError::NoInput(uid.clone()));
        }
        Ok(Current { input: document.open(&self.sealer, &at)?, version: seen.version })
    }

    /// Stores the document of a new input; false where there is one of this uid.
    async fn put_new_input(&self, input: &LiveInput) -> Result<bool, DirectoryError> {
        let at = layout::input(&input.uid);
        let body = to_json(&InputDocument::seal(&self.sealer, input)?);
        match self.store.put_new(&at, body.clone(), CONTENT_TYPE).await? {
            Put::Stored => Ok(true),
            Put::Existed { .. } => {
                // A deletion that was not finished leaves a document behind.
                let seen = self.store.look(&at).await?;
                let document: InputDocument = from_json(&at, &seen.body)?;
                if !document.deleted {
                    return Ok(false);
                }
                let replaced = self.store.replace(&at, body, CONTENT_TYPE, &seen.version).await?;
                Ok(matches!(replaced, Replaced::Stored(_)))
            }
        }
    }

    async fn write_lookup(&self, input: &LiveInput) -> Result<(), DirectoryError> {
        let at = layout::lookup(&self.sealer.lookup_name(input.stream_key.expose()));
        let document = LookupDocument { uid: input.uid.to_string() };
        self.store.put(&at, to_json(&document), CONTENT_TYPE).await?;
        Ok(())
    }

    async fn delete_lookup(&self, stream_key: &StreamKey) -> Result<(), DirectoryError> {
        let names = self.sealer.lookup_names(stream_key.expose());
        let keys: Vec<_> = names.map(|name| layout::lookup(&name)).collect();
        Ok(self.store.delete(&keys).await?)
    }

    fn make_uid(&self) -> Result<StreamId, SealError> {
        let text = self.random_hex::<UID_BYTES>()?;
        Ok(text.parse().expect("hexadecimal digits are a name"))
    }

    fn make_key(&self) -> Result<StreamKey, SealError> {
        let text = self.random_hex::<STREAM_KEY_BYTES>()?;
        Ok(text.parse().expect("the text is short and not empty"))
    }

    fn random_hex<const BYTES: usize>(&self) -> Result<String, SealError> {
        let mut bytes = [0; BYTES];
        self.sealer.fill_random(&mut bytes)?;
        Ok(to_hex(&bytes))
    }
}
