//! `rules`, `only` and `except`: when a job is there, and how it starts.

use super::expression;
use crate::import::condition::{Cond, glob, regex};
use crate::import::model::{Job, Missing, MissingList, Policy};
use crate::import::yaml::Tree;

/// A rule: when it holds, and what it says.
#[derive(Clone, Debug)]
pub struct Rule {
    cond: Cond,
    when: String,
    allow_failure: Option<bool>,
}

impl Rule {
    fn is_manual(&self) -> bool {
        ["manual", "delayed"].contains(&self.when.as_str())
    }
}

/// Reads rules; `when` and `allowed` are what the job says of all. One whose condition can't be told is left out, and listed.
pub fn read(items: &[Tree], when: &str, allowed: Option<bool>, job: &Job, missing: &mut MissingList) -> Vec<Rule> {
    let mut rules = Vec::new();
    for item in items {
        if !item.is_map() {
            missing.push(Missing::of(item, "this rule is left out: it is no map"));
            continue;
        }
        let mut conds = Vec::new();
        if let Some(text) = item.get("if") {
            match expression::condition(text.text().unwrap_or_default(), job) {
                Ok(found) => {
                    if found.wider {
                        let why = "a regular expression in it became a glob, which matches more";
                        missing.push(Missing { place: text.place(), why: why.to_owned() });
                    }
                    conds.push(found.cond);
                }
                Err(wrong) => {
                    missing.push(Missing::of(item, format!("this rule is left out: {wrong}")));
                    continue;
                }
            }
        }
        if let Some(changes) = item.get("changes") {
            let paths = changes.get("paths").unwrap_or(changes);
            conds.push(any(paths, Cond::Touched, missing));
        }
        if let Some(exists) = item.get("exists") {
            conds.push(any(exists, Cond::Exists, missing));
        }
        let said = item.get("when").and_then(|when| when.text()).unwrap_or(when).to_owned();
        let allow_failure = match item.get("allow_failure").and_then(|allowed| allowed.text()) {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => allowed,
        };
        rules.push(Rule { cond: Cond::all(conds), when: said, allow_failure });
    }
    rules
}

/// Whether a file matches any of these patterns.
fn any(patterns: &Tree, of: fn(String) -> Cond, missing: &mut MissingList) -> Cond {
    let mut conds = Vec::new();
    for item in patterns.items() {
        let Some(pattern) = item.text().map(str::to_owned) else { continue };
        let made = glob(&pattern, false);
        if made.wider {
            let why = format!("the pattern `{pattern}` became `{}`, which matches more", made.text);
            missing.push(Missing { place: item.place(), why });
        }
        conds.push(of(made.text));
    }
    Cond::any(conds)
}

/// Of the first rule that holds, whether it is one of these; `false` if none holds.
fn first(rules: &[Rule], wanted: impl Fn(&Rule) -> bool) -> Cond {
    rules.iter().rev().fold(Cond::False, |rest, rule| match wanted(rule) {
        true => Cond::any([rule.cond.clone(), rest]),
        false => Cond::all([rule.cond.clone().not(), rest]),
    })
}

/// Whether a job with these rules is there.
pub fn included(rules: &[Rule]) -> Cond {
    first(rules, |rule| rule.when != "never")
}

/// Whether a rule says something.
type Test = fn(&Rule) -> bool;

/// Says of a job what its rules say.
pub fn apply(rules: &[Rule], job: &mut Job) {
    let there = included(rules);
    if there != Cond::True {
        job.only_if.push((there, "no rule of the job holds".to_owned()));
    }
    // Each rule has the job's word, or one of its own.
    job.policies.retain(|said| *said != (Cond::True, Policy::AllowFailure));
    let kinds: [(Test, Policy); 4] = [
        (Rule::is_manual, Policy::Manual),
        (|rule| rule.when == "always", Policy::Always),
        (|rule| rule.when == "on_failure", Policy::OnFailure),
        (|rule| rule.allow_failure == Some(true), Policy::AllowFailure),
    ];
    for (is, policy) in kinds {
        // What holds of all rules that let the job in needs no condition.
        let all = rules.iter().filter(|rule| rule.when != "never").all(is);
        let any = rules.iter().any(is);
        if any {
            job.policies.push((if all { Cond::True } else { first(rules, is) }, policy));
        }
    }
}

/// Whether later stages do not wait for a job with these rules: it is started by hand, and may fail, wherever it is there. Where only
/// some say so, they wait, and that is listed.
pub fn holds_up_nothing(rules: &[Rule], list: &Tree, missing: &mut MissingList) -> bool {
    let is_free = |rule: &Rule| rule.is_manual() && rule.allow_failure == Some(true);
    let there = || rules.iter().filter(|rule| rule.when != "never");
    let (any, all) = (there().any(is_free), there().all(is_free));
    if any && !all {
        let why = "later stages wait for this job wherever it is there, also where a person has to start it";
        missing.push(Missing { place: list.place(), why: why.to_owned() });
    }
    any && all
}

/// `only`, all of which has to hold, or, `negative`, `except`, of which nothing may: whether the job is there.
pub fn only(node: &Tree, negative: bool, job: &Job, missing: &mut MissingList) -> Cond {
    let mut conds = Vec::new();
    let refs = if node.is_map() { node.get("refs").cloned() } else { Some(node.clone()) };
    if let Some(refs) = refs.filter(|refs| !refs.items().is_empty()) {
        let mut any = Vec::new();
        for item in refs.items() {
            let name = item.text().unwrap_or_default().to_owned();
            match reference(&name) {
                Some((cond, wider)) => {
                    if wider {
                        let why = "the regular expression became a glob, which matches more";
                        missing.push(Missing { place: item.place(), why: why.to_owned() });
                    }
                    any.push(cond);
                }
                None => {
                    let why = format!("builds of this host are not told from others by `{name}`: it never holds");
                    missing.push(Missing::of(&item, why));
                }
            }
        }
        conds.push(Cond::any(any));
    }
    if let Some(changes) = node.get("changes") {
        conds.push(self::any(changes, Cond::Touched, missing));
    }
    if let Some(variables) = node.get("variables") {
        let mut any = Vec::new();
        for item in variables.items() {
            match expression::condition(item.text().unwrap_or_default(), job) {
                Ok(found) => any.push(found.cond),
                Err(wrong) => missing.push(Missing::of(&item, format!("this condition never holds: {wrong}"))),
            }
        }
        conds.push(Cond::any(any));
    }
    if negative { Cond::any(conds).not() } else { Cond::all(conds) }
}

/// A word of `only`, and whether what came of it matches more.
fn reference(name: &str) -> Option<(Cond, bool)> {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let both = |glob: String| Cond::any([Cond::Branch(glob.clone()), Cond::Tag(glob)]);
    let cond = match name {
        "branches" => Cond::Branch("**".to_owned()),
        "tags" => Cond::Tag("**".to_owned()),
        // What starts pipelines has other names here.
        "merge_requests" => expression::source("merge_request_event")?,
        "pushes" => expression::source("push")?,
        "triggers" => expression::source("trigger")?,
        "schedules" => expression::source("schedule")?,
        "web" | "api" | "pipelines" | "external" | "external_pull_requests" | "chat" => expression::source(name)?,
        expression if expression.starts_with('/') => {
            let inner = expression.trim_start_matches('/').trim_end_matches('i').trim_end_matches('/');
            let made = regex(inner)?;
            return Some((both(made.text), made.wider));
        }
        name => both(name.to_owned()),
    };
    Some((cond, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml;

    fn job(text: &str) -> (Job, usize) {
        let file = yaml::read(text.as_bytes()).expect(text).remove(0);
        let (mut job, mut missing) = (Job::default(), MissingList::default());
        let rules = read(&file.items(), "on_success", None, &job, &mut missing);
        apply(&rules, &mut job);
        (job, missing.len())
    }

    #[test]
    fn the_first_rule_that_holds_decides() {
        let (tags, main) = (Cond::Tag("**".to_owned()), Cond::MainBranch);
        let (found, missing) = job(
            "[{if: $CI_COMMIT_TAG, when: never}, {if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH, when: manual}, {changes: [a/*], allow_failure: true}]",
        );
        assert_eq!(missing, 0);
        let touched = Cond::Touched("a/*".to_owned());
        let there = Cond::all([tags.clone().not(), Cond::any([main.clone(), touched.clone()])]);
        assert_eq!(found.only_if[0].0, there);
        let manual = Cond::all([tags.clone().not(), main.clone()]);
        let manual_only = Cond::all([tags.clone().not(), Cond::any([main.clone(), Cond::False])]);
        assert!([&manual, &manual_only].contains(&&found.policies[0].0), "{:?}", found.policies);
        let allowed = Cond::all([tags.not(), main.not(), touched]);
        assert_eq!(found.policies[1], (allowed, Policy::AllowFailure));
    }

    #[test]
    fn what_all_rules_say_needs_no_condition_and_what_is_always_there_neither() {
        let (found, _) = job("[{if: $CI_COMMIT_TAG, when: manual}, {when: manual}]");
        assert_eq!(found.policies, [(Cond::True, Policy::Manual)]);
        assert!(found.only_if.is_empty());
        let (found, missing) = job("[{if: $CI_COMMIT_MESSAGE =~ /x/}, {if: '$CI_COMMIT_TAG =~ /^v\\d+$/'}]");
        assert_eq!((missing, &found.only_if[0].0), (2, &Cond::Tag("v**".to_owned())));
    }
}
