//! Which connector an end is for.

use connector::records::{Context, Endpoint, Problem, RecordSink, RecordSource, SharedHost};
use connector::{Error, ErrorKind, Result};
use model::EndKind;

fn no_end(kind: EndKind, what: &str) -> Vec<Problem> {
    vec![Problem { field: String::new(), reason: format!("{} is no {what} of a pipeline", kind.name()) }]
}

/// All problems of a connection's JSON.
pub fn check_connection(kind: EndKind, connection: &str) -> Vec<Problem> {
    match kind {
        EndKind::Http => no_end(kind, "connection"),
        // The server's own cluster.
        EndKind::Kafka if connection.is_empty() => Vec::new(),
        EndKind::Kafka => connector_kafka::check_connection(connection),
        EndKind::Elastic => connector_elastic::check_connection(connection),
        EndKind::ClickHouse => connector_clickhouse::check_connection(connection),
        EndKind::Sql => connector_sql::check_connection(connection),
        EndKind::Bucket => connector_object::check_connection(connection),
        EndKind::Function => connector_function::check_connection(connection),
        EndKind::Iceberg => connector_iceberg::check_connection(connection),
    }
}

/// All problems of a source's options.
pub fn check_source(kind: EndKind, options: &str) -> Vec<Problem> {
    match kind {
        EndKind::Http => Vec::new(),
        EndKind::Kafka => connector_kafka::check_source(options),
        _ => no_end(kind, "source"),
    }
}

/// All problems of a destination's options.
pub fn check_sink(kind: EndKind, options: &str) -> Vec<Problem> {
    match kind {
        EndKind::Http => no_end(kind, "destination"),
        EndKind::Kafka => connector_kafka::check_sink(options),
        EndKind::Elastic => connector_elastic::check_sink(options),
        EndKind::ClickHouse => connector_clickhouse::check_sink(options),
        EndKind::Sql => connector_sql::check_sink(options),
        EndKind::Bucket => connector_object::check_sink(options),
        EndKind::Function => connector_function::check_sink(options),
        EndKind::Iceberg => connector_iceberg::check_sink(options),
    }
}

/// Can it be reached, does it take the password, is the target there?
pub async fn probe(kind: EndKind, endpoint: &Endpoint) -> Result<()> {
    match kind {
        EndKind::Http => Ok(()),
        EndKind::Kafka => connector_kafka::probe(endpoint).await,
        EndKind::Elastic => connector_elastic::probe(endpoint).await,
        EndKind::ClickHouse => connector_clickhouse::probe(endpoint).await,
        EndKind::Sql => connector_sql::probe(endpoint).await,
        EndKind::Bucket => connector_object::probe(endpoint).await,
        EndKind::Function => connector_function::probe(endpoint).await,
        EndKind::Iceberg => connector_iceberg::probe(endpoint).await,
    }
}

/// A source of a lane.
pub fn source(kind: EndKind, endpoint: &Endpoint, context: &Context) -> Result<Box<dyn RecordSource>> {
    match kind {
        EndKind::Kafka => connector_kafka::source(endpoint, context),
        _ => Err(Error::new(ErrorKind::Unsupported, format!("{} is no source of a pipeline", kind.name()))),
    }
}

/// A destination of a lane.
pub fn sink(
    kind: EndKind,
    endpoint: &Endpoint,
    context: &Context,
    host: SharedHost,
) -> Result<Box<dyn RecordSink>> {
    match kind {
        EndKind::Http => Err(Error::new(ErrorKind::Unsupported, "http is no destination of a pipeline")),
        EndKind::Kafka => connector_kafka::sink(endpoint, context, host),
        EndKind::Elastic => connector_elastic::sink(endpoint, context, host),
        EndKind::ClickHouse => connector_clickhouse::sink(endpoint, context, host),
        EndKind::Sql => connector_sql::sink(endpoint, context, host),
        EndKind::Bucket => connector_object::sink(endpoint, context, host),
        EndKind::Function => connector_function::sink(endpoint, context, host),
        EndKind::Iceberg => connector_iceberg::sink(endpoint, context, host),
    }
}
