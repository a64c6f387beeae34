//! The whole scope table, asked of the real router over its three transports.

use std::collections::{BTreeMap, HashMap};

use http::{Request, header};
use monkeyci_api::InProcess;
use monkeyci_api::scope_table::{BUILD, Case, OTHER, OWN, Verdict, When, Who};

use super::*;

/// A way to the router.
enum Way {
    InProcess(InProcess),
    Http(reqwest::Client, String),
}

impl Way {
    /// The status of the answer to a request with a body that no handler takes, so that nothing comes of what is allowed.
    async fn ask(&self, method: http::Method, path: &str, token: &Token) -> u16 {
        let bearer = format!("Bearer {}", token.expose());
        match self {
            Self::InProcess(router) => {
                let request = Request::builder().method(method).uri(path).header(header::AUTHORIZATION, bearer);
                router(request.body(Body::from("!")).expect("a request")).await.status().as_u16()
            }
            Self::Http(client, base) => {
                let request = client.request(method, format!("{base}{path}")).header(header::AUTHORIZATION, bearer);
                request.body("!").send().await.expect("an answer").status().as_u16()
            }
        }
    }
}

/// An API in which what `who` speaks for runs, or has ended.
async fn rig(who: Who, runs: bool) -> Rig {
    let rig = Rig::defining().await;
    let build = rig.api.build(BUILD).expect("a build");
    if who == Who::Define && runs {
        return rig;
    }
    let jobs = check(&[OWN, OTHER].map(JobDraft::action), &[]).expect("no faults").graph.into_jobs();
    build.record(EventBody::ScriptDefined { jobs, removed: vec![], params: vec![] }).await.expect("told");
    for job in [OWN, OTHER] {
        build.record(EventBody::JobStarted { job: job.to_owned(), attempt: 1 }).await.expect("told");
    }
    build.watch_pod(OWN, plan());
    if who != Who::Define && !runs {
        let end = EventBody::JobEnded { job: OWN.to_owned(), attempt: 1, ending: Ending::Succeeded };
        build.record(end).await.expect("told");
    }
    rig
}

#[tokio::test]
async fn the_router_answers_the_whole_scope_table_as_it_stands_on_every_transport() {
    let mut rigs = HashMap::new();
    let mut wrong = Vec::new();
    let mut asked = 0;
    for case in Case::all() {
        let runs = case.when != When::Finished;
        let (rig, ways) = match rigs.entry((case.who, runs)) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => {
                let rig = rig(case.who, runs).await;
                let ways = ways(&rig).await;
                free.insert((rig, ways))
            }
        };
        let token = rig.api.tokens.sign(&case.claims()).expect("a token");
        let (build, path) = case.path();
        let path = format!("/v1/builds/{build}{path}");
        for (transport, (way, _)) in ways.iter() {
            let answered = match way.ask(case.route.verb.into(), &path, &token).await {
                401 => Verdict::Invalid,
                403 => Verdict::Denied,
                _ => Verdict::Allowed,
            };
            asked += 1;
            if answered != case.verdict() {
                wrong.push(format!("{case:?}, {transport}: {answered:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(asked, monkeyci_api::ROUTES.len() * 3 * 4 * 3 * 3);
}

/// The three ways to the router of an API.
async fn ways(rig: &Rig) -> BTreeMap<&'static str, (Way, Option<Listener>)> {
    let socket = rig.dir.path().join("table");
    std::fs::create_dir(&socket).expect("a directory");
    let unix = Listener::unix(&socket, "api.sock", socket_router(rig.api.clone(), SILENCE)).expect("a socket");
    let address = "127.0.0.1:0".parse().expect("an address");
    let (tcp, address) = Listener::tcp(address, socket_router(rig.api.clone(), SILENCE), None).await.expect("a socket");
    let client = || monkeyci_api::plain_http();
    let over_unix = client().unix_socket(socket.join("api.sock")).build().expect("a client");
    let over_tcp = client().build().expect("a client");
    let in_process = in_process(router(rig.api.clone()));
    BTreeMap::from([
        ("in process", (Way::InProcess(in_process), None)),
        ("Unix socket", (Way::Http(over_unix, "http://localhost".to_owned()), Some(unix))),
        ("TCP", (Way::Http(over_tcp, format!("http://{address}")), Some(tcp))),
    ])
}
