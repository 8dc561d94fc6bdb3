//! Lists of any length.

use headwater_platform::store::{Entry, Key, ObjectStore, StoreError};

/// All objects below a prefix, in the order of their keys.
pub(crate) async fn all_below(store: &dyn ObjectStore, prefix: &Key) -> Result<Vec<Entry>, StoreError> {
    let mut found: Vec<Entry> = Vec::new();
    loop {
        let page = store.list(prefix, found.last().map(|entry| &entry.key)).await?;
        let is_over = !page.is_truncated || page.entries.is_empty();
        found.extend(page.entries);
        if is_over {
            return Ok(found);
        }
    }
}

/// All names that have objects below them, one level under a prefix.
pub(crate) async fn all_folders(store: &dyn ObjectStore, prefix: &Key) -> Result<Vec<String>, StoreError> {
    let mut found: Vec<String> = Vec::new();
    loop {
        let page = store.folders(prefix, found.last().map(String::as_str)).await?;
        let is_over = !page.is_truncated || page.names.is_empty();
        found.extend(page.names);
        if is_over {
            return Ok(found);
        }
    }
}

/// Deletes all objects below a prefix but those that are to stay, page by page.
pub(crate) async fn delete_below(
    store: &dyn ObjectStore,
    prefix: &Key,
    stays: impl Fn(&Key) -> bool,
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let page = store.list(prefix, after.as_ref()).await?;
        let is_over = !page.is_truncated;
        let last = page.entries.last().map(|entry| entry.key.clone());
        let keys: Vec<_> =
            page.entries.into_iter().map(|entry| entry.key).filter(|key| !stays(key)).collect();
        if !keys.is_empty() {
            store.delete(&keys).await?;
        }
        after = last;
        if is_over || after.is_none() {
            return Ok(());
        }
    }
}
