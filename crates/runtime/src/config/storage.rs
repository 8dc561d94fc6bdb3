//! The types of settings about what is kept, and where.

use std::path::{Path, PathBuf};

use headwater_media::broadcast::RecordedRenditions;

use super::Service;
use super::source::Raw;
use super::value::{Value, expected_kind, quote_toml};

/// Address of the store that recordings are kept in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// By the process, which [`super::load`] has settled.
    Auto,
    None,
    Directory(PathBuf),
    S3 {
        bucket: String,
        /// Without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// Below the working directory of `headwater up`.
const AUTO_DIRECTORY: &str = "headwater-data";
const AUTO_DIRECTORY_FOLDER: &str = "headwater-directory";
/// Folder of the directory in the store of recordings: no stream has such a name.
const DIRECTORY_NAME: &str = ".directory";

impl StoreUrl {
    /// Chooses what `auto` stands for. Services apart from each other may be on machines apart: a directory of each would
    /// be no store for all.
    pub(super) fn resolve_auto(&mut self, service: Service) {
        if *self == Self::Auto {
            *self = match service {
                Service::AllInOne => Self::Directory(AUTO_DIRECTORY.into()),
                Service::Proxy | Service::Server | Service::Origin => Self::None,
            };
        }
    }

    /// Chooses what `auto` stands for in `directory.url`, beside a store that is settled.
    pub(super) fn settle_directory(&mut self, service: Service, store: &Self) {
        if *self == Self::Auto {
            *self = match (service, store) {
                (Service::AllInOne, _) => Self::Directory(AUTO_DIRECTORY_FOLDER.into()),
                (_, Self::Directory(path)) => Self::Directory(path.join(DIRECTORY_NAME)),
                (_, Self::S3 { bucket, prefix }) => {
                    let prefix = format!("{prefix}/{DIRECTORY_NAME}").trim_start_matches('/').to_owned();
                    Self::S3 { bucket: bucket.clone(), prefix }
                }
                (_, Self::Auto | Self::None) => Self::None,
            };
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        match text.split_once("://") {
            None if text == "auto" => Some(Self::Auto),
            None if text == "none" => Some(Self::None),
            Some(("file", path)) if path.starts_with(['/', '.']) => Some(Self::Directory(path.into())),
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = prefix.trim_matches('/');
                (is_bucket(bucket) && is_prefix(prefix))
                    .then(|| Self::S3 { bucket: bucket.into(), prefix: prefix.into() })
            }
            _ => None,
        }
    }
}

fn is_bucket(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    name.len() >= 3 && name.chars().all(allowed)
}

fn is_prefix(prefix: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let part = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(allowed);
    prefix.is_empty() || prefix.split('/').all(part)
}

impl Value for StoreUrl {
    const KIND: &'static str = "\"auto\", \"none\", \"s3://bucket/prefix\" or \"file:///directory\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        raw.as_text().and_then(Self::from_text).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        match self {
            Self::Auto => quote_toml("auto"),
            Self::None => quote_toml("none"),
            Self::Directory(path) => quote_toml(format!("file://{}", path.display())),
            Self::S3 { bucket, prefix } if prefix.is_empty() => quote_toml(format!("s3://{bucket}")),
            Self::S3 { bucket, prefix } => quote_toml(format!("s3://{bucket}/{prefix}")),
        }
    }
}

/// How S3 encrypts what it stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket has it.
    None,
    Aes256,
    Kms {
        /// Without one, the key that Amazon holds for the account.
        key: Option<String>,
    },
}

impl Value for Encryption {
    const KIND: &'static str = "\"none\", \"AES256\", \"aws:kms\" or \"aws:kms:KEY\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        match raw.as_text() {
            Some("none") => Ok(Self::None),
            Some("AES256") => Ok(Self::Aes256),
            Some("aws:kms") => Ok(Self::Kms { key: None }),
            Some(text) => match text.strip_prefix("aws:kms:") {
                Some(key) if !key.is_empty() => Ok(Self::Kms { key: Some(key.into()) }),
                _ => Err(expected_kind::<Self>()),
            },
            None => Err(expected_kind::<Self>()),
        }
    }
    fn show_toml(&self) -> Option<String> {
        match self {
            Self::None => quote_toml("none"),
            Self::Aes256 => quote_toml("AES256"),
            Self::Kms { key: None } => quote_toml("aws:kms"),
            Self::Kms { key: Some(key) } => quote_toml(format!("aws:kms:{key}")),
        }
    }
}

/// A name out of Amazon's lists: a region, a storage class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Name(String);

impl S3Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for S3Name {
    const KIND: &'static str = "a name, such as \"eu-central-1\" or \"STANDARD_IA\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let text = raw.as_text().filter(|text| !text.is_empty() && text.chars().all(allowed));
        text.map(|text| Self(text.into())).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(&self.0)
    }
}

/// A directory of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Value for Directory {
    const KIND: &'static str = "a directory, such as \"/var/spool/headwater\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        let text = raw.as_text().filter(|text| !text.is_empty() && !text.contains("://"));
        text.map(|text| Self(text.into())).ok_or_else(expected_kind::<Self>)
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(self.0.display())
    }
}

/// Whether broadcasts are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingMode {
    Automatic,
    Off,
}

impl Value for RecordingMode {
    const KIND: &'static str = "\"automatic\" or \"off\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        match raw.as_text() {
            Some("automatic") => Ok(Self::Automatic),
            Some("off") => Ok(Self::Off),
            _ => Err(expected_kind::<Self>()),
        }
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(if *self == Self::Off { "off" } else { "automatic" })
    }
}

impl Value for RecordedRenditions {
    const KIND: &'static str = "\"top\" or \"all\"";
    fn parse(raw: &Raw) -> Result<Self, String> {
        match raw.as_text() {
            Some("top") => Ok(Self::Top),
            Some("all") => Ok(Self::All),
            _ => Err(expected_kind::<Self>()),
        }
    }
    fn show_toml(&self) -> Option<String> {
        quote_toml(if *self == Self::Top { "top" } else { "all" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: Value>(text: &str) -> Option<T> {
        T::parse(&Raw::Text(text.into())).ok()
    }

    #[test]
    fn a_store_is_a_bucket_or_a_directory() {
        let s3 = |bucket: &str, prefix: &str| StoreUrl::S3 { bucket: bucket.into(), prefix: prefix.into() };
        for (text, url, shown) in [
            ("auto", StoreUrl::Auto, "auto"),
            ("none", StoreUrl::None, "none"),
            ("s3://my-bucket", s3("my-bucket", ""), "s3://my-bucket"),
            ("s3://my-bucket/tv/live/", s3("my-bucket", "tv/live"), "s3://my-bucket/tv/live"),
            ("file:///var/lib/x", StoreUrl::Directory("/var/lib/x".into()), "file:///var/lib/x"),
            ("file://./data", StoreUrl::Directory("./data".into()), "file://./data"),
        ] {
            assert_eq!(parse(text), Some(url.clone()), "{text}");
            assert_eq!(url.show_toml().unwrap(), format!("{shown:?}"));
        }
        for bad in [
            "",
            "s3://",
            "s3:///x",
            "s3://a",
            "s3://bucket/../x",
            "s3://bucket/a//b",
            "file://host/x",
            "/x",
            "http://x",
        ] {
            assert_eq!(parse::<StoreUrl>(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_key_for_encryption_may_have_colons() {
        let arn = "arn:aws:kms:eu-central-1:1:key/2";
        assert_eq!(parse(&format!("aws:kms:{arn}")), Some(Encryption::Kms { key: Some(arn.into()) }));
        for text in ["none", "AES256", "aws:kms", "aws:kms:alias/x"] {
            assert_eq!(parse::<Encryption>(text).unwrap().show_toml().unwrap(), format!("{text:?}"));
        }
        for bad in ["aes256", "aws:kms:", "kms", ""] {
            assert_eq!(parse::<Encryption>(bad), None, "{bad}");
        }
    }
}
