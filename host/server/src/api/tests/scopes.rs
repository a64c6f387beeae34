//! Which scopes open which routes.

use super::*;

/// What each route takes, said once more: the scopes that open it, and whether the token has to be for all repositories, or for the one that the path
/// names.
#[derive(Clone, Copy, PartialEq)]
enum For {
    All,
    Named,
    Any,
}

const OPENED_BY: [(RouteId, &[Scope], For); 36] = {
    use RouteId::*;
    use Scope::{Admin, Approve, Read, Secrets, Trigger};
    [
        (ListRepositories, &[Read, Admin], For::Any),
        (AddRepository, &[Admin], For::All),
        (ShowRepository, &[Read, Admin], For::Named),
        (RemoveRepository, &[Admin], For::Named),
        (StoreScript, &[Admin], For::Named),
        (ListDeliveries, &[Read, Admin], For::Named),
        (TriggerBuild, &[Trigger, Admin], For::Named),
        (ListBuilds, &[Read, Admin], For::Any),
        (ShowBuild, &[Read, Admin], For::Named),
        (ReadEvents, &[Read, Admin], For::Named),
        (ReadLogs, &[Read, Admin], For::Named),
        (ListArtifacts, &[Read, Admin], For::Named),
        (ReadArtifact, &[Read, Admin], For::Named),
        (ApproveJob, &[Approve, Admin], For::Named),
        (RejectJob, &[Approve, Admin], For::Named),
        (ApproveBuild, &[Approve, Admin], For::Named),
        (CancelBuild, &[Trigger, Admin], For::Named),
        (SetLabels, &[Admin], For::Named),
        (ListParams, &[Secrets, Admin], For::All),
        (SetParam, &[Secrets, Admin], For::All),
        (RemoveParam, &[Secrets, Admin], For::All),
        (ListParamsOf, &[Secrets, Admin], For::Named),
        (SetParamOf, &[Secrets, Admin], For::Named),
        (RemoveParamOf, &[Secrets, Admin], For::Named),
        (ListSecrets, &[Secrets, Admin], For::All),
        (SetSecret, &[Secrets, Admin], For::All),
        (RemoveSecret, &[Secrets, Admin], For::All),
        (ListSecretsOf, &[Secrets, Admin], For::Named),
        (SetSecretOf, &[Secrets, Admin], For::Named),
        (RemoveSecretOf, &[Secrets, Admin], For::Named),
        (ListUses, &[Secrets, Admin], For::All),
        (ListUsesOf, &[Secrets, Admin], For::Named),
        (ListInputsOfBuild, &[Secrets, Admin], For::Named),
        (ListTokens, &[Admin], For::All),
        (AddToken, &[Admin], For::All),
        (RemoveToken, &[Admin], For::All),
    ]
};

#[tokio::test]
async fn each_scope_opens_at_each_route_what_was_decided_for_own_and_other_repositories() {
    let setting = Setting::new().await;
    let with_token: Vec<_> = ROUTES.iter().filter(|route| matches!(route.access, Access::Token(..))).collect();
    assert_eq!(with_token.len(), OPENED_BY.len(), "each route stands in the table of this test");
    let mut asked = 0;
    for (id, opened_by, whose) in OPENED_BY {
        let route = route(id);
        for scope in Scope::ALL {
            for limited in [None, Some("own")] {
                let token = setting.token(&[scope], limited, None).await;
                for target in ["own", "other", "none"] {
                    let path = [("repository", target), ("org", "local"), ("repo", target), ("build", "k1")];
                    let path = path.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                    let headers = [(header::AUTHORIZATION, format!("Bearer {token}").parse().expect("a value"))];
                    let found = let_in(&setting.server, route, &path, &headers.into_iter().collect()).await;
                    let expected = if !opened_by.contains(&scope) || (whose == For::All && limited.is_some()) {
                        Err(403)
                    } else if whose == For::Named && (target == "none" || (target == "other" && limited.is_some())) {
                        Err(404)
                    } else {
                        Ok(())
                    };
                    let found = found.map(drop).map_err(|refusal| refusal.into_response().status().as_u16());
                    assert_eq!(found, expected, "{id:?}, {scope:?} for {limited:?}, of {target}");
                    asked += 1;
                }
            }
        }
    }
    assert_eq!(asked, OPENED_BY.len() * Scope::ALL.len() * 2 * 3);
}
