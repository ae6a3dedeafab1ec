//! What every route may answer beside what its own description says, put into the API's document. Pure.

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};

const PROBLEM: &str = "application/problem+json";
const SCHEME: &str = "token";

/// Adds the refusals that any route may answer, and how a program shows who it is.
pub(in crate::admin) fn complete(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            refusals(operation);
            operation.security = Some(vec![SecurityRequirement::new(SCHEME, [""; 0])]);
        }
    }
    let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().add_security_scheme(SCHEME, scheme);
    document
}

fn refusals(operation: &mut Operation) {
    let mut may = vec![("401", "no token, or none that holds"), ("403", "it does not allow this")];
    if operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty()) {
        may.push(("400", "a parameter cannot be read"));
    }
    if operation.request_body.is_some() {
        may.extend([
            ("400", "the body cannot be read"),
            ("413", "the body is too large"),
            ("415", "the body is not JSON"),
            ("422", "the body has not the fields that it needs"),
        ]);
    }
    let responses = &mut operation.responses.responses;
    for response in responses.values_mut() {
        if let RefOr::T(response) = response {
            as_problem(response);
        }
    }
    for (status, why) in may {
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(why)));
    }
}

/// Problems have a content type of their own.
fn as_problem(response: &mut Response) {
    let own = |content: &RefOr<Content>| {
        let RefOr::T(content) = content else { return false };
        matches!(&content.schema, Some(RefOr::Ref(to)) if is_problem(to))
    };
    if response.content.get("application/json").is_some_and(own)
        && let Some(content) = response.content.shift_remove("application/json")
    {
        response.content.insert(PROBLEM.to_owned(), content);
    }
}

fn is_problem(to: &Ref) -> bool {
    to.ref_location.ends_with("/Problem")
}

fn problem(why: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description(why).content(PROBLEM, content).build()
}
