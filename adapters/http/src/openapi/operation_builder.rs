//! Builds an operation of the OpenAPI document. The table of routes gives its path, method and scope.

use crate::access::admission::Access;
use crate::exchange::response::problem::ProblemCode;
use crate::routes::table::Call;

use super::model::{Body, Media, Operation, Ordered, Parameter, Reference, Response, ResponseOrReference, Schema};
use super::parameters::header;
use super::problems::{answer, plain};
use super::responses::{rate_limited, response};

/// The description of an endpoint. Its path, method and access come from the table of routes.
pub(super) struct OperationBuilder(Operation);

/// Begins the description of an endpoint.
pub(super) fn call(operation_id: &'static str, tag: &'static str, summary: &'static str) -> OperationBuilder {
    OperationBuilder(Operation {
        operation_id,
        tags: [tag],
        summary,
        description: String::new(),
        parameters: Vec::new(),
        request_body: None,
        responses: Ordered::default(),
        security: Vec::new(),
    })
}

impl OperationBuilder {
    pub(super) fn description(mut self, description: &str) -> Self {
        description.clone_into(&mut self.0.description);
        self
    }

    pub(super) fn with(mut self, parameter: Parameter) -> Self {
        self.0.parameters.push(parameter);
        self
    }

    pub(super) fn with_all(mut self, parameters: Vec<Parameter>) -> Self {
        self.0.parameters.extend(parameters);
        self
    }

    /// The call takes a body of these media types, and may refuse it for its type or its size.
    pub(super) fn body(mut self, description: String, forms: impl IntoIterator<Item = (&'static str, Media)>) -> Self {
        let content = Ordered(forms.into_iter().map(|(name, media)| (name.to_owned(), media)).collect());
        self.0.request_body = Some(Body { description, required: true, content });
        self
    }

    pub(super) fn response(mut self, status: u16, answer: Response) -> Self {
        self.0.responses.push(status.to_string(), ResponseOrReference::Own(answer));
        self
    }

    pub(super) fn not_found(self, description: &str) -> Self {
        self.response(404, plain(description, &[ProblemCode::NotFound]))
    }

    /// The call takes a cursor, which may belong to a history that the store has lost.
    pub(super) fn history_changed(self) -> Self {
        let gone =
            "The history has changed since the position was handed out, as when a backup is restored. Start over.";
        self.response(410, answer(gone, Schema::reference_to("HistoryChangedProblem")))
    }

    /// A client with a copy may revalidate it.
    pub(super) fn conditional(self) -> Self {
        self.with(header("If-None-Match", Schema::text(), "The `ETag` of a copy that you have."))
            .response(304, no_content("Your copy is good.").with_etag())
    }

    /// The call needs storage or another dependency that may be unavailable.
    pub(super) fn unavailable(self) -> Self {
        self.shared_response(503, "Unavailable")
    }

    /// The call needs a dependency that may be unavailable, and a permit of a concurrency limit.
    pub(super) fn unavailable_or_overloaded(self) -> Self {
        self.shared_response(503, "UnavailableOrFull")
    }

    /// Adds a shared response, unless the operation has a response for this status.
    fn shared_response(mut self, status: u16, name: &str) -> Self {
        let reference = Reference { to: format!("#/components/responses/{name}") };
        self.0.responses.entry(&status.to_string(), || ResponseOrReference::Shared(reference));
        self
    }

    /// Adds the responses that the call's access implies.
    pub(super) fn finish(mut self, call: &Call) -> Operation {
        let access = call.access;
        if access != Access::Open {
            self = self.refusals();
        }
        let Self(mut operation) = self.shared_response(431, "HeadTooLarge").shared_response(500, "Internal");
        operation.security = security(access);
        operation.responses.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        if access != Access::Open {
            for (_, answered) in &mut operation.responses.0 {
                if let ResponseOrReference::Own(answer) = answered {
                    *answer = rate_limited(answer.clone());
                }
            }
        }
        operation
    }

    /// Adds the refusals that every call except open ones may get.
    fn refusals(self) -> Self {
        let call = match self.0.request_body.is_some() {
            true => self
                .shared_response(400, "BadBodyOrParameter")
                .shared_response(408, "TooSlow")
                .shared_response(413, "TooLarge")
                .shared_response(415, "UnsupportedMediaType"),
            false => self.shared_response(400, "BadParameter"),
        };
        call.shared_response(401, "Unauthorized").shared_response(403, "Forbidden").shared_response(429, "RateLimited")
    }
}

/// Returns the security requirements of a call. None is an alternative, for services without keys.
fn security(access: Access) -> Vec<Ordered<Vec<&'static str>>> {
    let with_key = |scopes| Ordered(vec![("key".to_owned(), scopes)]);
    match access {
        Access::Open => Vec::new(),
        Access::AnyKey => vec![with_key(Vec::new()), Ordered::default()],
        Access::Needs(scope) => vec![with_key(vec![scope.name()]), Ordered::default()],
    }
}

/// Describes a response without a body.
pub(super) fn no_content(description: &str) -> Response {
    response(description)
}
