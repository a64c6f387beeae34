//! Tokens: made with a key that this controller drew at random, and that never leaves it.

mod hs256;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use monkeyci_api::{AUDIENCE, Claims, ISSUER, Role, Scope, Token};

use sha2::{Digest, Sha256};

use crate::clock::{Clock, SteadyTime};
use crate::error::ControllerError;

/// The only algorithm that is signed with or accepted. Signer and verifier are the same process, so a shared key does.
const ALGORITHM: Algorithm = Algorithm::HS256;
/// How many checked tokens are remembered, of some hundred bytes each. When they are so many, all are forgotten, and checked anew.
const KNOWN: usize = 1024;

/// Makes and checks tokens.
pub(crate) struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    /// Those of pods that another process has begun, by the SHA-256 of their texts.
    adopted: RwLock<HashMap<[u8; 32], Arc<Claims>>>,
    /// Those of this process that were checked lately, by the SHA-256 of their texts: a script calls again and again with the same one. That it
    /// is ours does not change; what does, its time and its attempt, is looked at each time.
    known: RwLock<HashMap<[u8; 32], Arc<Claims>>>,
    /// When tokens end: no step of the clock ends those of jobs that run.
    time: SteadyTime,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

impl Tokens {
    /// Draws a key.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        hs256::provide();
        let key: [u8; 32] = rand::random();
        let mut validation = Validation::new(ALGORITHM);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        // By a time that nobody sets; see below.
        validation.validate_exp = false;
        Self {
            signing: EncodingKey::from_secret(&key),
            checking: DecodingKey::from_secret(&key),
            validation,
            adopted: RwLock::default(),
            known: RwLock::default(),
            time: SteadyTime::begin(clock),
        }
    }

    /// Takes a token for one of this controller's that another process has made for an attempt of a job, until what this gives is
    /// dropped. None if it is for something else. Whoever calls it has the token from where nobody else can write.
    pub(crate) fn adopt(
        self: &Arc<Self>,
        token: &Token,
        build: &str,
        (role, attempt): (&Role, u32),
    ) -> Option<Adopted> {
        let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token.expose()).ok()?;
        if claims.sub != build || claims.role != *role || claims.attempt != attempt {
            return None;
        }
        let digest = Sha256::digest(token.expose()).into();
        self.adopted.write().unwrap_or_else(PoisonError::into_inner).insert(digest, Arc::new(claims));
        Some(Adopted { tokens: self.clone(), digest })
    }

    /// Makes a token for an attempt of the bearer's job (0 for `define`) that lives for `life` at most. It dies earlier, with
    /// the attempt: what a build's state says of that is asked at every request.
    pub(crate) fn issue(
        &self,
        build: &str,
        (role, attempt): (Role, u32),
        scopes: Vec<Scope>,
        life: Duration,
    ) -> Result<Token, ControllerError> {
        let now = self.time.now_ms() / 1000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: build.to_owned(),
            iat: now,
            exp: now.saturating_add(life.as_secs()),
            jti: format!("{:032x}", rand::random::<u128>()),
            role,
            attempt,
            scopes,
        };
        self.sign(&claims)
    }

    pub(crate) fn sign(&self, claims: &Claims) -> Result<Token, ControllerError> {
        let text = jsonwebtoken::encode(&Header::new(ALGORITHM), claims, &self.signing);
        text.map(Token::new).map_err(|error| ControllerError::Token(error.to_string()))
    }

    /// The claims of a token that this controller made. Whether its time is over says [`is_over`](Self::is_over), and whether the
    /// attempt that it is for still runs, the build's state.
    ///
    /// # Errors
    /// Says in a few words why it is none.
    pub(crate) fn check(&self, token: &str) -> Result<Arc<Claims>, String> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = [&self.known, &self.adopted];
        let found = |of: &RwLock<HashMap<_, Arc<Claims>>>| {
            of.read().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned()
        };
        if let Some(claims) = known.into_iter().find_map(found) {
            return Ok(claims);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation);
        let claims = Arc::new(decoded.map_err(|error| format!("the token is not valid: {error}"))?.claims);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(digest, claims.clone());
        Ok(claims)
    }

    /// How long it is since this host began; nobody sets it.
    pub(crate) fn passed(&self) -> Duration {
        self.time.passed()
    }

    /// Whether the time of a token is over.
    pub(crate) fn is_over(&self, claims: &Claims) -> bool {
        claims.exp <= self.time.now_ms() / 1000
    }
}

/// A token of another process that counts until this is dropped.
pub(crate) struct Adopted {
    tokens: Arc<Tokens>,
    digest: [u8; 32],
}

impl Drop for Adopted {
    fn drop(&mut self) {
        self.tokens.adopted.write().unwrap_or_else(PoisonError::into_inner).remove(&self.digest);
    }
}

#[cfg(test)]
mod tests;
