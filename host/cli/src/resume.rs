//! `monkeyci-host resume`

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use monkeyci_controller::{Host, Needed, Resumable, ResumeError, ResumeRequest, Silent};

use crate::Done;
use crate::args::ResumeArgs;
use crate::exit::Exit;
use crate::progress::{Hints, display};
use crate::reports::Reports;
use crate::text::{harmless, print_line};
use crate::{builds, inputs, run, setup};

/// Goes on with a build, or lists those that can be.
pub async fn resume(args: ResumeArgs) -> Done {
    let infrastructure = |error: anyhow::Error| (Exit::Infrastructure, error);
    let git_auth = setup::git_auth(&args.git_auth)?;
    // Before the host is opened: that makes a home where none is.
    drop(builds::open(&args.stores.home).await?);
    let Some(build) = &args.build else {
        return list(&setup::host(&args.stores, &args.engine, Arc::new(Silent)).await?).await;
    };
    let reports = Reports::make(&args.reports)?;
    let display = display(args.progress, Hints::of(&args.stores.home).on(&args.engine));
    let (host, signals) = run::open(&args.stores, &args.engine, display.clone()).await?;
    let all = host.resumable().await.map_err(|error| infrastructure(error.into()))?;
    // One that is in no list may be a build that runs, or is over: that is said when it is tried.
    let (_, build) = builds::find(&args.stores.home, build).await?;
    let known = all.iter().find(|known| known.build == build);
    let needs = known.map_or_else(Needed::default, |known| known.needs.clone());
    let inputs = inputs::collect_again(&args.inputs, std::env::vars_os(), &needs);
    let inputs = inputs.map_err(|error| (Exit::Usage, error))?;
    if let Some(known) = known {
        display.note(&format!("resuming {}", line(known)));
    }
    let mut request = ResumeRequest::new(build, &args.by.name);
    (request.inputs, request.git_auth, request.again) = (inputs, git_auth, args.again);
    let build = host.resume(request).await.map_err(refused)?;
    run::to_the_end(build, &args.by.name, signals, display, (&args.stores, reports)).await
}

async fn list(host: &Host) -> Done {
    let all = host.resumable().await.map_err(|error| (Exit::Infrastructure, error.into()))?;
    if all.is_empty() {
        print_line("no build of this home has lost its host");
    }
    for known in &all {
        print_line(&line(known));
        for secret in &known.needs.secrets {
            print_line(&format!("    needs --secret {}=FILE", harmless(secret, false)));
        }
        for param in &known.needs.params {
            print_line(&format!("    needs --param {}=VALUE, which a secret stands in", harmless(param, false)));
        }
        if let Some(reason) = &known.refused {
            print_line(&format!("    can't be resumed: {}", harmless(reason, false)));
        }
    }
    Ok(Exit::Success)
}

/// A build in a line.
fn line(known: &Resumable) -> String {
    let Resumable { build, jobs, over, ran, blocked, last_ms, .. } = known;
    let jobs = match jobs {
        0 => "its jobs are not known yet".to_owned(),
        jobs => format!("{over} of {jobs} jobs are over"),
    };
    let ran = if ran.is_empty() { String::new() } else { format!("; {} ran when its host died", ran.join(", ")) };
    let blocked = match blocked.as_slice() {
        [] => String::new(),
        [one] => format!("; {one} waits for approval"),
        many => format!("; {} wait for approval", many.join(", ")),
    };
    let last = SystemTime::UNIX_EPOCH + Duration::from_millis(*last_ms);
    let ago = SystemTime::now().duration_since(last).unwrap_or_default();
    let ago = humantime::format_duration(Duration::from_secs(ago.as_secs()));
    harmless(&format!("{build}: {jobs}{ran}{blocked}; last heard of {ago} ago"), false)
}

pub fn refused(error: ResumeError) -> (Exit, anyhow::Error) {
    let exit = match &error {
        ResumeError::NoBuild { .. }
        | ResumeError::Over { .. }
        | ResumeError::Runs { .. }
        | ResumeError::NotEnough { .. }
        | ResumeError::Missing { .. }
        | ResumeError::Different { .. }
        | ResumeError::Changed { .. } => Exit::Usage,
        _ => Exit::Infrastructure,
    };
    (exit, error.into())
}
