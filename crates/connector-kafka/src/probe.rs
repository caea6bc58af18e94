//! Is the cluster there, do the credentials hold, is the topic there or can it be made?

use std::time::Duration;

use connector::records::Endpoint;
use connector::{Error, ErrorKind, Result};

use crate::fault::during;
use crate::options::{Connection, SinkOptions, SourceOptions};
use crate::raw::{Client, Code, Fault};

const WAIT: Duration = Duration::from_secs(5);

/// Reaches the cluster, logs in, and looks for the topics that the options name (of a source or a sink). At most about five
/// seconds.
///
/// # Errors
/// `Unavailable`, `Denied`, `NotFound` (a topic that is not there and that nobody may make), `Unacceptable` options.
pub async fn probe(endpoint: &Endpoint) -> Result<()> {
    let endpoint = endpoint.clone();
    runtime::blocking(move || look(&endpoint)).await.map_err(|e| Error::new(ErrorKind::Other, e))?
}

fn look(endpoint: &Endpoint) -> Result<()> {
    let connection = Connection::of(endpoint)?;
    let doing = format!("Kafka at {}", connection.bootstrap);
    let doing = during(&doing);
    let client = Client::producer(&connection.settings(endpoint.secret.as_ref())).map_err(&doing)?;
    let wanted = named(&endpoint.options);
    if wanted.is_empty() {
        // One topic is asked for instead of all: there may be very many.
        let asked = client.metadata(Some("wharf-probe"), WAIT);
        return match asked {
            Err(e) if e.code != Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => Err(doing(e)),
            _ => Ok(()),
        };
    }
    for topic in wanted {
        let found = client.metadata(Some(&topic), WAIT).map_err(&doing)?;
        let code = found.iter().find(|t| t.name == topic).map(|t| t.code);
        match code.unwrap_or(Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR | Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE => {}
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => {
                return Err(Error::new(ErrorKind::NotFound, format!("there is no topic {topic}")));
            }
            code => return Err(doing(Fault::of(code))),
        }
    }
    Ok(())
}

/// Topics that have to be there.
fn named(options: &str) -> Vec<String> {
    if let Ok(source) = serde_json::from_str::<SourceOptions>(options) {
        return source.topics;
    }
    match serde_json::from_str::<SinkOptions>(options) {
        Ok(sink) if !sink.create => {
            sink.topic.into_iter().chain(sink.tables.into_iter().map(|r| r.topic)).take(16).collect()
        }
        _ => Vec::new(),
    }
}
