//! A job of a pipeline as statements in Rust.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::expressions::{Axes, ID, condition, list, literal, text, texts};
use super::{WANTED, missing_line, wrapped};
use crate::import::condition::Cond;
use crate::import::model::{Cache, Command, Job, Missing, Part, Policy, Restore, Save, SaveWhen, Service, Text, Value};
use crate::import::names;

/// The names of a script's variables.
#[derive(Debug, Default)]
pub struct Names {
    pub taken: BTreeSet<String>,
    pub jobs: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, String>,
    /// The jobs that are a list of jobs.
    lists: BTreeSet<String>,
}

impl Names {
    /// The statements that declare a job, or one for each row of its matrix.
    pub fn job(&mut self, job: &Job, missing: &[&Missing], wanted: Option<&str>) -> String {
        let name = names::variable(&job.id, &mut self.taken);
        let mut taken = self.taken.clone();
        let variables = job
            .matrix
            .iter()
            .flat_map(|matrix| &matrix.axes)
            .map(|axis| (axis.clone(), names::variable(axis, &mut taken)))
            .collect();
        let axes = Axes { id: job.matrix.is_none().then(|| job.id.clone()), variables };
        // What is said of a step stands before that step, if it is followed by one.
        let followed = |line: usize| job.commands.iter().any(|command| command.line >= line);
        let (of_steps, above): (Vec<&Missing>, Vec<&Missing>) =
            missing.iter().partition(|missing| missing.place.path.contains("steps[") && followed(missing.place.line));
        let mut written = above.iter().map(|missing| missing_line(missing, 4)).collect::<String>();
        let indent = if job.matrix.is_some() { 8 } else { 4 };
        let writer = Writer { job, axes, names: self, steps: of_steps, indent, wanted };
        let (expression, after) = writer.expression(&name);
        match &job.matrix {
            None => {
                let mutable = if after.is_empty() { "" } else { "mut " };
                let _ = writeln!(written, "    let {mutable}{name} = {expression};");
                written.push_str(&after);
            }
            Some(matrix) => {
                // One that nobody needs says so, or Rust does.
                let used = |variable: &str| {
                    format!("{expression}{after}").split(|c: char| !is_word(c)).any(|word| word == variable)
                };
                let variables = matrix.axes.iter().map(|axis| match &writer.axes.variables[axis] {
                    variable if used(variable) => variable.clone(),
                    variable => format!("_{variable}"),
                });
                let all = std::iter::once(ID.to_owned()).chain(variables).collect::<Vec<_>>().join(", ");
                let _ = writeln!(written, "    let mut {name} = Vec::new();\n    for ({all}) in [");
                for (id, values) in &matrix.rows {
                    let row: Vec<String> = std::iter::once(id).chain(values).map(|value| literal(value)).collect();
                    let _ = writeln!(written, "        ({}),", row.join(", "));
                }
                written.push_str("    ] {\n");
                if after.is_empty() {
                    let _ = writeln!(written, "        {name}.push({expression});");
                } else {
                    let one = format!("one_{name}");
                    let _ = writeln!(written, "        let mut {one} = {expression};");
                    written.push_str(&after);
                    let _ = writeln!(written, "        {name}.push({one});");
                }
                written.push_str("    }\n");
                self.lists.insert(job.id.clone());
            }
        }
        self.jobs.insert(job.id.clone(), name);
        written
    }

    /// A job that another one names: itself, where it is there already.
    fn named(&self, id: &str) -> String {
        self.jobs.get(id).map_or_else(|| literal(id), |name| format!("&{name}"))
    }
}

/// Whether a character may be in the name of a variable.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

struct Writer<'a> {
    job: &'a Job,
    axes: Axes,
    names: &'a Names,
    steps: Vec<&'a Missing>,
    /// What is said where there are no jobs at all.
    wanted: Option<&'a str>,
    indent: usize,
}

impl Writer<'_> {
    /// The job, and the statements after it.
    fn expression(&self, name: &str) -> (String, String) {
        let job = self.job;
        let id = self.text(&Part::Id.into());
        let mut calls = Vec::new();
        let conditional = job.commands.iter().any(|command| command.when != Cond::True);
        let mut after = String::new();
        if conditional {
            let target = if job.matrix.is_some() { format!("one_{name}") } else { name.to_owned() };
            // A condition that takes all lines away leaves a shell with nothing to do.
            if job.commands.iter().all(|command| command.when != Cond::True) {
                calls.push("shell([\"true\"])".to_owned());
            }
            self.commands_after(&target, &mut after);
        } else {
            calls.extend(self.commands());
        }
        self.around(&mut calls);
        self.files(&mut calls);
        self.in_graph(&mut calls);
        for (cond, policy) in job.policies.iter().filter(|(cond, _)| *cond != Cond::False) {
            let call = match policy {
                Policy::Manual => "manual()",
                Policy::Always => "always()",
                Policy::OnFailure => "on_failure()",
                Policy::AllowFailure => "allow_failure()",
            };
            if *cond == Cond::True {
                calls.push(call.to_owned());
            } else {
                let target = if job.matrix.is_some() { format!("one_{name}") } else { name.to_owned() };
                self.under(cond, &format!("{target} = {target}.{call};"), &mut after);
            }
        }
        let space = " ".repeat(self.indent + 4);
        let mut written = format!("container({id}, {})", self.text(&job.image));
        for call in calls {
            let _ = write!(written, "\n{space}.{call}");
        }
        (written, after)
    }

    fn text(&self, value: &Text) -> String {
        text(value, &self.axes)
    }

    /// What is said of the steps between two lines of the file.
    fn said(&self, after: usize, up_to: usize, indent: usize) -> String {
        let between = self.steps.iter().filter(|missing| missing.place.line > after && missing.place.line <= up_to);
        between.map(|missing| missing_line(missing, indent)).collect()
    }

    fn title(&self, command: &Command, indent: usize) -> String {
        command.title.as_ref().map_or_else(String::new, |title| wrapped(title, &format!("{}// ", " ".repeat(indent))))
    }

    /// The commands, all of which run: one list of those that stand beside each other and are literal.
    fn commands(&self) -> Vec<String> {
        let (mut calls, mut before): (Vec<String>, usize) = (Vec::new(), 0);
        let inner = self.indent + 8;
        let mut lines = String::new();
        let space = " ".repeat(inner);
        let close = |lines: &mut String, calls: &mut Vec<String>| {
            if !lines.is_empty() {
                calls.push(format!("shell([\n{lines}{}])", " ".repeat(inner - 4)));
                lines.clear();
            }
        };
        for command in &self.job.commands {
            let said = self.said(before, command.line, inner) + &self.title(command, inner);
            before = command.line;
            let is_literal = self.axes.text(&command.text).literal().is_some();
            if !is_literal {
                close(&mut lines, &mut calls);
            }
            let _ = writeln!(lines, "{said}{space}{},", self.text(&command.text));
            if !is_literal {
                close(&mut lines, &mut calls);
            }
        }
        close(&mut lines, &mut calls);
        calls
    }

    /// The commands as statements, because some run under a condition.
    fn commands_after(&self, target: &str, after: &mut String) {
        let mut before = 0;
        for command in &self.job.commands {
            after.push_str(&self.said(before, command.line, self.indent));
            after.push_str(&self.title(command, self.indent));
            before = command.line;
            let call = format!("{target} = {target}.shell([{}]);", self.text(&command.text));
            self.under(&command.when, &call, after);
        }
    }

    fn under(&self, cond: &Cond, statement: &str, after: &mut String) {
        let space = " ".repeat(self.indent);
        let _ = match cond {
            Cond::True => writeln!(after, "{space}{statement}"),
            cond => writeln!(
                after,
                "{space}if {} {{\n{space}    {statement}\n{space}}}",
                condition(cond, &self.axes, false)
            ),
        };
    }

    /// What the commands run with.
    fn around(&self, calls: &mut Vec<String>) {
        let job = self.job;
        if job.shell_each && job.commands.len() > 1 {
            calls.push("shell_each()".to_owned());
        }
        if let Some(shell) = &job.shell {
            calls.push(format!("shell_program([{}])", literal(shell)));
        }
        calls.extend(job.work_dir.iter().map(|dir| format!("work_dir({})", self.text(dir))));
        calls.extend(job.user.iter().map(|user| format!("user({})", self.text(user))));
        for (set, call) in [
            (job.with_git, "with_git()"),
            (job.pull_always, "pull(PullPolicy::Always)"),
            (job.entrypoint_of_image, "entrypoint_of_image()"),
        ] {
            if set {
                calls.push(call.to_owned());
            }
        }
        calls.extend(job.env.iter().map(|(name, value)| self.variable(name, value)));
        calls.extend(job.services.iter().map(|service| format!("service({})", self.service(service))));
    }

    fn variable(&self, name: &str, value: &Value) -> String {
        let name = literal(name);
        match value {
            Value::Text(value) => format!("env({name}, {})", self.text(value)),
            Value::Secret(secret) => format!("secret_env({name}, {})", self.secret(secret)),
            Value::Output { job, output } => {
                format!("output_env({name}, {}, {})", self.names.named(job), literal(output))
            }
        }
    }

    fn secret(&self, secret: &str) -> String {
        self.names.secrets.get(secret).map_or_else(String::new, |name| format!("&{name}"))
    }

    fn service(&self, service: &Service) -> String {
        let Service { name, image, argv, env, port, ready } = service;
        let mut written = format!("service({}, {})", literal(name), self.text(image));
        if !argv.is_empty() {
            let _ = write!(written, ".argv({})", texts(argv, &self.axes));
        }
        for (name, value) in env {
            // A service has no outputs of jobs; whoever reads the file has listed them.
            if !matches!(value, Value::Output { .. }) {
                let _ = write!(written, ".{}", self.variable(name, value));
            }
        }
        if let Some(port) = port {
            let _ = write!(written, ".ready_port({port})");
        }
        if !ready.is_empty() {
            let _ = write!(written, ".ready_command({})", list(ready));
        }
        written
    }

    /// What it leaves behind, and what it begins with.
    fn files(&self, calls: &mut Vec<String>) {
        for Restore { id, path, at_path, if_there } in &self.job.restores {
            let at = if *at_path { "_as" } else { "" };
            let there = if *if_there { "_if_there" } else { "" };
            calls.push(format!("restore_artifact{at}{there}({}, {})", self.text(id), self.text(path)));
        }
        for Save { id, path, files, when, if_there } in &self.job.saves {
            let mut save = format!("artifact({}, {})", self.text(id), self.text(path));
            if !files.is_empty() {
                let _ = write!(save, ".files({})", texts(files, &self.axes));
            }
            save.push_str(match when {
                SaveWhen::Success => "",
                SaveWhen::Always => ".always()",
                SaveWhen::Failure => ".on_failure()",
            });
            if *if_there {
                save.push_str(".if_there()");
            }
            calls.push(format!("save({save})"));
        }
        for Cache { id, paths, key, fallbacks, save } in &self.job.caches {
            let mut paths = paths.iter().map(|path| self.text(path));
            let first = paths.next().unwrap_or_default();
            let mut cache = format!("cache({}, {first})", literal(id));
            paths.for_each(|path| {
                let _ = write!(cache, ".and({path})");
            });
            key.iter().for_each(|key| {
                let _ = write!(cache, ".key({})", self.text(key));
            });
            fallbacks.iter().for_each(|prefix| {
                let _ = write!(cache, ".fallback({})", self.text(prefix));
            });
            save.iter().for_each(|save| {
                let _ = write!(cache, ".save(SavePolicy::{save})");
            });
            calls.push(format!("keep({cache})"));
        }
        calls.extend(self.job.test_reports.iter().map(|glob| format!("test_report({})", self.text(glob))));
    }

    /// Where it stands in the graph, and what happens when it ends.
    fn in_graph(&self, calls: &mut Vec<String>) {
        let job = self.job;
        calls.extend(job.title.iter().map(|title| format!("label(\"name\", {})", self.text(title))));
        for need in &job.needs {
            let all = if self.names.lists.contains(need) { "_all" } else { "" };
            calls.push(format!("needs{all}({})", self.names.named(need)));
        }
        if job.fail_fast {
            calls.push(format!("fail_fast({})", literal(&job.id)));
        }
        calls.extend(self.wanted.iter().map(|reason| format!("only_if({WANTED}, {})", literal(reason))));
        for (cond, reason) in &job.only_if {
            calls.push(format!("only_if({}, {})", condition(cond, &self.axes, false), literal(reason)));
        }
        calls.extend(job.timeout_s.iter().map(|seconds| format!("timeout(Duration::from_secs({seconds}))")));
        calls.extend(job.retry.iter().map(|count| format!("retry({count})")));
        calls.extend(job.retry_on.iter().map(|cause| format!("retry_on(RetryOn::{cause})")));
    }
}
