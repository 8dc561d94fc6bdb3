//! From the configuration to what the uploads need.

use std::path::PathBuf;

use headwater_runtime::config::RecordingConfig;

use crate::uploads::{SpoolSettings, UploadSettings};

/// In the directory for temporary files, where nobody says another one.
const SPOOL_FOLDER: &str = "headwater-spool";

/// How segments wait for the store.
pub fn upload_settings(config: &RecordingConfig) -> UploadSettings {
    let directory = config.spool.as_ref().map(|directory| directory.path().to_owned());
    let directory = directory.unwrap_or_else(default_spool);
    let spool = (config.spool_size.0 > 0).then_some(SpoolSettings { directory, size: config.spool_size.0 });
    UploadSettings { spool, ..UploadSettings::default() }
}

fn default_spool() -> PathBuf {
    std::env::temp_dir().join(SPOOL_FOLDER)
}

#[cfg(test)]
mod tests {
    use headwater_runtime::config::{Config, File, Service, load};

    use super::*;

    fn config(text: &str) -> Config {
        load(Service::AllInOne, Some(File { path: "hw.toml", text }), []).unwrap().config
    }

    #[test]
    fn a_spool_of_no_size_is_none() {
        let upload = |text| upload_settings(&config(text).recording);
        assert_eq!(upload("recording.spool_size = \"0\"").spool, None);
        let spool = upload("[recording]\nspool = \"/var/spool/x\"\nspool_size = \"1GiB\"").spool.unwrap();
        assert_eq!((spool.directory.to_str(), spool.size), (Some("/var/spool/x"), 1 << 30));
        assert!(upload("").spool.unwrap().directory.ends_with(SPOOL_FOLDER));
    }
}
