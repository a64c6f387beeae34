//! Tokens: made with a key that this controller drew at random, and that never leaves it.

mod hs256;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use monkeyci_api::{AUDIENCE, Claims, ISSUER, Role, Scope, Token};

use crate::error::ControllerError;

/// The only algorithm that is signed with or accepted. Signer and verifier are the same process, so a shared key does.
const ALGORITHM: Algorithm = Algorithm::HS256;

/// Makes and checks tokens.
pub(crate) struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    /// The ids of tokens that have not been revoked, each with its build: a token dies with its build or job, whatever
    /// its `exp` says.
    live: Mutex<HashMap<String, String>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

impl Tokens {
    /// Draws a key.
    pub(crate) fn new() -> Self {
        hs256::provide();
        let key: [u8; 32] = rand::random();
        let mut validation = Validation::new(ALGORITHM);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        validation.leeway = 5;
        Self {
            signing: EncodingKey::from_secret(&key),
            checking: DecodingKey::from_secret(&key),
            validation,
            live: Mutex::default(),
        }
    }

    /// Makes a token that lives for `life` at most; returns it with its id.
    pub(crate) fn issue(
        &self,
        build: &str,
        role: Role,
        scopes: Vec<Scope>,
        life: Duration,
    ) -> Result<(Token, String), ControllerError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let jti = format!("{:032x}", rand::random::<u128>());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: build.to_owned(),
            iat: now,
            exp: now.saturating_add(life.as_secs()),
            jti: jti.clone(),
            role,
            scopes,
        };
        let token = self.sign(&claims)?;
        self.live().insert(jti.clone(), build.to_owned());
        Ok((token, jti))
    }

    pub(crate) fn sign(&self, claims: &Claims) -> Result<Token, ControllerError> {
        let text = jsonwebtoken::encode(&Header::new(ALGORITHM), claims, &self.signing);
        text.map(Token::new).map_err(|error| ControllerError::Token(error.to_string()))
    }

    /// The claims of a token that this controller made and has not revoked.
    ///
    /// # Errors
    /// Says in a few words why it is none.
    pub(crate) fn check(&self, token: &str) -> Result<Claims, String> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation)
            .map_err(|error| format!("the token is not valid: {error}"))?
            .claims;
        if self.live().contains_key(&claims.jti) {
            Ok(claims)
        } else {
            Err("the token is not valid: its build or job is over".to_owned())
        }
    }

    /// Ends a token.
    pub(crate) fn revoke(&self, jti: &str) {
        self.live().remove(jti);
    }

    /// Ends all tokens of a build.
    pub(crate) fn revoke_build(&self, build: &str) {
        self.live().retain(|_, owner| owner != build);
    }

    fn live(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        // A panic elsewhere leaves the map whole: each change is one call.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
