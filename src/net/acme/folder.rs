//! The folder with what has to outlive a restart: account, key, certificate, and what failed.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::schedule::{Held, Memory};
use crate::config::{ACME_CERTIFICATE, DomainName};
use crate::net::tls::{Facts, inspect};

const MEMORY: &str = "state.json";
/// Written first and renamed then, so that no file is ever seen half written.
const NEW: &str = ".new";

/// The folder of `tls.acme_folder`.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes it, for this user only.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
        Ok(Self(path.to_owned()))
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.0.join(ACME_CERTIFICATE)
    }

    /// What a file holds; `None` when there is none, or it was written by something else.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.0.join(name)).ok()?).ok()
    }

    /// Replaces a file.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn write<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        self.replace(name, &serde_json::to_vec_pretty(value)?, |_| Ok(()))
    }

    /// Takes a file away, if it is there.
    pub(super) fn forget(&self, name: &str) {
        drop(fs::remove_file(self.0.join(name)));
    }

    pub(super) fn keep(&self, memory: &Memory) -> io::Result<()> {
        self.write(MEMORY, memory)
    }

    /// Puts a key with its certificate and chain in the place of those that are there.
    ///
    /// # Errors
    /// They do not fit together, or the system's.
    pub(super) fn install(&self, pem: &str) -> io::Result<()> {
        let fits = |path: &Path| inspect(path, path).map(drop).map_err(io::Error::other);
        self.replace(ACME_CERTIFICATE, pem.as_bytes(), fits)
    }

    /// Sees that there is a certificate to start with: the one of before, else one that signed itself.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn begin(&self, names: &[DomainName]) -> io::Result<()> {
        let path = self.certificate();
        if inspect(&path, &path).is_ok() {
            return Ok(());
        }
        let (key, certificate) = self_signed(names).map_err(io::Error::other)?;
        self.install(&format!("{key}{certificate}"))
    }

    fn replace(&self, name: &str, bytes: &[u8], check: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        let new = self.0.join(format!("{name}{NEW}"));
        // One that was left behind may have other rights.
        drop(fs::remove_file(&new));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        check(&new)?;
        fs::rename(&new, self.0.join(name))?;
        File::open(&self.0)?.sync_all()
    }
}

/// What is kept in the folder at `path`: for the doctor, who writes nothing.
#[must_use]
pub fn remembered(path: &Path) -> Option<Memory> {
    Folder(path.to_owned()).read(MEMORY)
}

/// The certificate in the file at `path`, as it is held against what is configured. `same`: it is of that authority.
pub(super) fn held(path: &Path, names: &[DomainName], same: bool) -> Option<Held> {
    let facts: Facts = inspect(path, path).ok()??;
    let fits = same && !facts.self_signed && names.iter().all(|name| facts.is_for(name.as_str()));
    Some(Held { from: facts.not_before, until: facts.not_after, fits })
}

fn self_signed(names: &[DomainName]) -> Result<(String, String), rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| name.as_str().to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), params.self_signed(&key)?.pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("sluice-acme-{}-{name}/deep", std::process::id()));
        drop(fs::remove_dir_all(&path));
        Folder::open(&path).unwrap()
    }

    fn names() -> Vec<DomainName> {
        vec![DomainName::parse("live.example.org").unwrap()]
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_this_user_can_read_it() {
        let folder = folder("rights");
        folder.begin(&names()).unwrap();
        folder.keep(&Memory::default()).unwrap();
        assert_eq!(mode(&folder.0), 0o700);
        assert_eq!(mode(&folder.certificate()), 0o600);
        assert_eq!(mode(&folder.0.join(MEMORY)), 0o600);
    }

    #[test]
    fn a_server_begins_with_a_certificate_that_is_to_be_replaced() {
        let folder = folder("begin");
        folder.begin(&names()).unwrap();
        let first = fs::read(folder.certificate()).unwrap();
        assert!(!held(&folder.certificate(), &names(), true).unwrap().fits);
        folder.begin(&names()).unwrap();
        assert_eq!(fs::read(folder.certificate()).unwrap(), first, "what is there is used");
    }

    #[test]
    fn what_does_not_fit_together_is_not_installed() {
        let folder = folder("install");
        folder.begin(&names()).unwrap();
        let first = fs::read(folder.certificate()).unwrap();
        let ((key, _), (_, certificate)) = (self_signed(&names()).unwrap(), self_signed(&names()).unwrap());
        assert!(folder.install(&format!("{key}{certificate}")).is_err());
        assert_eq!(fs::read(folder.certificate()).unwrap(), first);
    }

    #[test]
    fn a_certificate_must_be_for_all_names_and_of_the_right_authority() {
        let folder = folder("fits");
        let params = CertificateParams::default();
        let authority = rcgen::Issuer::from_params(&params, KeyPair::generate().unwrap());
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["live.example.org".to_owned()]).unwrap();
        // The subject must differ from the issuer's, else it would look as if it had signed itself.
        params.distinguished_name = DistinguishedName::new();
        let certificate = params.signed_by(&key, &authority).unwrap();
        folder.install(&format!("{}{}", key.serialize_pem(), certificate.pem())).unwrap();
        let path = folder.certificate();
        assert!(held(&path, &names(), true).unwrap().fits);
        assert!(!held(&path, &names(), false).unwrap().fits);
        let more = [names(), vec![DomainName::parse("other.example.org").unwrap()]].concat();
        assert!(!held(&path, &more, true).unwrap().fits);
    }
}
