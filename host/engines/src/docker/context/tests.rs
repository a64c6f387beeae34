use super::super::connect::{DockerOptions, EngineSearch, candidates};
use super::*;

struct Machine {
    home: tempfile::TempDir,
    variables: HashMap<&'static str, String>,
}

impl Machine {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let variables = HashMap::from([("HOME", home.path().display().to_string())]);
        Self { home, variables }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.insert(name, value.into());
        self
    }

    fn docker(&self) -> PathBuf {
        self.home.path().join(".docker")
    }

    fn file(&self, path: impl AsRef<Path>, content: &str) -> PathBuf {
        let path = self.docker().join(path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        std::fs::write(&path, content).expect("written");
        path
    }

    /// Makes a context as `docker context create` does.
    fn context(&self, name: &str, endpoint: &str, files: &[&str]) -> PathBuf {
        let id = hex_sha256(name.as_bytes());
        for file in files {
            self.file(format!("contexts/tls/{id}/docker/{file}"), "");
        }
        let meta = format!(r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{endpoint}}}}}"#);
        self.file(format!("contexts/meta/{id}/meta.json"), &meta)
    }

    fn found(&self) -> Result<Option<Candidate>, EngineSettingsError> {
        of_docker(&|name| self.variables.get(name).cloned())
    }

    fn address(&self) -> Option<String> {
        self.found().expect("settings that can be used").map(|candidate| candidate.address)
    }
}

#[test]
fn a_variable_with_an_address_counts_before_one_with_a_context_and_that_before_the_current_one() {
    let machine = Machine::new();
    assert_eq!(machine.address(), None);
    machine.context("near", r#"{"Host":"unix:///near.sock"}"#, &[]);
    machine.context("far", r#"{"Host":"ssh://ann@far"}"#, &[]);
    machine.file("config.json", r#"{"auths":{},"currentContext":"near"}"#);
    assert_eq!(machine.address().as_deref(), Some("unix:///near.sock"));
    let machine = machine.with("DOCKER_CONTEXT", "far");
    assert_eq!(machine.address().as_deref(), Some("ssh://ann@far"));
    let found = machine.found().expect("found").expect("an engine");
    assert_eq!(found.origin, "the docker context \"far\", by DOCKER_CONTEXT");
    let machine = machine.with("DOCKER_CONTEXT", "default");
    assert_eq!(machine.address(), None, "the default is not the current one");
    let machine = machine.with("DOCKER_CONTEXT", "far").with("DOCKER_HOST", "unix:///here.sock");
    assert_eq!(machine.address().as_deref(), Some("unix:///here.sock"));
}

#[test]
fn another_directory_of_the_docker_commands_counts_instead() {
    let machine = Machine::new();
    machine.context("near", r#"{"Host":"unix:///near.sock"}"#, &[]);
    machine.file("config.json", r#"{"currentContext":"near"}"#);
    let elsewhere = machine.home.path().join("elsewhere").display().to_string();
    assert_eq!(machine.with("DOCKER_CONFIG", elsewhere).address(), None);
}

#[test]
fn tls_has_the_files_of_the_context_or_those_that_a_variable_names() {
    let machine = Machine::new().with("DOCKER_CONTEXT", "far");
    machine.context("far", r#"{"Host":"tcp://far:2376","SkipTLSVerify":false}"#, &["ca.pem", "cert.pem", "key.pem"]);
    let tls = machine.found().expect("found").and_then(|candidate| candidate.tls).expect("files");
    let (cert, key) = tls.client.expect("files of this host");
    for (file, name) in [(&tls.ca, "ca.pem"), (&cert, "cert.pem"), (&key, "key.pem")] {
        assert!(file.exists() && file.ends_with(name), "{}", file.display());
    }

    // Variables for TLS are for addresses of TCP.
    let machine = Machine::new().with("DOCKER_HOST", "tcp://far:2376").with("DOCKER_TLS_VERIFY", "1");
    let files = |machine: &Machine| machine.found().expect("found").and_then(|candidate| candidate.tls);
    assert_eq!(files(&machine), Some(DockerTls { ca: machine.docker().join("ca.pem"), client: None }));
    let machine = machine.with("DOCKER_CERT_PATH", "/certificates");
    assert_eq!(files(&machine), Some(DockerTls { ca: "/certificates/ca.pem".into(), client: None }));
    assert_eq!(files(&machine.with("DOCKER_HOST", "unix:///here.sock")), None);
    assert_eq!(files(&Machine::new().with("DOCKER_HOST", "tcp://far:2375")), None);
}

#[test]
fn a_context_is_read_as_it_is_whoever_looks_for_an_engine() {
    let machine = Machine::new().with("DOCKER_CONTEXT", "far").with("DOCKER_TLS_VERIFY", "1");
    machine.context("far", r#"{"Host":"tcp://far:2375"}"#, &[]);
    let variable = |name: &str| machine.variables.get(name).cloned();
    let found = |search| {
        let options = DockerOptions { search, ..DockerOptions::default() };
        candidates(&options, &variable).expect("settings that can be used").0
    };
    // Variables for TLS are for the address of a variable.
    let far = Candidate::plain("tcp://far:2375".to_owned(), "the docker context \"far\", by DOCKER_CONTEXT");
    assert_eq!((found(EngineSearch::Docker), found(EngineSearch::Any)), (vec![far.clone()], vec![far]));
}

#[test]
fn a_context_is_never_read_from_the_working_directory() {
    let variables = HashMap::from([("DOCKER_CONTEXT", "far".to_owned())]);
    let refused = of_docker(&|name| variables.get(name).cloned()).expect_err("no home, no context").to_string();
    assert!(refused.contains("no docker context \"far\" (DOCKER_CONTEXT)") && refused.contains('~'), "{refused}");
}

#[test]
fn what_can_not_be_used_is_named_with_the_file_or_the_variable_and_what_to_do() {
    let machine = Machine::new().with("DOCKER_CONTEXT", "far");
    let said = |machine: &Machine| machine.found().expect_err("refused").to_string();
    let missing = said(&machine);
    assert!(
        missing.contains("no docker context \"far\" (DOCKER_CONTEXT)") && missing.contains("docker context ls"),
        "{missing}"
    );
    let file = machine.context("far", r#"{"Host":"tcp://far:2376","SkipTLSVerify":true}"#, &[]);
    let unverified = said(&machine);
    assert!(unverified.contains("docker context create"), "{unverified}");
    for broken in ["{", r#"{"Endpoints":{}}"#, r#"{"Endpoints":{"docker":{}}}"#] {
        std::fs::write(&file, broken).expect("written");
        assert!(said(&machine).contains(&file.display().to_string()), "{}", said(&machine));
    }

    let machine = Machine::new();
    let config = machine.file("config.json", "{\"auths\":\n \"c2VjcmV0\"");
    let broken = said(&machine);
    assert!(broken.contains(&config.display().to_string()) && broken.contains("line 2"), "{broken}");
    assert!(!broken.contains("c2VjcmV0"), "{broken}");

    let machine = Machine::new().with("DOCKER_HOST", "tcp://far:2376").with("DOCKER_TLS", "1");
    assert!(said(&machine).contains("DOCKER_TLS_VERIFY=1"), "{}", said(&machine));
}
