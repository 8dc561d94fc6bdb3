//! From the configuration to what the uploads need.

use std::path::PathBuf;
use std::time::Duration;

use headwater_runtime::config::RecordingConfig;

use crate::uploads::{SpoolSettings, UploadSettings};

/// In the directory for temporary files, where nobody says another one.
const SPOOL_FOLDER: &str = "headwater-spool";

/// Requests of the store for one object at most: six parts of 8 MiB, their beginning and their end.
const REQUESTS_OF_AN_OBJECT: u32 = 8;

/// How segments wait for a store whose requests may take so long each.
pub fn upload_settings(config: &RecordingConfig, store_timeout: Duration) -> UploadSettings {
    let directory = config.spool.as_ref().map(|directory| directory.path().to_owned());
    let directory = directory.unwrap_or_else(default_spool);
    let spool = (config.spool_size.0 > 0).then_some(SpoolSettings { directory, size: config.spool_size.0 });
    let default = UploadSettings::default();
    let longest_put = default.longest_put.max(store_timeout * REQUESTS_OF_AN_OBJECT);
    UploadSettings { spool, longest_put, ..default }
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
        let upload = |text| {
            let config = config(text);
            upload_settings(&config.recording, config.store.timeout)
        };
        assert_eq!(upload("recording.spool_size = \"0\"").spool, None);
        let spool = upload("[recording]\nspool = \"/var/spool/x\"\nspool_size = \"1GiB\"").spool.unwrap();
        assert_eq!((spool.directory.to_str(), spool.size), (Some("/var/spool/x"), 1 << 30));
        assert!(upload("").spool.unwrap().directory.ends_with(SPOOL_FOLDER));
    }

    #[test]
    fn an_object_has_the_time_that_all_its_requests_may_take() {
        let longest_put = |text| {
            let config = config(text);
            upload_settings(&config.recording, config.store.timeout).longest_put
        };
        assert_eq!(longest_put("").as_secs(), 120);
        assert_eq!(longest_put("store.timeout = \"5m\"").as_secs(), 8 * 300);
    }
}
