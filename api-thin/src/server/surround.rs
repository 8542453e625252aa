use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;

use super::deadline::deadline;
use super::observe::observe;
use super::refuse::{as_problem, panicked, unknown_route};
use super::state::ApiState;
use super::unread::leave_nothing_unread;
use crate::meter::rate_headers;

/// Puts around the routes what every request passes. The last layer is the outermost.
pub(crate) fn surround(routes: Router<ApiState>, app: &ApiState) -> Router<ApiState> {
    routes
        .fallback(unknown_route)
        .layer(from_fn_with_state(app.clone(), deadline))
        .layer(from_fn(as_problem))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(rate_headers))
        .layer(from_fn(leave_nothing_unread))
        .layer(from_fn(observe))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode, header};
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    async fn explode() {
        panic!("secret");
    }

    #[tokio::test]
    async fn a_panic_answers_500_and_tells_nothing() {
        let routes: Router = Router::new()
            .route("/", get(explode))
            .layer(from_fn(as_problem))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn(observe));
        let response = routes.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("\"internal\"") && !text.contains("secret"), "{text}");
    }

    #[tokio::test]
    async fn a_refusal_of_the_framework_becomes_a_problem_and_keeps_its_headers() {
        let routes: Router = Router::new().route("/", get(|| async {})).layer(from_fn(as_problem));
        let response = routes.oneshot(Request::post("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "method_not_allowed");
    }
}
