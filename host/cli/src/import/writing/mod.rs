//! A pipeline as a script in Rust.

mod expressions;
mod job;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use self::expressions::{Axes, SLUG, condition, literal, one_line};
use self::job::Names;
use super::model::{Job, Missing, MissingList, Pipeline};
use super::{System, names};

/// The most characters of a comment's line.
const WIDTH: usize = 118;

/// The variable that says for what there are jobs at all.
const WANTED: &str = "wanted";

/// The source of a script that declares a pipeline's jobs; what is missing stands where it would have been.
pub fn script(pipeline: &Pipeline, system: System, file: &str) -> String {
    let jobs = in_order(&pipeline.jobs);
    let mut body = String::new();
    let mut names = Names::default();
    let secrets: BTreeSet<&str> = jobs.iter().flat_map(|job| job.secrets()).collect();
    for secret in &secrets {
        let name = names::variable(secret, &mut names.taken);
        let _ = writeln!(body, "    let {name} = build.secret({})?;", literal(secret));
        names.secrets.insert((*secret).to_owned(), name);
    }
    if !secrets.is_empty() {
        body.push('\n');
    }
    if let Some((cond, _)) = &pipeline.wanted {
        names.taken.insert(WANTED.to_owned());
        let _ = writeln!(body, "    let {WANTED} = {};\n", condition(cond, &Axes::default(), false));
    }
    let (of_jobs, outside) = by_job(&pipeline.missing, &jobs);
    let head: String = outside.iter().map(|missing| missing_line(missing, 4)).collect();
    for job in &jobs {
        let missing = of_jobs.get(job.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        body.push_str(&names.job(job, missing, pipeline.wanted.as_ref().map(|(_, reason)| reason.as_str())));
        body.push('\n');
    }
    body.push_str(&result(&jobs, &names));
    let function = match body.contains("build.") || body.contains("slug(build)") {
        true => "fn script(build: &Build) -> Result<Vec<ContainerJob>> {\n",
        false => "fn script(_: &Build) -> Result<Vec<ContainerJob>> {\n",
    };
    let mut source = top(pipeline, system, file);
    if body.contains("Duration::") {
        source.push_str("use std::time::Duration;\n\n");
    }
    source.push_str("use monkeyci_sdk::prelude::*;\n\n");
    source.push_str(function);
    source.push_str(&head);
    if !head.is_empty() {
        source.push('\n');
    }
    source.push_str(&body);
    source.push_str("}\n\nmonkeyci_sdk::script!(script);\n");
    if body.contains("slug(build)") {
        source.push_str(SLUG);
    }
    source.push_str(&test(&secrets));
    source
}

fn top(pipeline: &Pipeline, system: System, file: &str) -> String {
    let of = pipeline.name.as_ref().map_or_else(String::new, |name| format!(" \"{}\"", one_line(name)));
    let many = match pipeline.missing.len() {
        0 => "All of it is translated.".to_owned(),
        1 => "One part of it is not translated, or not as it stands there: the comment that begins with its line says why.".to_owned(),
        many => format!(
            "{many} parts of it are not translated, or not as they stand there: the comments that begin with their lines say why."
        ),
    };
    let text = format!(
        "The build{of}: a draft that `monkeyci-host import {}` made of {}. {many} `monkeyci-host check` shows the jobs, \
         `monkeyci-host run` runs them.",
        system.word(),
        one_line(file)
    );
    wrapped(&text, "//! ") + "\n"
}

fn test(secrets: &BTreeSet<&str>) -> String {
    let secrets: String = secrets.iter().map(|name| format!(".secret({}, \"a secret\")", literal(name))).collect();
    format!(
        r#"
#[cfg(test)]
mod tests {{
    use monkeyci_sdk::testing::Simulation;

    use super::*;

    #[test]
    fn the_jobs_have_no_faults() {{
        // It panics with all that there are.
        Simulation::new().branch("main"){secrets}.graph(script);
    }}
}}
"#
    )
}

/// The jobs, each after those that it needs; those of a cycle as they stand in the file.
fn in_order(jobs: &[Job]) -> Vec<&Job> {
    let (mut done, mut ordered) = (BTreeSet::new(), Vec::new());
    let known: BTreeSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    let mut left: Vec<&Job> = jobs.iter().collect();
    while !left.is_empty() {
        let ready =
            |job: &&Job| job.needs.iter().all(|need| done.contains(need.as_str()) || !known.contains(need.as_str()));
        let next = left.iter().position(ready).unwrap_or(0);
        let job = left.remove(next);
        done.insert(job.id.as_str());
        ordered.push(job);
    }
    ordered
}

/// What is missing, by the job that it stands in; and the rest.
fn by_job<'a>(missing: &'a MissingList, jobs: &[&'a Job]) -> (BTreeMap<&'a str, Vec<&'a Missing>>, Vec<&'a Missing>) {
    let (mut of_jobs, mut outside) = (BTreeMap::<&str, Vec<&Missing>>::new(), Vec::new());
    for one in missing.iter() {
        let within = |job: &&&Job| {
            let path = &job.place.path;
            let rest = one.place.path.strip_prefix(path.as_str());
            !path.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        match jobs.iter().find(within) {
            Some(job) => of_jobs.entry(&job.id).or_default().push(one),
            None => outside.push(one),
        }
    }
    (of_jobs, outside)
}

/// What is missing, as a comment.
fn missing_line(missing: &Missing, indent: usize) -> String {
    let Missing { place, why } = missing;
    let of = if place.path.is_empty() { String::new() } else { format!(" ({})", place.path) };
    wrapped(&format!("Line {}{of}: {why}", place.line), &format!("{}// ", " ".repeat(indent)))
}

/// A text in lines, each with this in front.
fn wrapped(text: &str, before: &str) -> String {
    let mut lines = vec![String::new()];
    for word in one_line(text).split_whitespace() {
        let at = lines.len() - 1;
        let wide = before.chars().count() + lines[at].chars().count() + 1 + word.chars().count();
        if !lines[at].is_empty() && wide > WIDTH {
            lines.push(word.to_owned());
        } else {
            if !lines[at].is_empty() {
                lines[at].push(' ');
            }
            lines[at].push_str(word);
        }
    }
    lines.iter().map(|line| format!("{}\n", format!("{before}{line}").trim_end())).collect()
}

/// What the function returns.
fn result(jobs: &[&Job], names: &Names) -> String {
    let mut text = String::new();
    let name = |job: &Job| names.jobs.get(&job.id).cloned().unwrap_or_default();
    let single: Vec<String> = jobs.iter().filter(|job| job.matrix.is_none()).map(|job| name(job)).collect();
    let many: Vec<String> = jobs.iter().filter(|job| job.matrix.is_some()).map(|job| name(job)).collect();
    match many.as_slice() {
        [] => {
            let _ = writeln!(text, "    Ok(vec![{}])", single.join(", "));
        }
        [only] if single.is_empty() => {
            let _ = writeln!(text, "    Ok({only})");
        }
        many => {
            let _ = writeln!(text, "    let mut jobs = vec![{}];", single.join(", "));
            for jobs in many {
                let _ = writeln!(text, "    jobs.extend({jobs});");
            }
            text.push_str("    Ok(jobs)\n");
        }
    }
    text
}
