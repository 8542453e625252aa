//! What the table of routes says about permissions is what the routes demand, of every role.

use api_thin::{ROUTES, Route, routes::Access};
use jobs::tenant::{Permission, Role};
use tests::api::{Api, ApiTenant, Claims, OPERATOR_KEY, Reply, problem};

use super::every_route::{Bait, ask, bait, full_path, tenant_routes};

async fn as_role(api: &Api, route: &Route, (tenant, bait): (&ApiTenant, &Bait), role: Role) -> Reply {
    let path = full_path(route, &tenant.id, "default", bait);
    // Not Ann, who is a VIEWER: the token says the role of an ADMIN.
    let somebody = Claims { sub: "somebody".into(), ..Claims::of(&tenant.id, role.as_str()) };
    ask(api, route, &path, &somebody.token()).await
}

/// Whether the route was refused for want of this permission.
fn lacks(reply: &Reply, permission: Permission) -> bool {
    reply.status == 403 && reply.body()["permission"] == permission.as_str()
}

#[tokio::test]
async fn each_route_demands_the_permission_that_the_table_names() {
    let api = Api::start().await;
    for (number, route) in tenant_routes().enumerate() {
        let (Access::Members(Some(permission)) | Access::MembersAndOperator(permission)) = route.access
        else {
            continue;
        };
        let tenant = api.tenant(&format!("acme-{number}")).await;
        tenant.member(&api, "product:somebody", "ADMIN").await;
        let bait = bait(&api, &tenant).await;
        // The weakest first: a refused request changes nothing.
        for role in Role::ALL.into_iter().rev() {
            let reply = as_role(&api, route, (&tenant, &bait), role).await;
            let allowed = role.permissions().contains(permission);
            assert_eq!(
                !lacks(&reply, permission),
                allowed,
                "{role}: {} {}: {reply:?}",
                route.method,
                route.path
            );
        }
    }
}

#[tokio::test]
async fn no_role_does_what_the_operator_does_and_every_role_does_what_everybody_may() {
    let api = Api::start().await;
    let tenant = api.tenant("acme").await;
    tenant.member(&api, "product:somebody", "ADMIN").await;
    let bait = bait(&api, &tenant).await;
    for route in tenant_routes() {
        match route.access {
            Access::Operator => {
                problem(&as_role(&api, route, (&tenant, &bait), Role::Admin).await, 403, "forbidden");
            }
            Access::Members(None) => {
                let reply = as_role(&api, route, (&tenant, &bait), Role::ViewerReadonly).await;
                assert_eq!(reply.status, 200, "{} {}: {reply:?}", route.method, route.path);
            }
            Access::Members(Some(_))
            | Access::MembersAndOperator(_)
            | Access::Credentials
            | Access::Everybody => {}
        }
    }
}

#[tokio::test]
async fn the_operator_steers_queues_and_never_reads_or_changes_documents() {
    let api = Api::start().await;
    for (number, route) in tenant_routes().enumerate() {
        let tenant = api.tenant(&format!("acme-{number}")).await;
        let bait = bait(&api, &tenant).await;
        let path = full_path(route, &tenant.id, "default", &bait);
        let reply = ask(&api, route, &path, OPERATOR_KEY).await;
        let what = format!("{} {}: {reply:?}", route.method, route.path);
        match route.access {
            Access::Members(Some(permission)) => assert!(lacks(&reply, permission), "{what}"),
            // What only a person can do to themselves, and keys, which may do what their maker may.
            Access::MembersAndOperator(_) if route.path.starts_with("/api-keys") => {}
            _ => assert!((200..300).contains(&reply.status), "{what}"),
        }
    }
    let steered =
        ROUTES.iter().filter(|route| route.access == Access::MembersAndOperator(Permission::JobManage));
    let steered: Vec<_> = steered.map(|route| (route.method, route.path)).collect();
    let known = [
        ("post", "/jobs/cancel"),
        ("post", "/jobs/pause"),
        ("post", "/jobs/resume"),
        ("post", "/jobs/drain"),
        ("delete", "/jobs/{job}"),
        ("post", "/jobs/{job}/reschedule"),
        ("post", "/queues/{queue}/pause"),
        ("post", "/queues/{queue}/resume"),
        ("post", "/queues/{queue}/drain"),
        ("post", "/dead-letters/retry"),
        ("post", "/dead-letters/{job}/retry"),
    ];
    assert_eq!(steered, known);
}

/// Every new route must declare its access: only these are open to all.
#[test]
fn what_is_open_to_everybody_is_known() {
    let open: Vec<_> = ROUTES.iter().filter(|route| route.access == Access::Everybody).collect();
    let paths: Vec<_> = open.iter().map(|route| route.path).collect();
    let known = [
        "/",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/auth/login",
        "/auth/refresh",
        "/auth/accept-invitation",
        "/signup",
    ];
    assert_eq!(paths, known);
}
