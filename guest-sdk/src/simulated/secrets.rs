//! `secrets`.

use super::types::Error;
use super::world::with;

#[derive(Debug)]
pub struct Secret {
    name: String,
}

impl Secret {
    pub fn name(&self) -> String {
        self.name.clone()
    }

    pub fn reveal(&self) -> Result<Vec<u8>, Error> {
        super::in_action("reveal a secret")?;
        let name = &self.name;
        with(|world| match world.given.secrets.get(name) {
            Some(secret) if world.given.revealed.contains(name) => Ok(secret.clone()),
            None => Err(Error::NotFound(format!(
                "nobody gave the build a secret {name:?}; `Simulation::secret` gives one in a test"
            ))),
            Some(_) => Err(Error::Denied(format!(
                "the secret {name:?} may not be revealed; `Simulation::allow_reveal` allows it in a test"
            ))),
        })
    }
}

pub fn named(name: &str) -> Result<Secret, Error> {
    match name.is_empty() {
        true => Err(Error::Invalid("the name of a secret is empty".to_owned())),
        false => Ok(Secret { name: name.to_owned() }),
    }
}

pub fn names() -> Result<Vec<String>, Error> {
    Ok(with(|world| world.given.secrets.keys().cloned().collect()))
}
