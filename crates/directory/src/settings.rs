//! From the configuration to the directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use headwater_access::to_hex;
use headwater_platform::store::{self, StoreError, settings_at};
use headwater_runtime::config::{DirectoryConfig, Secret, StoreConfig};
use ring::rand::{SecureRandom, SystemRandom};

use crate::Directory;
use crate::seal::Sealer;

/// File of the secret that a single process makes for itself, in the folder of its directory.
const SECRET_FILE: &str = "secret";
const SECRET_BYTES: usize = 32;
/// Read and written by its owner alone.
const SECRET_FILE_MODE: u32 = 0o600;

/// Opens the directory that the configuration names; none where that gives it no place or no secret. A store that can't be
/// reached is found out by its first use.
///
/// # Errors
/// When a folder can't be made.
pub async fn open_directory(
    config: &DirectoryConfig,
    recordings: &StoreConfig,
) -> Result<Option<Directory>, StoreError> {
    let Some((settings, secret)) = settings_at(&config.url, recordings).zip(config.secret.as_ref()) else {
        return Ok(None);
    };
    let sealer = Sealer::new(secret.expose(), config.previous_secret.as_ref().map(Secret::expose));
    Ok(Some(Directory::new(store::open(&settings).await?, sealer)))
}

/// Secret of a process that has the directory in a folder to itself: made at its first start, and read from then on.
///
/// # Errors
/// When the file can't be read or made, or holds no secret.
pub fn own_secret(folder: &Path) -> io::Result<Secret> {
    let path = folder.join(SECRET_FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => write_secret(folder, &path)?,
        read => read?,
    };
    let broken = || io::Error::new(io::ErrorKind::InvalidData, format!("{} holds no secret", path.display()));
    Secret::new(text.trim_end()).ok_or_else(broken)
}

fn write_secret(folder: &Path, path: &Path) -> io::Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let text = to_hex(&bytes);
    fs::create_dir_all(folder)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(SECRET_FILE_MODE).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("directory");
        let made = own_secret(&folder).unwrap();
        assert_eq!(made.expose().len(), 2 * SECRET_BYTES);
        assert!(own_secret(&folder).unwrap() == made);
        let file = folder.join(SECRET_FILE);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, SECRET_FILE_MODE);
        fs::write(&file, "short").unwrap();
        let error = own_secret(&folder).unwrap_err().to_string();
        assert!(error.ends_with("secret holds no secret"), "{error}");
    }
}
