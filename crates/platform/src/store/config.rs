//! From the configuration to a store.

use headwater_runtime::config::{self, StoreConfig, StoreUrl};

use super::{Encryption, S3Settings, StoreSettings};

/// Store of recordings that the configuration names; none where nothing is kept.
pub fn store_settings(config: &StoreConfig) -> Option<StoreSettings> {
    settings_at(&config.url, config)
}

/// Store at a URL, with the other settings of the store of recordings; none where the URL is none.
pub fn settings_at(url: &StoreUrl, config: &StoreConfig) -> Option<StoreSettings> {
    match url {
        StoreUrl::None | StoreUrl::Auto => None,
        StoreUrl::Directory(path) => Some(StoreSettings::Directory(path.clone())),
        StoreUrl::S3 { bucket, prefix } => Some(StoreSettings::S3(S3Settings {
            bucket: bucket.clone(),
            prefix: prefix.clone(),
            region: config.region.as_ref().map(|region| region.as_str().to_owned()),
            endpoint: config.endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned()),
            path_style: config.path_style,
            encryption: encryption(&config.encryption),
            storage_class: config.storage_class.as_ref().map(|class| class.as_str().to_owned()),
            timeout: config.timeout,
            credentials: None,
        })),
    }
}

fn encryption(config: &config::Encryption) -> Encryption {
    match config {
        config::Encryption::None => Encryption::None,
        config::Encryption::Aes256 => Encryption::Aes256,
        config::Encryption::Kms { key } => Encryption::Kms { key: key.clone() },
    }
}

#[cfg(test)]
mod tests {
    use headwater_runtime::config::{Config, File, Service, load};

    use super::*;

    fn config(text: &str) -> Config {
        load(Service::AllInOne, Some(File { path: "hw.toml", text }), []).unwrap().config
    }

    #[test]
    fn every_setting_of_the_store_arrives() {
        let text = r#"
[store]
url = "s3://bucket/a/b"
region = "eu-central-1"
endpoint = "http://127.0.0.1:9000"
path_style = false
encryption = "aws:kms:key"
storage_class = "STANDARD_IA"
timeout = "3s"
"#;
        let settings = store_settings(&config(text).store);
        let Some(StoreSettings::S3(s3)) = settings else { panic!("{settings:?}") };
        assert_eq!((s3.bucket.as_str(), s3.prefix.as_str()), ("bucket", "a/b"));
        assert_eq!(s3.region.as_deref(), Some("eu-central-1"));
        assert_eq!(s3.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(s3.path_style, Some(false));
        assert_eq!(s3.encryption, Encryption::Kms { key: Some("key".into()) });
        assert_eq!(s3.storage_class.as_deref(), Some("STANDARD_IA"));
        assert_eq!(s3.timeout.as_secs(), 3);
        assert!(store_settings(&config("store.url = \"none\"").store).is_none());
        let directory = store_settings(&config("").store);
        assert!(
            matches!(directory, Some(StoreSettings::Directory(path)) if path.ends_with("headwater-data"))
        );
    }
}
