//! The texts of endings: which of them are words for people, and the parts of their sentences.

use super::{Ending, ShellLine};
use crate::Words;

impl Ending {
    /// Shows every text that is words for people; see [`EventBody::words`](crate::EventBody::words). What a job is called,
    /// and what it runs, are data.
    pub(crate) fn words(&mut self, see: &mut dyn FnMut(Words<'_>)) {
        let mut text = |text: &mut String| see(Words::Text(text));
        match self {
            Self::Succeeded | Self::Cancelled | Self::HostDied | Self::Manual => {}
            Self::Exited { code: _, line } => {
                line.iter_mut().for_each(|ShellLine { number: _, text: said }| text(said))
            }
            Self::Signalled { signal: _, line } => {
                line.iter_mut().for_each(|ShellLine { number: _, text: said }| text(said));
            }
            Self::OutOfMemory { limit_bytes: _ } | Self::Killed { code: _ } => {}
            Self::TimedOut { after_ms: _, during } => during.iter_mut().for_each(text),
            Self::DiskFull { place, step, reason, code: _ } => [place, step, reason].into_iter().for_each(text),
            Self::CommandNotFound { command, image } => [command, image].into_iter().for_each(text),
            Self::NotExecutable { command, image, reason } => [command, image, reason].into_iter().for_each(text),
            Self::ImageNotFound { image, reason }
            | Self::PullDenied { image, reason }
            | Self::StartFailed { image, reason } => [image, reason].into_iter().for_each(text),
            Self::NoSuchArchitecture { image, architecture, reason } => {
                [image, architecture, reason].into_iter().for_each(text);
            }
            Self::ValueMissing { name, reason } => [name, reason].into_iter().for_each(text),
            Self::ServiceNotReady { service: _, reason, last_lines } => [reason, last_lines].into_iter().for_each(text),
            Self::ArtifactNotThere { id: _ } => {}
            Self::ArtifactMissing { id: _, reason } => text(reason),
            Self::LimitReached { limit } => text(limit),
            Self::ActionFailed { message }
            | Self::ActionTrapped { message }
            | Self::Warned { message }
            | Self::RefineFailed { message } => text(message),
            Self::SidecarFailed { step, reason } => [step, reason].into_iter().for_each(text),
            Self::Diverged { call: _, recorded, now } => [recorded, now].into_iter().for_each(text),
            Self::EngineGone { reason } | Self::EngineFailed { reason } | Self::NotNeeded { reason } => text(reason),
            Self::Skipped { because: _ } | Self::FailedFast { group: _, because: _ } => {}
            Self::Tolerated { ending } | Self::Reused { build: _, duration_ms: _, ending } => ending.words(see),
            Self::Disputed { reported, code: _ } => reported.words(see),
            Self::Rejected { by, comment } => [by].into_iter().chain(comment).for_each(text),
        }
    }
}

/// How a job ended that is reused, where its status does not say it.
pub(super) fn said(ending: &Ending) -> String {
    match ending.itself() {
        Ending::Succeeded => String::new(),
        ending => format!(": {ending}"),
    }
}

pub(super) fn at(line: &Option<ShellLine>) -> String {
    line.as_ref().map_or_else(String::new, |line| format!(" at line {}: {}", line.number, line.text))
}

pub(super) fn limit(bytes: &Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!(" (limit {} MiB)", bytes / (1024 * 1024)))
}

pub(super) fn phase(during: &Option<String>) -> String {
    during.as_ref().map_or_else(String::new, |during| format!(" before its command ran, while {during}"))
}

pub(super) fn tail(lines: &str) -> String {
    if lines.is_empty() { String::new() } else { format!("; its last lines:\n{lines}") }
}

pub(super) fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        6 => "ABRT",
        7 => "BUS",
        8 => "FPE",
        9 => "KILL",
        11 => "SEGV",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        24 => "XCPU",
        25 => "XFSZ",
        31 => "SYS",
        _ => "other",
    }
}
