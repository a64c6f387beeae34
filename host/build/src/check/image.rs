//! Names of images: what every engine takes as one.

/// The longest name, without tag and digest.
const MAX_NAME: usize = 255;

/// The longest tag.
const MAX_TAG: usize = 128;

/// Whether a text can name an image, as `[registry[:port]/]path[:tag][@algorithm:digest]`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn reference(text: &str) -> Result<(), &'static str> {
    if text.contains(char::is_whitespace) {
        return Err("it has a space in it");
    }
    let (text, digest) = match text.split_once('@') {
        Some((text, digest)) => (text, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("what follows the '@' is no digest such as sha256:…");
    }
    let (registry, rest) = match text.split_once('/') {
        Some((first, rest)) if is_registry(first) => (Some(first), rest),
        _ => (None, text),
    };
    if registry.is_some_and(|registry| !is_host(registry)) {
        return Err("what comes before the first '/' is no host");
    }
    let (path, tag) = match rest.split_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("its tag has a character that no tag has, or is empty or too long");
    }
    if path.contains(|char: char| char.is_ascii_uppercase()) {
        return Err("its name has capitals; it has to be in small letters, only a tag may have others");
    }
    if path.len() + registry.map_or(0, str::len) > MAX_NAME || !path.split('/').all(is_component) {
        return Err("its name is not made of a-z 0-9 and single . _ - between them, or is too long");
    }
    Ok(())
}

/// Whether the first part of a name is a registry; a part of the path otherwise.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.contains(|char: char| char.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let is_address =
                !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    port.parse::<u16>().is_ok()
}

/// Letters and digits with a dot, one or two underscores, or any number of hyphens between.
fn is_component(text: &str) -> bool {
    let word = |char: char| char.is_ascii_alphanumeric();
    let between = |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|char| char == '-');
    text.starts_with(word) && text.ends_with(word) && text.split(word).all(between)
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MAX_TAG).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hash)| {
        !algorithm.is_empty()
            && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte))
            && hash.len() >= 32
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn what_engines_take_as_the_name_of_an_image_is_one() {
        let digest = "a".repeat(64);
        for name in [
            "debian",
            "debian:12",
            "rust:1.95-slim_x",
            "library/debian",
            "a__b/c.d/e---f:Tag",
            "localhost/app",
            "localhost:5000/app:1",
            "Registry.Example.org/team/app",
            "REGISTRY/app",
            "[fd00::1]:5000/app",
            "10.0.0.1:5000/a/b/c",
            &format!("debian@sha256:{digest}"),
            &format!("ghcr.io/a/b:1@sha256:{digest}"),
            &digest,
            &format!("sha256:{digest}"),
        ] {
            assert_eq!(reference(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_no_engine_takes_as_the_name_of_an_image_is_said_to_be_wrong() {
        for (name, problem) in [
            ("Debian:12 foo", "it has a space in it"),
            (" debian", "it has a space in it"),
            ("debian:12\n", "it has a space in it"),
            ("Debian:12", "its name has capitals"),
            ("team/App", "its name has capitals"),
            ("debian:", "its tag has"),
            ("debian:-1", "its tag has"),
            ("debian:1:2", "its tag has"),
            ("debian:a/b", "what comes before the first '/'"),
            ("debian@12", "what follows the '@'"),
            ("debian@sha256:xyz", "what follows the '@'"),
            ("https://ghcr.io/app", "what comes before the first '/'"),
            ("ghcr.io:port/app", "what comes before the first '/'"),
            ("-a.b/app", "what comes before the first '/'"),
            ("a//b", "its name is not made of"),
            ("/debian", "its name is not made of"),
            ("debian/", "its name is not made of"),
            ("a..b", "its name is not made of"),
            ("a___b", "its name is not made of"),
            ("-a", "its name is not made of"),
            ("$IMAGE", "its name has capitals"),
            ("é", "its name is not made of"),
        ] {
            let found = reference(name).expect_err(name);
            assert!(found.starts_with(problem), "{name}: {found}");
        }
    }
}
