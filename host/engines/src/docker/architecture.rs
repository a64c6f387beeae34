//! Names of processor architectures, as images have them.

use crate::EngineError;

/// Those that images are made for, and other names that people know some by.
const KNOWN: [&str; 12] =
    ["386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x"];
const ALIASES: [(&str, &str); 5] =
    [("x86_64", "amd64"), ("x86-64", "amd64"), ("i386", "386"), ("aarch64", "arm64"), ("armhf", "arm")];

/// An architecture, maybe with its variant: `arm64`, `arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Architecture {
    name: &'static str,
    variant: Option<String>,
}

impl Architecture {
    /// Reads the name that a job gives.
    pub(super) fn of(image: &str, text: &str) -> Result<Self, EngineError> {
        let (name, variant) = match text.split_once('/') {
            Some((name, variant)) => (name, Some(variant)),
            None => (text, None),
        };
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        let known = KNOWN.iter().find(|known| **known == name);
        let harmless = variant.is_none_or(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_alphanumeric()));
        match known {
            Some(name) if harmless => Ok(Self { name, variant: variant.map(str::to_owned) }),
            _ => Err(EngineError::NoSuchArchitecture {
                image: image.to_owned(),
                architecture: text.to_owned(),
                reason: format!("the architectures of images are {}", KNOWN.join(", ")),
            }),
        }
    }

    /// The platform that the engines' API knows it by.
    pub(super) fn platform(&self) -> String {
        match &self.variant {
            Some(variant) => format!("linux/{}/{variant}", self.name),
            None => format!("linux/{}", self.name),
        }
    }

    /// Whether an image with this architecture and variant is for it.
    pub(super) fn is(&self, architecture: Option<&str>, variant: Option<&str>) -> bool {
        let same_variant = match (&self.variant, variant) {
            (Some(wanted), Some(variant)) if !variant.is_empty() => wanted == variant,
            _ => true,
        };
        architecture == Some(self.name) && same_variant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_goes_by_several_names() {
        for (text, platform) in [
            ("amd64", "linux/amd64"),
            ("x86_64", "linux/amd64"),
            ("aarch64", "linux/arm64"),
            ("arm/v7", "linux/arm/v7"),
        ] {
            assert_eq!(Architecture::of("image", text).expect("an architecture").platform(), platform);
        }
    }

    #[test]
    fn what_is_no_architecture_is_said_to_be_none() {
        for text in ["", "z80", "amd64/", "arm/v7/x", "arm/v7?a=b", "linux/amd64"] {
            let error = Architecture::of("image:1", text).expect_err("no architecture").to_string();
            assert!(error.starts_with("image \"image:1\" can't be had for the architecture"), "{error}");
            assert!(error.contains("amd64"), "{error}");
        }
    }

    #[test]
    fn an_image_without_a_variant_is_for_every_variant() {
        let v7 = Architecture::of("image", "arm/v7").expect("an architecture");
        assert!(v7.is(Some("arm"), None) && v7.is(Some("arm"), Some("")) && v7.is(Some("arm"), Some("v7")));
        assert!(!v7.is(Some("arm"), Some("v6")) && !v7.is(Some("arm64"), None) && !v7.is(None, None));
    }
}
