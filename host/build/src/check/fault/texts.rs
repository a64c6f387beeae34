//! Which texts of a fault are words for people.

use super::{FaultKind, Words};

impl FaultKind {
    pub(super) fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        let mut text = |text: &mut String| see(Words::Text(text));
        match self {
            Self::TooManyJobs { count: _ }
            | Self::RetryCount { count: _ }
            | Self::TooLongArgument { bytes: _ }
            | Self::CacheKeyTooLong { bytes: _ }
            | Self::MemoryTooSmall { bytes: _ }
            | Self::MemoryTooLarge { bytes: _ } => {}
            Self::DuplicateId
            | Self::NeedsItself
            | Self::TooManyNeeds
            | Self::MissingImage
            | Self::MissingCommand
            | Self::EmptyCommand
            | Self::TwoCommands
            | Self::NotForAction
            | Self::ContainsNul
            | Self::EmptyPath
            | Self::Zero
            | Self::Empty
            | Self::ControlCharacter
            | Self::WithoutRetry
            | Self::WithoutShell
            | Self::NotForContainer
            | Self::EnvTwice
            | Self::TooManyDestinations
            | Self::MissingChoices
            | Self::ChoicesWithoutChoice
            | Self::MissingValue
            | Self::DeclaredOtherwise
            | Self::OnlyInDefine
            | Self::MissingCall
            | Self::Changed => {}
            Self::InvalidImage { image, problem } => [image, problem].into_iter().for_each(text),
            Self::InvalidId { id } => text(id),
            Self::SimilarId { other } => text(other),
            Self::UnknownNeed { need, nearest } => [need].into_iter().chain(nearest).for_each(text),
            Self::Cycle { path, causes: _ } => path.iter_mut().for_each(text),
            Self::RequiresRemoved { need } => text(need),
            Self::InvalidEnvName { name }
            | Self::InvalidServiceName { name }
            | Self::ReservedServiceName { name }
            | Self::DuplicateService { name }
            | Self::InvalidOutputName { name }
            | Self::InvalidParamName { name } => text(name),
            Self::AbsolutePath { path } | Self::HomePath { path } | Self::ParentPath { path } => text(path),
            Self::DuplicateArtifact { artifact, saver } | Self::ArtifactOfRemoved { artifact, saver } => {
                [artifact, saver].into_iter().for_each(text);
            }
            Self::UnknownArtifact { artifact, nearest } => [artifact].into_iter().chain(nearest).for_each(text),
            Self::OutputOfRemoved { producer } => text(producer),
            Self::OwnArtifact { artifact } | Self::NotSaved { artifact } => text(artifact),
            Self::DuplicateCache { cache } | Self::NotCached { cache } => text(cache),
            Self::UnknownWord { value, allowed } => [value, allowed].into_iter().for_each(text),
            Self::InvalidDestination { destination } => text(destination),
            Self::UnfitValue { problem } => text(problem),
            Self::MissingSecret { secret } | Self::SecretValue { secret } => text(secret),
        }
    }
}
