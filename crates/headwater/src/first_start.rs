//! Secret and access token that a first start makes, so that nobody has to think of them.

use anyhow::Context as _;
use headwater_directory::{NewToken, Scope, open_directory};
use headwater_runtime::clock;
use headwater_runtime::config::{Config, StoreUrl};

/// Gives the directory a secret, where it is in a folder and nobody has chosen one.
pub(crate) fn make_secret(config: &mut Config) -> anyhow::Result<()> {
    match &config.directory.url {
        StoreUrl::Directory(folder) if config.directory.secret.is_none() => {
            let secret = headwater_directory::own_secret(folder);
            config.directory.secret = Some(secret.context("directory.secret can be neither read nor made")?);
        }
        _ => {}
    }
    Ok(())
}

/// Text of a token with every right; none where requests need another one already, or there is no directory.
pub(crate) async fn create_first_token(config: &Config) -> anyhow::Result<Option<String>> {
    if config.control.token.is_some() {
        return Ok(None);
    }
    let Some(directory) = open_directory(&config.directory, &config.store).await? else { return Ok(None) };
    if !directory.list_tokens().await?.is_empty() {
        return Ok(None);
    }
    let new = NewToken { name: "first".into(), scopes: Scope::ALL.to_vec(), expires: None };
    let (_, text) = directory.create_token(new, clock::now()).await?;
    Ok(Some(text.expose()))
}

#[cfg(test)]
mod tests {
    use headwater_runtime::config::{File, Service, load};

    use super::*;

    fn config(text: &str) -> Config {
        load(Service::AllInOne, Some(File { path: "hw.toml", text }), []).unwrap().config
    }

    #[tokio::test]
    async fn the_first_token_is_made_once_and_has_every_right() {
        let folder = tempfile::tempdir().unwrap();
        let open = format!("directory.url = \"file://{}\"", folder.path().display());
        let mut config = config(&open);
        assert!(
            create_first_token(&config).await.unwrap().is_none(),
            "without a secret there is no directory"
        );
        make_secret(&mut config).unwrap();
        let text = create_first_token(&config).await.unwrap().unwrap().parse().unwrap();
        let directory = open_directory(&config.directory, &config.store).await.unwrap().unwrap();
        let token = directory.find_token(&text, clock::now()).await.unwrap().unwrap();
        assert_eq!(token.scopes, Scope::ALL);
        assert!(create_first_token(&config).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_token_of_the_settings_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let root = "control.token = \"0123456789abcdef\"\ndirectory.secret = \"0123456789abcdef\"";
        let config = config(&format!("{root}\ndirectory.url = \"file://{}\"", folder.path().display()));
        assert!(create_first_token(&config).await.unwrap().is_none());
    }
}
