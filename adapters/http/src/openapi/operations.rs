//! All operations: the table of routes, each call with the description of its endpoint.

use crate::routes::table::{Endpoint, ROUTES};

use super::model::{Operation, Ordered};
use super::operation_builder::OperationBuilder;
use super::{reading, rules, service, writing};

/// All operations, by path and method, in the order of the table.
pub(super) fn all() -> Ordered<Ordered<Operation>> {
    let mut paths = Ordered::<Ordered<Operation>>::default();
    for route in ROUTES {
        for call in route.calls {
            if let Some(description) = description_of(call.endpoint) {
                let operation = description.finish(call);
                paths.entry(route.path, Ordered::default).push(call.method.as_str().to_lowercase(), operation);
            }
        }
    }
    paths
}

/// Describes an endpoint; `None` for the files of the pages, which are no part of the API.
fn description_of(endpoint: Endpoint) -> Option<OperationBuilder> {
    Some(match endpoint {
        Endpoint::WriteRecord => writing::record(),
        Endpoint::ListRecords => reading::records(),
        Endpoint::WriteBatch => writing::batch(),
        Endpoint::ReadRecordNamedBatch => reading::record_named_batch(),
        Endpoint::ReadRecord => reading::record(),
        Endpoint::ReadAggregates => reading::aggregates(),
        Endpoint::Export => reading::export(),
        Endpoint::ReadSummaries => reading::summaries(),
        Endpoint::ReadMessages(topic) => reading::page(topic),
        Endpoint::FollowMessages(topic) => reading::stream(topic),
        Endpoint::ListDeadLetters => reading::dead_letters(),
        Endpoint::DeleteDeadLetter => reading::drop_dead_letter(),
        Endpoint::ReplayDeadLetter => writing::replay(),
        Endpoint::ListAlertRules => rules::list(),
        Endpoint::ReadAlertRule => rules::read(),
        Endpoint::PutAlertRule => rules::put(),
        Endpoint::DeleteAlertRule => rules::delete(),
        Endpoint::DryRunAlertRule => rules::dry_run(),
        Endpoint::Healthz => service::healthz(),
        Endpoint::Readyz => service::readyz(),
        Endpoint::Metrics => service::metrics(),
        Endpoint::Rates => service::rates(),
        Endpoint::OpenApi => service::openapi(),
        Endpoint::Docs => service::docs(),
        Endpoint::Dashboard => service::dashboard(),
        Endpoint::Asset => return None,
    })
}
