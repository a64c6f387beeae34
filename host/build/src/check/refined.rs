//! Late jobs, when the script has completed them.

use std::collections::HashSet;

use super::fields::{self, keyed, late_field};
use super::spec::{distinct, job_spec};
use super::{FaultKind, GraphFaults, Report};
use crate::{JobDraft, JobKind, JobSpec, LateValue};

/// Checks a late job that the script has completed: the draft is the job as `define` declares it, with what `refine` added.
/// Whatever a job must have has to be there now, and what the build has counted on since `define` has to be as it was:
/// the job's id and kind, what it needs, creates, saves and restores, and whether somebody has to approve or start it.
///
/// # Errors
///
/// All faults of the job at once.
pub fn check_refined(spec: &JobSpec, draft: &JobDraft) -> Result<JobSpec, GraphFaults> {
    let drafts = std::slice::from_ref(draft);
    let mut report = Report::new(drafts);
    fields::check(draft, 0, true, &mut report);
    let mut changed = |field: &str, is: bool| {
        if is {
            report.add(0, field, FaultKind::Changed);
        }
    };
    changed("id", draft.id != spec.id);
    changed("kind", draft.container != matches!(spec.kind, JobKind::Container(_)));
    changed("remove", draft.removed.is_some());
    changed("approval", draft.approval != spec.approval);
    changed("manual", draft.manual != spec.manual);
    changed("creates-artifact", !distinct(&draft.creates_artifacts).eq(&spec.creates_artifacts));

    // What it needs can be said in several ways, and setters only add, so nothing may be there that was not before.
    let needs: HashSet<&String> = spec.needs.iter().chain(&spec.removed_needs).collect();
    changed("needs", draft.needs.iter().any(|need| !needs.contains(need)));
    changed("requires", draft.requires.iter().any(|need| !needs.contains(need)));
    for (position, (name, value)) in draft.late_env.iter().enumerate() {
        if let LateValue::Output { job, .. } = value {
            changed(&late_field(name, value, position), !spec.needs.contains(job));
        }
    }
    let saved: HashSet<&String> =
        spec.container().into_iter().flat_map(|job| &job.save_artifacts).map(|s| &s.id).collect();
    for (position, save) in draft.save_artifacts.iter().enumerate() {
        changed(&keyed("save-artifact", &save.id, position), !saved.contains(&save.id));
    }
    // Which job saves an artifact, and whether it is over, is known only of those that were declared.
    let restored = spec.container().into_iter().flat_map(|job| &job.restore_artifacts);
    let restored: HashSet<&String> = restored.filter(|restore| !restore.if_there).map(|restore| &restore.id).collect();
    for (position, restore) in draft.restore_artifacts.iter().enumerate().filter(|(_, restore)| !restore.if_there) {
        changed(&keyed("restore-artifact", &restore.id, position), !restored.contains(&restore.id));
    }
    if !report.found.is_empty() {
        return Err(report.into_faults());
    }
    let refined = job_spec(draft, spec.needs.clone(), spec.removed_needs.clone());
    // These have been decided upon, or are the declaration itself.
    Ok(JobSpec { late: true, run_when: spec.run_when, ..refined })
}
