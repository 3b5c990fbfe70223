//! The calls: each with what it is asked with and how it may be answered. Who may call, and what that may lead to, is
//! read off the table of routes.

use hyper::Method;

use crate::access::admission::Access;
use crate::answer::problem::ProblemCode;
use crate::dispatch;

use super::answers::{describe, limited};
use super::model::{Answer, Answered, Body, Media, Operation, Ordered, Parameter, Reference, Schema};
use super::parameters::header;
use super::problems::plain;
use super::{reading, rules, service, writing};

/// All operations, by path and method.
pub(super) fn all() -> Ordered<Ordered<Operation>> {
    let mut paths = Ordered::<Ordered<Operation>>::default();
    let calls = writing::calls().into_iter().chain(reading::calls()).chain(rules::calls()).chain(service::calls());
    for call in calls {
        let (path, method, operation) = call.finish();
        paths.entry(path, Ordered::default).push(method.as_str().to_lowercase(), operation);
    }
    paths
}

/// A call as it is described.
pub(super) struct Call {
    path: &'static str,
    method: Method,
    operation: Operation,
}

/// Begins the description of a call.
pub(super) fn call(
    method: Method,
    path: &'static str,
    operation_id: &'static str,
    tag: &'static str,
    summary: &'static str,
) -> Call {
    let operation = Operation {
        operation_id,
        tags: [tag],
        summary,
        description: String::new(),
        parameters: Vec::new(),
        request_body: None,
        responses: Ordered::default(),
        security: Vec::new(),
    };
    Call { path, method, operation }
}

impl Call {
    pub(super) fn says(mut self, description: &str) -> Self {
        description.clone_into(&mut self.operation.description);
        self
    }

    pub(super) fn with(mut self, parameter: Parameter) -> Self {
        self.operation.parameters.push(parameter);
        self
    }

    pub(super) fn with_all(mut self, parameters: Vec<Parameter>) -> Self {
        self.operation.parameters.extend(parameters);
        self
    }

    /// Takes a body in these forms, and may refuse one for its form or its size.
    pub(super) fn body(mut self, description: String, forms: impl IntoIterator<Item = (&'static str, Media)>) -> Self {
        let content = Ordered(forms.into_iter().map(|(name, media)| (name.to_owned(), media)).collect());
        self.operation.request_body = Some(Body { description, required: true, content });
        self
    }

    pub(super) fn answers(mut self, status: u16, answer: Answer) -> Self {
        self.operation.responses.push(status.to_string(), Answered::Own(answer));
        self
    }

    pub(super) fn not_found(self, description: &str) -> Self {
        self.answers(404, plain(description, &[ProblemCode::NotFound]))
    }

    /// Whoever has a copy may ask whether it is still good.
    pub(super) fn may_be_known(self) -> Self {
        self.with(header("If-None-Match", Schema::text(), "The `ETag` of a copy that you have."))
            .answers(304, nothing("Your copy is good.").tagged())
    }

    /// It needs storage or another thing that may be away.
    pub(super) fn may_be_away(self) -> Self {
        self.shares(503, "Unavailable")
    }

    /// It may be away, and there is only room for so many at once.
    pub(super) fn may_be_full(self) -> Self {
        self.shares(503, "UnavailableOrFull")
    }

    /// Takes over an answer that many calls share, unless it is said already what that status means.
    fn shares(mut self, status: u16, name: &str) -> Self {
        let reference = Reference { to: format!("#/components/responses/{name}") };
        self.operation.responses.entry(&status.to_string(), || Answered::Shared(reference));
        self
    }

    /// Adds what every call of this kind may be answered with.
    fn finish(mut self) -> (&'static str, Method, Operation) {
        let (path, method) = (self.path, self.method.clone());
        let access = dispatch::access_to(path, &method);
        if access != Access::Open {
            self = self.refusals();
        }
        let mut operation = self.shares(431, "HeadTooLarge").shares(500, "Internal").operation;
        operation.security = security(access);
        operation.responses.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        if access != Access::Open {
            for (_, answered) in &mut operation.responses.0 {
                if let Answered::Own(answer) = answered {
                    *answer = limited(answer.clone());
                }
            }
        }
        (path, method, operation)
    }

    /// What may be said to every call that is not open.
    fn refusals(self) -> Self {
        let call = match self.operation.request_body.is_some() {
            true => self
                .shares(400, "BadBodyOrParameter")
                .shares(408, "TooSlow")
                .shares(413, "TooLarge")
                .shares(415, "UnsupportedMediaType"),
            false => self.shares(400, "BadParameter"),
        };
        call.shares(401, "Unauthorized").shares(403, "Forbidden").shares(429, "RateLimited")
    }
}

/// What a call needs, where there are keys; where there are none, it needs nothing.
fn security(access: Access) -> Vec<Ordered<Vec<&'static str>>> {
    let with_key = |scopes| Ordered(vec![("key".to_owned(), scopes)]);
    match access {
        Access::Open => Vec::new(),
        Access::AnyKey => vec![with_key(Vec::new()), Ordered::default()],
        Access::Needs(scope) => vec![with_key(vec![scope.name()]), Ordered::default()],
    }
}

/// Says that nothing comes back but the head.
pub(super) fn nothing(description: &str) -> Answer {
    describe(description)
}
