//! Faults of every kind.

use monkeyci_build::{Fault, FaultKind, GraphFaults, Place};

/// The kinds of faults after one of a kind, with the text in every field. A new one can't be left out: the match would not compile.
fn next_kind(before: Option<&FaultKind>, text: &str) -> Option<FaultKind> {
    use FaultKind as Kind;

    let s = || text.to_owned();
    Some(match before {
        None => Kind::InvalidImage { image: s(), problem: s() },
        Some(Kind::InvalidImage { .. }) => Kind::InvalidId { id: s() },
        Some(Kind::InvalidId { .. }) => Kind::SimilarId { other: s() },
        Some(Kind::SimilarId { .. }) => Kind::UnknownNeed { need: s(), nearest: Some(s()) },
        Some(Kind::UnknownNeed { .. }) => Kind::Cycle { path: vec![s(), s()], causes: vec![] },
        Some(Kind::Cycle { .. }) => Kind::RequiresRemoved { need: s() },
        Some(Kind::RequiresRemoved { .. }) => Kind::InvalidEnvName { name: s() },
        Some(Kind::InvalidEnvName { .. }) => Kind::InvalidServiceName { name: s() },
        Some(Kind::InvalidServiceName { .. }) => Kind::ReservedServiceName { name: s() },
        Some(Kind::ReservedServiceName { .. }) => Kind::DuplicateService { name: s() },
        Some(Kind::DuplicateService { .. }) => Kind::InvalidOutputName { name: s() },
        Some(Kind::InvalidOutputName { .. }) => Kind::InvalidParamName { name: s() },
        Some(Kind::InvalidParamName { .. }) => Kind::AbsolutePath { path: s() },
        Some(Kind::AbsolutePath { .. }) => Kind::HomePath { path: s() },
        Some(Kind::HomePath { .. }) => Kind::ParentPath { path: s() },
        Some(Kind::ParentPath { .. }) => Kind::DuplicateArtifact { artifact: s(), saver: s() },
        Some(Kind::DuplicateArtifact { .. }) => Kind::ArtifactOfRemoved { artifact: s(), saver: s() },
        Some(Kind::ArtifactOfRemoved { .. }) => Kind::UnknownArtifact { artifact: s(), nearest: Some(s()) },
        Some(Kind::UnknownArtifact { .. }) => Kind::OutputOfRemoved { producer: s() },
        Some(Kind::OutputOfRemoved { .. }) => Kind::OwnArtifact { artifact: s() },
        Some(Kind::OwnArtifact { .. }) => Kind::NotSaved { artifact: s() },
        Some(Kind::NotSaved { .. }) => Kind::DuplicateCache { cache: s() },
        Some(Kind::DuplicateCache { .. }) => Kind::NotCached { cache: s() },
        Some(Kind::NotCached { .. }) => Kind::UnknownWord { value: s(), allowed: s() },
        Some(Kind::UnknownWord { .. }) => Kind::InvalidDestination { destination: s() },
        Some(Kind::InvalidDestination { .. }) => Kind::UnfitValue { problem: s() },
        Some(Kind::UnfitValue { .. }) => Kind::MissingSecret { secret: s() },
        Some(Kind::MissingSecret { .. }) => Kind::SecretValue { secret: s() },
        Some(Kind::SecretValue { .. }) => return None,
        // These have no text.
        Some(
            Kind::TooManyJobs { .. }
            | Kind::RetryCount { .. }
            | Kind::TooLongArgument { .. }
            | Kind::CacheKeyTooLong { .. }
            | Kind::MemoryTooSmall { .. }
            | Kind::MemoryTooLarge { .. }
            | Kind::DuplicateId
            | Kind::NeedsItself
            | Kind::TooManyNeeds
            | Kind::MissingImage
            | Kind::MissingCommand
            | Kind::EmptyCommand
            | Kind::TwoCommands
            | Kind::NotForAction
            | Kind::ContainsNul
            | Kind::EmptyPath
            | Kind::Zero
            | Kind::Empty
            | Kind::ControlCharacter
            | Kind::WithoutRetry
            | Kind::WithoutShell
            | Kind::NotForContainer
            | Kind::EnvTwice
            | Kind::TooManyDestinations
            | Kind::MissingChoices
            | Kind::ChoicesWithoutChoice
            | Kind::MissingValue
            | Kind::DeclaredOtherwise
            | Kind::OnlyInDefine
            | Kind::MissingCall
            | Kind::Changed,
        ) => return None,
    })
}

/// A graph with faults of every kind, of a job and of a parameter, with the text in every field.
pub(super) fn faults(text: &str) -> GraphFaults {
    let mut kinds: Vec<FaultKind> = Vec::new();
    while let Some(next) = next_kind(kinds.last(), text) {
        kinds.push(next);
    }
    let places = [Place::Job(text.to_owned()), Place::Parameter(text.to_owned())];
    let of = |place: Place| kinds.iter().map(move |kind| (place.clone(), kind.clone()));
    let all = places.into_iter().flat_map(of);
    GraphFaults(all.map(|(place, kind)| Fault { place, field: text.to_owned(), kind }).collect())
}
