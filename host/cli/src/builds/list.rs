//! `monkeyci-host list`

use monkeyci_controller::{Listed, Standing, Wanted};

use super::{failed, heads, open, plain, standing, table};
use crate::Done;
use crate::args::ListArgs;
use crate::exit::Exit;
use crate::progress::{Style, one_line, short};
use crate::text::{ago, colours, duration, harmless, now_ms, print_line, print_text};

/// Lists builds, the newest first.
pub async fn list(args: ListArgs) -> Done {
    let builds = open(&args.home).await?;
    let wanted = Wanted { branch: args.branch, standing: args.standing, limit: args.limit.get() };
    let listed = builds.list(&wanted).await.map_err(failed)?;
    if args.json {
        print_line(&serde_json::json!(listed).to_string());
    } else if listed.is_empty() {
        let any = wanted.branch.is_none() && wanted.standing.is_empty();
        print_line(if any { "no build has run in this home yet" } else { "no build is like that" });
    } else {
        let style = Style { colours: colours(&std::io::stdout()) };
        print_text(&text(style, &listed, now_ms()));
    }
    Ok(Exit::Success)
}

fn text(style: Style, listed: &[Listed], now_ms: u64) -> String {
    let mut rows = vec![heads(&["BUILD", "BRANCH", "STATUS", "TOOK", "BEGAN", ""])];
    for line in listed {
        let (colour, word) = standing(line.status);
        let branch =
            line.tag.as_ref().or(line.branch.as_ref()).map_or_else(|| "-".to_owned(), |name| harmless(name, false));
        let until = if line.status == Standing::Running { now_ms } else { line.last_ms };
        let (took, began) = match line.began_ms {
            0 => ("-".to_owned(), "-".to_owned()),
            began => (duration(until.saturating_sub(began)), ago(now_ms, began)),
        };
        rows.push(vec![
            plain(harmless(&line.build, false)),
            plain(branch),
            (word.to_owned(), colour),
            plain(took),
            plain(began),
            plain(what(line)),
        ]);
    }
    table(style, &rows, &[3])
}

/// What there is to say of a build, in a line.
fn what(line: &Listed) -> String {
    if let Some(reason) = &line.reason {
        return one_line(reason);
    }
    if line.status == Standing::Lost {
        return format!("its host has died: monkeyci-host resume {}", short(&line.build));
    }
    let mut said: Vec<String> = line.rerun_of.iter().map(|of| format!("rerun of {}", one_line(short(of)))).collect();
    match line.failed.as_slice() {
        [] => {}
        [one] => said.push(one_line(&format!("{}: {}", one.job, one.why))),
        many => {
            const SHOWN: usize = 3;
            let names: Vec<_> = many.iter().take(SHOWN).map(|failed| harmless(&failed.job, false)).collect();
            let more = many.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            said.push(format!("{}{more} failed", names.join(", ")));
        }
    }
    if !line.blocked.is_empty() {
        said.push(one_line(&format!("waits for approval: {}", line.blocked.join(", "))));
    }
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use monkeyci_controller::FailedJob;

    use super::*;

    fn listed(build: &str, status: Standing, branch: Option<&str>, failed: &[(&str, &str)]) -> Listed {
        let failed = failed.iter().map(|(job, why)| FailedJob { job: (*job).to_owned(), why: (*why).to_owned() });
        Listed {
            build: build.to_owned(),
            status,
            branch: branch.map(str::to_owned),
            tag: None,
            commit: None,
            began_ms: 1_000_000,
            last_ms: 1_062_000,
            failed: failed.collect(),
            blocked: Vec::new(),
            reason: None,
            rerun_of: None,
        }
    }

    #[test]
    fn builds_stand_below_each_other_with_what_went_wrong() {
        let many = [("a", "x"), ("b", "x"), ("c", "x"), ("d", "x")];
        let waits = Listed {
            blocked: vec!["deploy".to_owned()],
            ..listed("o/r/19c4-0a", Standing::Running, Some("main"), &[])
        };
        let broken = Listed {
            reason: Some("the graph has 1 fault:\n[a] forged".to_owned()),
            ..listed("o/r/19c0-0a", Standing::BadScript, None, &[])
        };
        let all = [
            waits,
            listed("o/r/19c3-0a", Standing::Lost, Some("main"), &[]),
            listed("o/r/19c2-0a", Standing::Failure, Some("topic/long-name"), &many),
            listed(
                "o/r/19c1-0a",
                Standing::Failure,
                Some("main"),
                &[("unit", "exited with code 1 at line 2: make\ntest")],
            ),
            broken,
        ];
        insta::assert_snapshot!(text(Style { colours: false }, &all, 1_300_000), @r"
        BUILD        BRANCH           STATUS           TOOK  BEGAN
        o/r/19c4-0a  main             running     5 min 0 s  5 min ago  waits for approval: deploy
        o/r/19c3-0a  main             lost        1 min 2 s  5 min ago  its host has died: monkeyci-host resume 19c3-0a
        o/r/19c2-0a  topic/long-name  failure     1 min 2 s  5 min ago  a, b, c and 1 more failed
        o/r/19c1-0a  main             failure     1 min 2 s  5 min ago  unit: exited with code 1 at line 2: make ⏎ test
        o/r/19c0-0a  -                bad-script  1 min 2 s  5 min ago  the graph has 1 fault: ⏎ [a] forged
        ");
    }
}
