//! Access rules: who may publish, and the scopes and texts of access tokens.
//!
//! Decides by values alone: times and random bytes come from the caller, documents from `headwater-directory`.

mod hex;
mod publish;
mod scope;
mod token;

pub use hex::to_hex;
pub use publish::{InputAccess, PublishRule};
pub use scope::Scope;
pub use token::{AccessToken, NewToken, TokenText, is_token_id};
