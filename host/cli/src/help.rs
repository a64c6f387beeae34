//! What the command says of itself: `help`, `completions`, `man` and `version`.

use std::io::Write;

use anyhow::{Context, anyhow};
use clap::CommandFactory;
use clap_complete::Shell;

use crate::Done;
use crate::args::{Args, CompletionsArgs, HelpArgs, ManArgs, VersionArgs};
use crate::exit::Exit;
use crate::languages;
use crate::text::{did_you_mean, print_line, print_text};

/// The command's name.
const NAME: &str = "monkeyci-host";

/// What is no command, and said more of.
const TOPICS: [(&str, &str); 4] = [
    ("exit-codes", include_str!("help/exit-codes.txt")),
    ("environment", include_str!("help/environment.txt")),
    ("files", include_str!("help/files.txt")),
    ("config", include_str!("help/config.txt")),
];

/// Says more of a command or a topic.
pub fn help(args: &HelpArgs) -> Done {
    if let [topic] = args.what.as_slice()
        && let Some((_, text)) = TOPICS.iter().find(|(name, _)| name == topic)
    {
        print_text(text);
        return Ok(Exit::Success);
    }
    let mut command = Args::command();
    command.build();
    for word in &args.what {
        let Some(found) = command.find_subcommand(word).cloned() else {
            let names = command.get_subcommands().map(|command| command.get_name());
            let topics = TOPICS.iter().map(|(name, _)| *name).filter(|_| args.what.len() == 1);
            let hint = did_you_mean(word, names.chain(topics));
            let topics = TOPICS.map(|(name, _)| name).join(", ");
            let known = format!("it is no command, and none of {topics}");
            return Err((Exit::Usage, anyhow!("there is no help on {word:?}: {known}{hint}")));
        };
        command = found;
    }
    print_text(&command.render_long_help().to_string());
    Ok(Exit::Success)
}

/// Prints what a shell needs to complete the command.
pub fn completions(args: &CompletionsArgs) -> Done {
    // A reader that has gone is no reason to fail.
    let _ = std::io::stdout().write_all(completed(args.shell).as_bytes());
    Ok(Exit::Success)
}

/// The script by which a shell completes.
fn completed(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), NAME, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    match shell {
        // Of a program with a hyphen in its name, the commands are looked for by another name than the one that they stand under.
        Shell::Bash => text.replace("monkeyci__subcmd__host", "monkeyci__host"),
        _ => text,
    }
}

/// Prints the manual page, or writes those of all commands.
pub fn man(args: &ManArgs) -> Done {
    let Some(dir) = &args.dir else {
        let mut text = Vec::new();
        let rendered = clap_mangen::Man::new(Args::command()).render(&mut text);
        rendered.context("the manual page can't be made").map_err(|error| (Exit::Infrastructure, error))?;
        let _ = std::io::stdout().write_all(&text);
        return Ok(Exit::Success);
    };
    let written = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Args::command(), dir));
    written
        .with_context(|| format!("the manual pages can't be written to {}", dir.display()))
        .map_err(|error| (Exit::Infrastructure, error))?;
    print_line(&format!("the manual pages are in {}", dir.display()));
    Ok(Exit::Success)
}

/// Prints which version this is.
pub fn version(args: &VersionArgs) -> Done {
    let version = env!("CARGO_PKG_VERSION");
    let (layout, contract) = (monkeyci_controller::JOURNAL_LAYOUT, monkeyci_script::CONTRACT_VERSION);
    let languages = languages::built_in();
    let machine = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    if args.json {
        let answer = serde_json::json!({
            "version": version, "journal_layout": layout, "contract": contract, "machine": machine,
            "languages": languages,
        });
        print_line(&answer.to_string());
    } else {
        let languages = if languages.is_empty() { "none".to_owned() } else { languages.join(", ") };
        print_line(&format!(
            "{NAME} {version}, {machine}: journal layout {layout}, contract monkeyci:script {contract}, interpreters: {languages}"
        ));
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn topic(name: &str) -> &'static str {
        TOPICS.iter().find(|(known, _)| *known == name).expect("a topic").1
    }

    #[test]
    fn bash_completes_each_command_by_the_name_that_it_is_looked_for() {
        let script = completed(Shell::Bash);
        let lines = || script.lines().map(str::trim);
        let looked_for: BTreeSet<&str> = lines()
            .filter_map(|line| line.strip_prefix("cmd=\"")?.strip_suffix('"'))
            .filter(|it| !it.is_empty())
            .collect();
        let there: BTreeSet<&str> = lines()
            .filter_map(|line| line.strip_suffix(')'))
            .filter(|line| line.starts_with("monkeyci__") && !line.contains(','))
            .collect();
        assert!(looked_for.len() > Args::command().get_subcommands().count(), "{looked_for:?}");
        assert_eq!(looked_for, there);
    }

    #[test]
    fn every_exit_code_is_explained() {
        let all =
            [Exit::Success, Exit::JobFailed, Exit::Usage, Exit::BadScript, Exit::Infrastructure, Exit::Interrupted];
        let text = topic("exit-codes");
        for exit in all {
            let code = format!("  {:>3}  ", exit as i32);
            assert!(text.lines().any(|line| line.starts_with(&code)), "{exit:?} is missing:\n{text}");
        }
    }

    #[test]
    fn every_variable_that_an_option_reads_is_explained() {
        let mut commands: Vec<_> = vec![Args::command()];
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            for variable in command.get_arguments().filter_map(|argument| argument.get_env()) {
                let line = format!("  {} ", variable.to_string_lossy());
                assert!(topic("environment").contains(&line), "{line} is missing");
            }
        }
    }

    #[test]
    fn every_shell_is_completed_and_every_command_has_a_page() {
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), NAME, &mut text);
            let text = String::from_utf8(text).expect("text");
            assert!(["artifacts", "slowest", "network-fence"].iter().all(|word| text.contains(word)), "{shell}");
        }
        let dir = tempfile::tempdir().expect("a directory");
        man(&ManArgs { dir: Some(dir.path().to_owned()) }).map_err(|(_, error)| error).expect("written");
        for page in ["monkeyci-host.1", "monkeyci-host-show.1", "monkeyci-host-artifacts-get.1"] {
            let text = std::fs::read_to_string(dir.path().join(page)).expect(page);
            assert!(page == "monkeyci-host.1" || text.contains("Example"), "{page}: {text}");
        }
    }
}
