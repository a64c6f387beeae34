//! Inside of another CI: the last lines of a failed job fold, and what failed is said where that CI shows it.

use crate::text::harmless;

/// The CI whose job this command is a part of, if it reads more than text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inside {
    /// None, or one that reads text.
    #[default]
    Nothing,
    /// GitHub Actions, which reads workflow commands.
    GitHub,
    /// GitLab, which reads sections.
    GitLab,
}

impl Inside {
    /// The one that the environment names.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name: &str| variable(name).is_some_and(|value| value == "true");
        match (is_set("GITHUB_ACTIONS"), is_set("GITLAB_CI")) {
            (true, _) => Self::GitHub,
            (false, true) => Self::GitLab,
            (false, false) => Self::Nothing,
        }
    }

    /// Lines that fold, below a title that stays: each ends with an end of the line.
    pub fn folded(self, number: usize, title: &str, lines: &str, now_ms: u64) -> String {
        let (seconds, name) = (now_ms / 1000, format!("monkeyci_{number}"));
        match self {
            Self::Nothing => format!("{title}\n{lines}"),
            Self::GitHub => format!("::group::{}\n{lines}::endgroup::\n", data(title)),
            Self::GitLab => format!(
                "\x1b[0Ksection_start:{seconds}:{name}[collapsed=true]\r\x1b[0K{title}\n{lines}\
                 \x1b[0Ksection_end:{seconds}:{name}\r\x1b[0K\n"
            ),
        }
    }

    /// What failed, for the page of the run; nothing where there is none.
    pub fn error(self, title: &str, message: &str) -> String {
        match self {
            Self::Nothing | Self::GitLab => String::new(),
            Self::GitHub => {
                let title = data(&harmless(title, false)).replace(':', "%3A").replace(',', "%2C");
                let lines: Vec<_> = message.lines().map(|line| harmless(line, false)).collect();
                format!("::error title={title}::{}\n", data(&lines.join("\n")))
            }
        }
    }
}

/// A text as part of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ci_is_told_in_its_own_words() {
        let of = |set: &str| Inside::of(|name| (name == set).then(|| "true".to_owned()));
        let all = ["GITHUB_ACTIONS", "GITLAB_CI", "CI"].map(of);
        assert_eq!(all, [Inside::GitHub, Inside::GitLab, Inside::Nothing]);
        let [github, gitlab, nothing] = all.map(|inside| inside.folded(1, "unit: 100 %", "  | a\n", 5000));
        assert_eq!(nothing, "unit: 100 %\n  | a\n");
        assert_eq!(github, "::group::unit: 100 %25\n  | a\n::endgroup::\n");
        assert_eq!(
            gitlab,
            "\x1b[0Ksection_start:5:monkeyci_1[collapsed=true]\r\x1b[0Kunit: 100 %\n  | a\n\
             \x1b[0Ksection_end:5:monkeyci_1\r\x1b[0K\n"
        );
    }

    #[test]
    fn what_a_job_says_is_no_command_of_its_own() {
        let forged = "failed\n::set-output name=a::b\r\x1b[2Jend";
        let errors = Inside::GitHub.error("unit,file=x:y", forged);
        assert_eq!(errors, "::error title=unit%2Cfile=x%3Ay::failed%0A::set-output name=a::bend\n");
        assert_eq!(Inside::GitLab.error("unit", forged), "");
    }
}
