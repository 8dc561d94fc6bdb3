//! `headwater token`: makes access tokens of the control API, in the directory of the configuration itself. So the first
//! token needs no other one.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use headwater_directory::{Directory, NewToken, Scope, open_directory};
use headwater_media::UnixMillis;
use headwater_runtime::cli::Options;
use headwater_runtime::clock;
use headwater_runtime::config::{Config, Service};

use crate::first_start::make_secret;

/// Arguments of `token`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Makes an access token and prints it, this once
    Create {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        token: Token,
        /// Find the directory as the origin of a cluster does, and not as `headwater up` in this working directory
        #[arg(long)]
        cluster: bool,
    },
}

/// Access token to be made.
#[derive(clap::Args)]
struct Token {
    /// Name by which people tell tokens apart
    #[arg(long)]
    name: String,
    /// Right that the token gives, such as inputs:read; once for each
    #[arg(long = "scope", required = true)]
    scopes: Vec<Scope>,
    /// Seconds until the token is not accepted any more; it does not expire without them
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    expires_in: Option<u32>,
}

/// Makes the token and prints it.
pub fn run(arguments: &Arguments) -> ExitCode {
    let Action::Create { options, token, cluster } = &arguments.action;
    let service = if *cluster { Service::Origin } else { Service::AllInOne };
    let config = match options.load(service) {
        Ok(loaded) => loaded.config,
        Err(code) => return code,
    };
    let made = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(create_token(config, *cluster, token)));
    match made {
        Ok(text) => {
            let _ = writeln!(io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "headwater token: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Text of a new token in the directory of the configuration.
async fn create_token(mut config: Config, cluster: bool, token: &Token) -> anyhow::Result<String> {
    if !cluster {
        make_secret(&mut config)?;
    }
    let directory = open_directory(&config.directory, &config.store).await?;
    let directory: Directory = directory
        .context("the configuration has no directory: set directory.url to a place, and directory.secret")?;
    let now = clock::now();
    let expires = token.expires_in.map(|seconds| UnixMillis(now.0 + u64::from(seconds) * 1_000));
    let new = NewToken { name: token.name.clone(), scopes: token.scopes.clone(), expires };
    let (_, text) = directory.create_token(new, now).await.context("the directory did not take the token")?;
    Ok(text.expose())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use headwater_runtime::config::{File, load};

    use super::*;

    fn config(text: &str) -> Config {
        load(Service::AllInOne, Some(File { path: "hw.toml", text }), []).unwrap().config
    }

    fn config_in(folder: &Path) -> Config {
        config(&format!("inputs.mode = \"keys\"\ndirectory.url = \"file://{}\"", folder.display()))
    }

    fn token() -> Token {
        Token { name: "first".into(), scopes: vec![Scope::TokensWrite], expires_in: Some(60) }
    }

    #[tokio::test]
    async fn a_token_is_one_of_the_directory_that_headwater_up_opens() {
        let folder = tempfile::tempdir().unwrap();
        let text = create_token(config_in(folder.path()), false, &token()).await.unwrap();
        let mut config = config_in(folder.path());
        make_secret(&mut config).unwrap();
        let directory = open_directory(&config.directory, &config.store).await;
        let directory = directory.unwrap().unwrap();
        let shown = text.parse().unwrap();
        let found = directory.find_token(&shown, clock::now()).await.unwrap().unwrap();
        assert_eq!((found.name.as_str(), &*found.scopes), ("first", &[Scope::TokensWrite][..]));
        let later = UnixMillis(clock::now().0 + 61_000);
        assert!(directory.find_token(&shown, later).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn without_a_directory_it_is_said_what_to_set() {
        let error = create_token(config("directory.url = \"none\""), false, &token()).await.unwrap_err();
        assert!(error.to_string().contains("directory.url"), "{error}");
    }
}
