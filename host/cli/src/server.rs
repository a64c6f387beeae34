//! `monkeyci-host secret` and `param`: what a server keeps for its builds; and whoever speaks to a server.

use std::fs;
use std::io::Read;
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use monkeyci_api::{Hidden, Problem, provide_tls};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};

use crate::Done;
use crate::args::{
    ListInputsArgs, ParamArgs, ParamCommand, PlaceArgs, RemoveInputArgs, SecretArgs, SecretCommand, ServerArgs,
    SetSecretArgs,
};
use crate::exit::Exit;
use crate::text::{harmless, print_line};

/// How long a server may take for an answer.
const ANSWER: Duration = Duration::from_secs(60);

type Failed = (Exit, anyhow::Error);

fn usage(error: anyhow::Error) -> Failed {
    (Exit::Usage, error)
}

fn infrastructure(error: anyhow::Error) -> Failed {
    (Exit::Infrastructure, error)
}

/// A server that is spoken to.
struct Remote {
    client: Client,
    url: Url,
    token: Hidden<String>,
}

impl Remote {
    fn new(args: &ServerArgs) -> Result<Self, Failed> {
        let url = Url::parse(&args.server).with_context(|| format!("{:?} is no address of a server", args.server));
        let url = url.map_err(usage)?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if is_loopback || args.plain_network => {}
            "http" => {
                return Err(usage(anyhow!(
                    "the token would go to {host} over the network without TLS: write https://…, or say --plain-network if nobody else is on it"
                )));
            }
            _ => {
                return Err(usage(anyhow!("{:?} is no address of a server: write https://… or http://…", args.server)));
            }
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(usage(anyhow!("the address of a server has no login in it: its token is in a file")));
        }
        let token = match (&args.token_file, std::env::var("MONKEYCI_TOKEN")) {
            (Some(path), _) => fs::read_to_string(path)
                .with_context(|| format!("the file {} of the token can't be read", path.display()))
                .map_err(usage)?,
            (None, Ok(token)) => token,
            (None, Err(_)) => {
                return Err(usage(anyhow!(
                    "this takes an API token of the server: name its file with --token-file, or set MONKEYCI_TOKEN"
                )));
            }
        };
        provide_tls();
        let client = Client::builder().redirect(Policy::none()).timeout(ANSWER).build();
        let client = client.map_err(|error| infrastructure(anyhow!(error)))?;
        Ok(Self { client, url, token: Hidden(token.trim().to_owned()) })
    }

    /// The answer to a request, if it is none that refuses it.
    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Value, Failed> {
        let mut url = self.url.clone();
        let segments = url.path_segments_mut().map_err(|()| usage(anyhow!("{} is no address of a server", self.url)));
        segments?.pop_if_empty().extend(["api", "v1"]).extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method, url).bearer_auth(&self.token.0);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let reached = |error: reqwest::Error| {
            infrastructure(anyhow!(error.without_url()).context(format!("the server {} does not answer", self.url)))
        };
        let answer = request.send().await.map_err(reached)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(reached)?;
        if status.is_success() {
            return Ok(serde_json::from_slice(&bytes).unwrap_or_default());
        }
        let detail = serde_json::from_slice::<Problem>(&bytes).map(|problem| problem.detail);
        let detail = harmless(&detail.unwrap_or_else(|_| "it is none of monkeyci-host's, or older".to_owned()), false);
        let exit = if status.is_server_error() { Exit::Infrastructure } else { Exit::Usage };
        Err((exit, anyhow!("the server refuses it ({}): {detail}", status.as_u16())))
    }
}

/// What is kept, and for which builds.
fn path<'a>(repository: Option<&'a str>, kind: &'a str, name: Option<&'a str>) -> Vec<&'a str> {
    let of = repository.map(|repository| ["repositories", repository]);
    of.into_iter().flatten().chain([kind]).chain(name).collect()
}

impl PlaceArgs {
    fn options(&self) -> Vec<(&str, &str)> {
        let options = [("label", &self.label), ("branch", &self.branch), ("event", &self.event)];
        options.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }
}

/// Sets, lists or removes secrets.
pub async fn secret(args: SecretArgs) -> Done {
    match args.command {
        SecretCommand::Set(args) => {
            let bytes = secret_bytes(&args).map_err(usage)?;
            let text = String::from_utf8(bytes.0);
            let body = match text {
                Ok(text) => json!({ "value": text, "reveal": args.revealed }),
                Err(bytes) => json!({ "base64": STANDARD.encode(bytes.as_bytes()), "reveal": args.revealed }),
            };
            set(&args.server, "secrets", &args.name, &args.place, body).await
        }
        SecretCommand::List(args) => list(&args, "secrets").await,
        SecretCommand::Rm(args) => remove(&args, "secrets").await,
    }
}

/// Sets, lists or removes parameters.
pub async fn param(args: ParamArgs) -> Done {
    match args.command {
        ParamCommand::Set(args) => {
            set(&args.server, "params", &args.name, &args.place, json!({ "value": args.value })).await
        }
        ParamCommand::List(args) => list(&args, "params").await,
        ParamCommand::Rm(args) => remove(&args, "params").await,
    }
}

/// The bytes of a secret: no command line has it, since others see those.
fn secret_bytes(args: &SetSecretArgs) -> anyhow::Result<Hidden<Vec<u8>>> {
    if let Some(path) = &args.file {
        let read = fs::read(path).with_context(|| format!("the file {} of the secret can't be read", path.display()));
        return read.map(Hidden);
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).context("standard input can't be read")?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(Hidden(bytes))
}

async fn set(server: &ServerArgs, kind: &str, name: &str, place: &PlaceArgs, mut body: Value) -> Done {
    for (option, value) in place.options() {
        body[option] = json!(value);
    }
    let path = path(place.repository.as_deref(), kind, Some(name));
    Remote::new(server)?.ask(Method::PUT, &path, &[], Some(body)).await?;
    print_line(&format!("set {name}"));
    Ok(Exit::Success)
}

async fn remove(args: &RemoveInputArgs, kind: &str) -> Done {
    let path = path(args.place.repository.as_deref(), kind, Some(&args.name));
    Remote::new(&args.server)?.ask(Method::DELETE, &path, &args.place.options(), None).await?;
    print_line(&format!("removed {}", args.name));
    Ok(Exit::Success)
}

async fn list(args: &ListInputsArgs, kind: &str) -> Done {
    let path = path(args.repository.as_deref(), kind, None);
    let listed = Remote::new(&args.server)?.ask(Method::GET, &path, &[], None).await?;
    let inputs = listed["inputs"].as_array().cloned().unwrap_or_default();
    if args.json {
        print_line(&Value::Array(inputs).to_string());
        return Ok(Exit::Success);
    }
    for input in &inputs {
        print_line(&line(input));
    }
    if inputs.is_empty() {
        print_line("none");
    }
    Ok(Exit::Success)
}

/// A parameter or a secret, for people.
fn line(input: &Value) -> String {
    let text = |key: &str| input[key].as_str().map(|text| harmless(text, false));
    let mut line = text("name").unwrap_or_default();
    if let Some(value) = text("value") {
        line.push_str(&format!(" = {value}"));
    }
    let conditions = [("label", "label"), ("branch", "branch"), ("from", "event")];
    for (word, condition) in conditions.into_iter().filter_map(|(word, key)| Some((word, text(key)?))) {
        line.push_str(&format!("  {word} {condition}"));
    }
    if input["reveal"] == true {
        line.push_str("  revealed to scripts");
    }
    if let Some(by) = text("set_by") {
        line.push_str(&format!("  set by {by}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, plain_network: bool) -> ServerArgs {
        ServerArgs { server: url.to_owned(), token_file: Some("/dev/null".into()), plain_network }
    }

    #[test]
    fn a_token_goes_to_a_server_over_tls_or_to_this_machine_unless_the_network_is_said_to_be_ones_own() {
        for good in ["https://ci.example.org", "http://127.0.0.1:8210", "http://[::1]:8210", "http://localhost/ci"] {
            assert!(Remote::new(&server(good, false)).is_ok(), "{good}");
        }
        assert!(Remote::new(&server("http://ci.example.org", true)).is_ok());
        for wrong in
            ["http://ci.example.org", "http://10.0.0.1", "ftp://ci", "ci.example.org", "https://a:b@ci.example.org", ""]
        {
            assert!(Remote::new(&server(wrong, false)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_listed_is_a_line_each_and_no_letter_of_it_moves_the_terminal() {
        let secret = json!({ "name": "a", "value": null, "branch": "main", "event": "push", "reveal": true, "set_by": "token t" });
        assert_eq!(line(&secret), "a  branch main  from push  revealed to scripts  set by token t");
        let param = json!({ "name": "p", "value": "v\u{1b}[2J", "label": "l", "reveal": false });
        assert!(line(&param).starts_with("p = v") && !line(&param).contains('\u{1b}'), "{}", line(&param));
    }
}
