//! Who we are for git servers.

use std::path::{Path, PathBuf};

use reqwest::Url;

use super::error::CheckoutError;
use super::git_http::is_same_server;
use super::git_url::{HttpAddress, Login};

/// Logins for git servers, beside one in a URL itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitAuth {
    /// A file of logins for HTTP, as `git credential-store` writes it: a line `https://user:password@host` for each server.
    pub credentials: Option<PathBuf>,
    /// The private key for ssh. Without it, ssh looks for keys where it always does, and asks an agent.
    pub ssh_key: Option<PathBuf>,
    /// The file of ssh servers' keys: of no other server is a key taken. Without it, ssh has its own.
    pub known_hosts: Option<PathBuf>,
}

/// The most bytes of a file of logins.
pub(super) const FILE: u64 = 1 << 20;

/// Logins that are known by the server they are for.
#[derive(Default)]
pub(super) struct Logins(Vec<HttpAddress>);

impl Logins {
    /// Reads the file of logins, if there is one.
    ///
    /// # Errors
    /// When it can't be read, or a line of it is no login: then the line is named, and not shown.
    pub(super) fn read(auth: &GitAuth) -> Result<Self, CheckoutError> {
        let Some(path) = &auth.credentials else { return Ok(Self::default()) };
        let failed = |reason: String| CheckoutError::Auth { path: path.clone(), reason };
        let text = read(path).map_err(|error| failed(error.to_string()))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let logins = lines.map(|(at, line)| match HttpAddress::parse(line.trim()) {
            Ok(Some(address)) if address.login.is_some() => Ok(address),
            _ => Err(failed(format!("line {} is no address with a login, https://user:password@host", at + 1))),
        });
        Ok(Self(logins.collect::<Result<_, _>>()?))
    }

    /// Takes the login in an address for all that is on its server.
    pub(super) fn add(&mut self, address: &HttpAddress) {
        if let Some(login) = &address.login {
            self.0.insert(0, HttpAddress { url: address.url.clone(), login: Some(login.clone()) });
        }
    }

    /// The login for a server.
    pub(super) fn of(&self, url: &Url) -> Option<Login> {
        self.0.iter().find(|known| is_same_server(&known.url, url))?.login.clone()
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE {
        Err(std::io::Error::other(format!("it has more than {FILE} bytes")))
    } else {
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_found_by_its_server_and_a_wrong_line_is_named_and_not_shown() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("logins");
        std::fs::write(&path, "# ours\nhttps://ada:p%2Fw@host\n\nhttps://bob:x@other:8443/team\n").expect("written");
        let auth = GitAuth { credentials: Some(path.clone()), ..GitAuth::default() };
        let logins = Logins::read(&auth).expect("logins");
        let user = |url: &str| Some(logins.of(&Url::parse(url).expect("a URL"))?.user);
        assert_eq!(user("https://host/any/repo").as_deref(), Some("ada"));
        assert_eq!(user("https://other:8443/any").as_deref(), Some("bob"));
        assert_eq!((user("https://other/any"), user("http://host/any")), (None, None));
        std::fs::write(&path, "https://ada:x@host\ns3cret\n").expect("written");
        let error = Logins::read(&auth).err().expect("a wrong line").to_string();
        assert!(error.contains("line 2") && !error.contains("s3cret"), "{error}");
    }
}
