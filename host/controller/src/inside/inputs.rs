//! The values that a job and its services were given when they began, given again.

use std::collections::{BTreeMap, BTreeSet};

use monkeyci_build::{BuildState, ContainerSpec, Ending, Event, LateValue, Requested};

use super::{ShellError, ShellRequest};
use crate::home::Home;
use crate::inputs::Inputs;
use crate::jobs::{LateValues, late_values, secret_env};
use crate::running::{Digests, Needed};

/// The variables of services that are secrets, by service and name.
pub(super) type ServiceEnv = BTreeMap<String, BTreeMap<String, String>>;

/// The job's late values, and the secrets of its services: with the secrets that were given again, or without any and without the parameters
/// that one stands in.
pub(super) fn late(
    home: &Home,
    (build, request): (&str, &ShellRequest),
    events: &[Event],
    state: &BuildState,
    spec: &ContainerSpec,
) -> Result<(LateValues, ServiceEnv), ShellError> {
    let requested = Requested::of(events);
    let mut spec = spec.clone();
    let unknown = |ending: Ending| ShellError::Values { job: request.job.clone(), reason: ending.to_string() };
    let hidden = |value: &LateValue| match value {
        LateValue::Secret(_) | LateValue::SecretFile(_) => true,
        LateValue::ParamFile(param) => requested.is_some_and(|known| known.secret_params.contains_key(param)),
        LateValue::Output { .. } => false,
    };
    let mut inputs = Inputs::default();
    if request.with_secrets {
        inputs = request.inputs.clone();
        if let Some(requested) = requested {
            check(home, (build, request), requested, &needed(&spec, requested))?;
        }
    } else {
        spec.services.iter_mut().for_each(|service| service.secret_env.clear());
        spec.late_env.retain(|_, value| !hidden(value));
    }
    if let Some(requested) = requested {
        inputs.params.extend(requested.params.clone());
    }
    let services = secret_env(&inputs, &spec).map_err(unknown)?;
    Ok((late_values(&spec, &inputs, state).map_err(unknown)?, services))
}

/// What a job and its services were given that no journal has.
pub(super) fn needed(spec: &ContainerSpec, requested: &Requested) -> Needed {
    let (mut secrets, mut params) = (BTreeSet::new(), BTreeSet::new());
    for value in spec.late_env.values() {
        match value {
            LateValue::Secret(name) | LateValue::SecretFile(name) => drop(secrets.insert(name.clone())),
            LateValue::ParamFile(name) if requested.secret_params.contains_key(name) => {
                params.insert(name.clone());
            }
            LateValue::ParamFile(_) | LateValue::Output { .. } => {}
        }
    }
    secrets.extend(spec.services.iter().flat_map(|service| service.secret_env.values().cloned()));
    Needed { secrets: secrets.into_iter().collect(), params: params.into_iter().collect() }
}

/// Whether what the job needs was given again, and is what the build began with.
fn check(
    home: &Home,
    (build, request): (&str, &ShellRequest),
    requested: &Requested,
    needs: &Needed,
) -> Result<(), ShellError> {
    let Inputs { secrets, params, .. } = &request.inputs;
    let mut missing = needs.clone();
    missing.secrets.retain(|name| !secrets.contains_key(name));
    missing.params.retain(|name| !params.contains_key(name));
    if !missing.is_empty() {
        return Err(ShellError::Missing { job: request.job.clone(), needs: missing });
    }
    let key = home.digest_key()?;
    let digests = Digests { key: &key, build };
    let other_secret = needs
        .secrets
        .iter()
        .find(|name| requested.secrets.get(*name) != Some(&digests.of("secret", name, &secrets[*name].0)));
    let other_param = needs
        .params
        .iter()
        .find(|name| requested.secret_params.get(*name) != Some(&digests.of("param", name, params[*name].as_bytes())));
    match other_secret.or(other_param) {
        Some(name) => Err(ShellError::Different { build: build.to_owned(), name: name.clone() }),
        None => Ok(()),
    }
}
