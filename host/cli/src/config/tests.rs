//! What a command is told by files, and what counts before them.

use super::keys::KEYS;
use super::*;

fn config(repository: &str, user: &str) -> Config {
    let read = |name: &str, text: &str, by| {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        File::read(&path, by).expect("a config file")
    };
    Config { repository: read(NAME, repository, By::Both), user: read(NAME, user, By::User) }
}

/// `run` with these options, told by these files.
fn run(config: &Config, words: &[&str]) -> Result<crate::args::RunArgs, String> {
    let command = config.defaults_of(Args::command(), &["run"]).map_err(|error| format!("{error:#}"))?;
    let matches = command.try_get_matches_from(["monkeyci-host", "run"].iter().chain(words));
    let matches = matches.map_err(|error| error.to_string())?;
    match Args::from_arg_matches(&matches).map_err(|error| error.to_string())?.command {
        Command::Run(args) => Ok(args),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn the_command_line_counts_before_the_repositorys_file_and_that_before_the_users() {
    let config = config(
        "progress = \"plain\"\n",
        "progress = \"json\"\njobs = 3\nkeep-failed = true\npermit-network = [\"10.0.0.0/8\"]\n",
    );
    let told = run(&config, &[]).expect("a command line");
    assert_eq!(
        (told.progress, told.jobs.map(|jobs| jobs.get()), told.keep_failed),
        (crate::args::Progress::Plain, Some(3), true)
    );
    assert_eq!(told.engine.permitted_networks.len(), 1);
    let told = run(&config, &["--progress", "tty", "--jobs", "5"]).expect("a command line");
    assert_eq!((told.progress, told.jobs.map(|jobs| jobs.get())), (crate::args::Progress::Tty, Some(5)));
    let none = run(&Config::default(), &[]).expect("a command line");
    assert_eq!((none.progress, none.jobs, none.keep_failed), (crate::args::Progress::Auto, None, false));
}

#[test]
fn a_repository_gives_its_builds_no_more_time_than_the_user() {
    for (repository, user, counts) in [("2h", "1h", 1), ("1h", "2h", 1)] {
        let file = |time: &str| format!("timeout = \"{time}\"\n");
        let told = run(&config(&file(repository), &file(user)), &[]).expect("a command line");
        assert_eq!(told.timeout, Some(std::time::Duration::from_secs(counts * 3600)));
    }
}

#[test]
fn a_value_that_an_option_does_not_take_is_told_with_file_and_line() {
    for (text, word) in [
        ("\njobs = 0\n", "line 2: jobs: invalid value '0'"),
        ("progress = \"fancy\"\n", "line 1: progress: invalid value 'fancy'"),
        ("engine = [\"a\", \"b\"]\n", "line 1: engine: it takes one value"),
        ("keep-failed = 1\n", "line 1: keep-failed: \"1\" is neither true nor false"),
    ] {
        let told = run(&config("", text), &[]).expect_err("wrong");
        assert!(told.contains(word) && told.contains(NAME), "{told}");
    }
}

#[test]
fn parameters_of_both_files_are_there_and_the_repositorys_counts() {
    let config = config("[param]\na = 1\nb = 2\n", "[param]\nb = 3\nc = 4\n[secret]\ntoken = \"/t\"\n");
    let FromFiles { params, secrets, .. } = config.inputs();
    let params: Vec<_> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(params, ["a=1", "b=2", "c=4"]);
    assert_eq!(secrets["token"], Path::new("/t"));
}

#[test]
fn what_is_about_an_earlier_build_takes_no_parameters_and_no_reveal_of_a_file() {
    let config = config("", "param-file = \"p.env\"\nsecret-file = \"s.env\"\nreveal = [\"token\"]\njobs = 3\n");
    for words in [&["resume", "latest"][..], &["rerun", "--failed"], &["shell", "unit"]] {
        let command = config.defaults_of(Args::command(), &words[..1]).expect("a command");
        let matches = command.get_matches_from([&["monkeyci-host"], words].concat());
        let inputs = match Args::from_arg_matches(&matches).expect("arguments").command {
            Command::Resume(ResumeArgs { inputs, .. }) => inputs,
            Command::Rerun(RerunArgs { inputs, jobs, .. }) => {
                assert_eq!(jobs.map(|jobs| jobs.get()), Some(3));
                inputs
            }
            Command::Shell(ShellArgs { inputs, .. }) => inputs,
            other => panic!("{other:?}"),
        };
        let none = (inputs.param_files.len(), inputs.secret_files.len(), inputs.reveal.len());
        assert_eq!(none, (0, 0, 0), "{words:?}");
    }
    assert_eq!(run(&config, &[]).expect("a command line").script.inputs.reveal, ["token"]);
}

#[test]
fn every_key_is_an_option_of_some_command_and_is_told_of_in_the_help() {
    let text = include_str!("../help/config.txt");
    for key in KEYS {
        let mut commands = vec![Args::command()];
        let mut found = false;
        while let Some(command) = commands.pop() {
            found |= command.get_arguments().any(|arg| arg.get_long() == Some(key.name));
            commands.extend(command.get_subcommands().cloned());
        }
        assert!(found, "--{}", key.name);
        let line = text.lines().find(|line| line.starts_with(&format!("  {} ", key.name)));
        let line = line.unwrap_or_else(|| panic!("{} is not in the help", key.name));
        assert_eq!(line.contains("repository"), key.by == By::Both, "{line}");
    }
}
