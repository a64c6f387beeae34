//! The address of a git repository as somebody wrote it, taken apart: what may be shown, what git is told, and the login.
//!
//! A login (a password, a token) goes to the server that it was written for and nowhere else: not to a message, the journal,
//! the build's id, or the clone's configuration. So what reaches those is what [`shown`] leaves of an address.

use percent_encoding::percent_decode_str;
use reqwest::Url;

/// A login for a server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// The address of a repository that is reached by HTTP.
pub(crate) struct HttpAddress {
    /// With everything but the login: what is asked for.
    pub(crate) url: Url,
    pub(crate) login: Option<Login>,
}

/// Why an address is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error(
        "it is no valid URL ({0}); a `/`, `?`, `#` or `%` in the user or the password has to be written as %2F, %3F, %23 or %25"
    )]
    Url(String),
    #[error("the user or the password in it is not UTF-8 when it is decoded")]
    Login,
}

impl HttpAddress {
    /// The address, if it is one of HTTP's; `None` for what git reaches by other ways.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, AddressError> {
        if !text.split_once("://").is_some_and(|(scheme, _)| is_http(scheme)) {
            return Ok(None);
        }
        let mut url = Url::parse(text).map_err(|error| AddressError::Url(error.to_string()))?;
        let login = login(&url)?;
        // These fail for addresses without a host, and HTTP's always have one.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        Ok(Some(Self { url, login }))
    }

    /// What git is told: without the query too, where some servers take tokens. Git keeps it in the clone.
    pub(crate) fn for_git(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

fn login(url: &Url) -> Result<Option<Login>, AddressError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| AddressError::Login);
    Ok(Some(Login { user: decoded(url.username())?, password: decoded(url.password().unwrap_or_default())? }))
}

/// An address as it may be shown: without user, password, query and fragment.
///
/// An address that can be read in two ways is read in the one that shows less.
pub(crate) fn shown(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let rest = &rest[login_end(rest)..];
            let rest = if scheme.eq_ignore_ascii_case("file") { rest } else { before_query(rest) };
            format!("{scheme}://{rest}")
        }
        // `user@host:path`, as ssh has it: the user alone is no secret, and mostly `git`.
        None if !address.starts_with(['/', '.']) => {
            let login = address.rfind('@').filter(|at| address[..*at].contains(':'));
            login.map_or(address, |at| &address[at + 1..]).to_owned()
        }
        None => address.to_owned(),
    }
}

/// Whether an address has more in it than may be shown. The user alone of `ssh://user@host` is no secret.
pub(crate) fn has_login(address: &str) -> bool {
    let of_ssh = address.strip_prefix("ssh://").and_then(|rest| rest.split_once('@'));
    match of_ssh.filter(|(user, _)| !user.contains([':', '/', '?', '#'])) {
        Some((_, rest)) => shown(address) != format!("ssh://{rest}"),
        None => shown(address) != address,
    }
}

/// Where the login of what follows `scheme://` ends.
fn login_end(rest: &str) -> usize {
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if let Some(at) = rest[..authority].rfind('@') {
        return at + 1;
    }
    // A password with a `/` in it looks like a port and a path. What is no number is no port; and an `@` in the middle of a name
    // is more likely a login's end than a part of the path.
    let Some((_, port)) = rest[..authority].rsplit_once(':').filter(|_| !rest.starts_with('[')) else { return 0 };
    let no_port = !port.bytes().all(|byte| byte.is_ascii_digit());
    let in_a_name = |at: &usize| no_port || !rest[..*at].ends_with('/');
    rest.rfind('@').filter(in_a_name).map_or(0, |at| at + 1)
}

fn before_query(rest: &str) -> &str {
    rest.split(['?', '#']).next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_an_address_shows_its_secret() {
        for (address, left) in [
            ("https://host/team/repo.git", "https://host/team/repo.git"),
            ("https://host:8443/team/repo", "https://host:8443/team/repo"),
            ("https://user:s3cret@host/team/repo", "https://host/team/repo"),
            ("https://s3cret@host/team/repo", "https://host/team/repo"),
            ("HTTPS://user:s3c@ret@host/team/repo", "HTTPS://host/team/repo"),
            ("https://user:s3/cret@host/team/repo", "https://host/team/repo"),
            ("https://user:12/s3cret@host/team/repo", "https://host/team/repo"),
            ("https://user:/s3cret@host/team/repo", "https://host/team/repo"),
            ("https://user:s3cret/@host/team/repo", "https://host/team/repo"),
            ("https://[::1]/team/repo@v1", "https://[::1]/team/repo@v1"),
            ("https://user:s3?cret@host/team/repo", "https://host/team/repo"),
            ("https://user:s3#cret@host/team/repo", "https://host/team/repo"),
            ("https://user:s3/c@ret@host/team/repo", "https://host/team/repo"),
            ("https://host/team/repo?access_token=s3cret", "https://host/team/repo"),
            ("https://host/team/repo?private_token=s3cret&x=1#s3cret", "https://host/team/repo"),
            ("https://host:8443/@team/repo", "https://host:8443/@team/repo"),
            ("https://host/team/@scope/repo@v1", "https://host/team/@scope/repo@v1"),
            ("ssh://user:s3cret@host/team/repo", "ssh://host/team/repo"),
            ("user:s3cret@host:team/repo", "host:team/repo"),
            ("user:s3/cret@host:team/repo", "host:team/repo"),
            ("git@host:team/repo", "git@host:team/repo"),
            ("file:///a/b?c", "file:///a/b?c"),
            ("/a/b:c@d", "/a/b:c@d"),
            ("../a:b@c", "../a:b@c"),
        ] {
            assert_eq!(shown(address), left, "{address}");
            assert_eq!(has_login(address), address != left, "{address}");
        }
        assert!(!has_login("ssh://git@host:22/team/repo") && has_login("ssh://git@host/team/repo?x"));
    }

    #[test]
    fn a_login_is_decoded_and_git_is_told_none() {
        let address = HttpAddress::parse("https://us%40er:p%2Fw@host/team/repo?access_token=x#y").expect("an address");
        let address = address.expect("HTTP's");
        assert_eq!(address.for_git(), "https://host/team/repo");
        assert_eq!(address.url.as_str(), "https://host/team/repo?access_token=x");
        let login = address.login.expect("a login");
        assert_eq!((login.user.as_str(), login.password.as_str()), ("us@er", "p/w"));
    }

    #[test]
    fn an_address_that_is_none_is_told_without_itself() {
        let error = HttpAddress::parse("https://user:s3/cret@host/repo").err().expect("no address");
        assert!(error.to_string().contains("%2F") && !error.to_string().contains("s3"), "{error}");
        for other in ["file:///repo", "git@host:repo", "/repo", "ssh://host/repo"] {
            assert!(HttpAddress::parse(other).expect("an address").is_none(), "{other}");
        }
    }
}
