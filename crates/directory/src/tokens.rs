//! Access tokens in the store: made, recognised, listed and deleted.

use headwater_access::{AccessToken, NewToken, TokenText, is_token_id};
use headwater_media::UnixMillis;
use headwater_platform::store::{Key, Put, StoreError};

use crate::Directory;
use crate::document::{CONTENT_TYPE, from_json, to_json};
use crate::error::DirectoryError;
use crate::layout;

impl Directory {
    /// Makes an access token. Its text is given out here and never again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_token(
        &self,
        new: NewToken,
        now: UnixMillis,
    ) -> Result<(AccessToken, TokenText), DirectoryError> {
        loop {
            let text = self.make_token()?;
            let token = AccessToken::with_text(new.clone(), &text, now);
            let at = layout::token(&token.id);
            if self.store.put_new(&at, to_json(&token), CONTENT_TYPE).await? == Put::Stored {
                return Ok((token, text));
            }
        }
    }

    /// Access token of this text, if there is one and it has not expired.
    ///
    /// # Errors
    /// When its document can't be read, or the store fails: then nothing is known of the token.
    pub async fn find_token(
        &self,
        text: &TokenText,
        now: UnixMillis,
    ) -> Result<Option<AccessToken>, DirectoryError> {
        let token = self.read_token(&layout::token(text.public_id())).await?;
        Ok(token.filter(|token| token.has_text(text) && !token.is_expired(now)))
    }

    /// Access token of this id, also where it has expired.
    ///
    /// # Errors
    /// When its document can't be read, or the store fails.
    pub async fn describe_token(&self, id: &str) -> Result<Option<AccessToken>, DirectoryError> {
        if is_token_id(id) { self.read_token(&layout::token(id)).await } else { Ok(None) }
    }

    /// All access tokens, in the order of their ids.
    ///
    /// # Errors
    /// When a document can't be read, or the store fails.
    pub async fn list_tokens(&self) -> Result<Vec<AccessToken>, DirectoryError> {
        let mut tokens = Vec::new();
        let mut after: Option<Key> = None;
        loop {
            let page = self.store.list(&layout::folder(layout::TOKENS), after.as_ref()).await?;
            for entry in &page.entries {
                tokens.extend(self.read_token(&entry.key).await?);
            }
            after = page.entries.last().map(|entry| entry.key.clone());
            if !page.is_truncated {
                return Ok(tokens);
            }
        }
    }

    /// Deletes an access token; one that is not there is fine.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_token(&self, id: &str) -> Result<(), DirectoryError> {
        if is_token_id(id) {
            self.store.delete(&[layout::token(id)]).await?;
        }
        Ok(())
    }

    async fn read_token(&self, at: &Key) -> Result<Option<AccessToken>, DirectoryError> {
        match self.store.get(at).await {
            Ok(body) => from_json(at, &body).map(Some),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn make_token(&self) -> Result<TokenText, DirectoryError> {
        let mut random = [0; TokenText::RANDOM_BYTES];
        self.sealer.fill_random(&mut random)?;
        Ok(TokenText::from_random(&random))
    }
}
