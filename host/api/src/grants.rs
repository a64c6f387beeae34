//! What each kind of bearer is granted. Nobody else makes scopes.

use crate::Scope;

/// The scopes of `define`.
pub fn define() -> Vec<Scope> {
    vec![
        Scope::BuildRead,
        Scope::ParamsRead,
        Scope::SecretsRead,
        Scope::EventsWrite,
        Scope::JobsRead,
        Scope::FilesRead,
        Scope::LogWrite,
    ]
}

/// The scopes of the action of `job`: those of `define`, what an action does while its build runs, the artifacts that it said it
/// `creates`, and the secrets that whoever started the build lets scripts read.
pub fn action<'a>(
    job: &str,
    creates: impl IntoIterator<Item = &'a String>,
    reveals: impl IntoIterator<Item = &'a String>,
) -> Vec<Scope> {
    let mut scopes = define();
    scopes.extend([Scope::EventsRead, Scope::JobsSubmit, Scope::ArtifactsRead, Scope::OutputsWrite]);
    scopes.push(Scope::JobReport(job.to_owned()));
    scopes.extend(creates.into_iter().cloned().map(Scope::ArtifactWrite));
    scopes.extend(reveals.into_iter().cloned().map(Scope::SecretReveal));
    scopes
}

/// The scopes of the sidecar of `job`: its own job, the artifacts that it restores and saves, its caches, and nothing else.
pub fn sidecar<'a>(
    job: &str,
    restores: impl IntoIterator<Item = &'a String>,
    saves: impl IntoIterator<Item = &'a String>,
    caches: impl IntoIterator<Item = &'a String>,
) -> Vec<Scope> {
    let mut scopes = vec![Scope::JobReport(job.to_owned()), Scope::LogWrite, Scope::WorkspaceRead];
    scopes.extend(restores.into_iter().cloned().map(Scope::ArtifactRead));
    scopes.extend(saves.into_iter().cloned().map(Scope::ArtifactWrite));
    scopes.extend(caches.into_iter().cloned().map(Scope::Cache));
    scopes
}
