//! Positions on another cluster than the source's: records of the topic `__wharf_positions` in the same transaction.
//!
//! Key: `<pipeline>/<topic>-<partition>`. Value: a mark's text. The topic has one partition and is compacted where the broker does
//! that. It is read backwards in growing pieces until everything wanted is found, so a long topic costs little.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::records::{Headers, Mark, Split};
use connector::{Error, ErrorKind, Result};

use super::target::partitions;
use super::writer::POSITION;
use crate::fault::{during, kind};
use crate::raw::{Client, Code, Fault, Fetched, List, NewTopic, Outgoing, Queue, Settings, Topic};

/// The topic.
pub(super) const TOPIC: &str = "__wharf_positions";
const ANSWER: Duration = Duration::from_secs(10);
/// An open transaction of another lane hides what is behind it for as long as that may last.
const HIDDEN: Duration = Duration::from_secs(45);
/// Offsets in the first piece.
const PIECE: i64 = 2000;

/// Makes sure that the topic is there. Blocks.
pub(super) fn prepare(client: &Arc<Client>) -> Result<Arc<Topic>> {
    let doing = during(TOPIC);
    if partitions(client, TOPIC).map_err(&doing)?.is_none() {
        // Only closed segments are compacted: small ones keep the topic short.
        let settings = [("cleanup.policy", "compact"), ("segment.bytes", "4194304")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let topic = NewTopic { name: TOPIC.to_owned(), partitions: Some(1), settings };
        match client.create_topic(&topic, ANSWER) {
            Ok(()) => {}
            Err(e) if kind(e.code) == ErrorKind::Exists => {}
            // A broker that doesn't compact keeps everything instead.
            Err(e) if kind(e.code) == ErrorKind::Unacceptable => {
                let settings = vec![("retention.ms".to_owned(), "-1".to_owned())];
                client.create_topic(&NewTopic { settings, ..topic }, ANSWER).map_err(&doing)?;
            }
            Err(e) => return Err(doing(e)),
        }
    }
    // The library keeps for a while that there was none, unless it is told.
    for _ in 0..50 {
        if partitions(client, TOPIC).map_err(&doing)?.is_some() {
            return Ok(Arc::new(Topic::new(client, TOPIC).map_err(&doing)?));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(Error::new(ErrorKind::Unavailable, format!("{TOPIC} was made, but is not seen yet")))
}

fn key(pipeline: &str, split: &Split) -> String {
    format!("{pipeline}/{split}")
}

/// Puts positions into the open transaction.
pub(super) fn note(
    client: &Client,
    pipeline: &str,
    topic: Option<&Topic>,
    marks: &[(Split, Mark)],
) -> Result<(), Fault> {
    let topic = topic.ok_or_else(|| Fault::of(Code::RD_KAFKA_RESP_ERR__STATE))?;
    for (split, mark) in marks {
        let (key, value) = (key(pipeline, split), mark.to_text());
        client.produce(
            topic,
            &Outgoing {
                partition: Some(0),
                key: Some(key.as_bytes()),
                value: Some(value.as_bytes()),
                timestamp_ms: 0,
                headers: Headers::none(),
                tag: POSITION,
            },
        )?;
    }
    Ok(())
}

/// Reads back what was committed. Blocks.
pub(super) fn read(
    client: &Client,
    mut settings: Settings,
    pipeline: &str,
    splits: &[Split],
) -> Result<Vec<Option<Mark>>> {
    let doing = during("positions can't be read");
    let wanted: HashMap<String, usize> =
        splits.iter().enumerate().map(|(i, s)| (key(pipeline, s), i)).collect();
    let end = |spec| -> Result<i64> {
        let mut list = List::new(1);
        list.add(TOPIC, 0, spec, None).map_err(&doing)?;
        // The end of everything, and not only of what is committed already.
        let places = client.list_offsets(&list, false, ANSWER).map_err(&doing)?;
        Ok(places.first().map_or(0, |p| p.offset))
    };
    let (low, high) = (end(-2)?, end(-1)?);
    let mut found = vec![None; splits.len()];
    if low >= high {
        return Ok(found);
    }
    // The group is never joined; the library wants a name.
    settings
        .set("group.id", "wharf-positions")
        .set("enable.auto.commit", false)
        .set("enable.partition.eof", true)
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed");
    let reader = Client::consumer(&settings).map_err(&doing)?;
    let mut piece = PIECE;
    loop {
        let from = low.max(high - piece);
        // A later piece holds the earlier ones, so what it says last is still the newest.
        read_piece(&reader, from, high, &wanted, &mut found)?;
        if from == low || found.iter().all(Option::is_some) {
            return Ok(found);
        }
        piece = piece.saturating_mul(8);
    }
}

fn read_piece(
    reader: &Arc<Client>,
    from: i64,
    high: i64,
    wanted: &HashMap<String, usize>,
    found: &mut [Option<Mark>],
) -> Result<()> {
    let doing = during("positions can't be read");
    let mut list = List::new(1);
    list.add(TOPIC, 0, from, None).map_err(&doing)?;
    reader.assign(&list).map_err(&doing)?;
    let queue = Queue::consumer(reader).map_err(&doing)?;
    let mut fetched = Fetched::new(reader);
    let until = Instant::now() + HIDDEN;
    loop {
        fetched.refill(&queue, Duration::from_millis(200), 1000);
        while let Some(message) = fetched.peek(0) {
            let at = match message.code() {
                Code::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    let place =
                        message.key().and_then(|k| std::str::from_utf8(k).ok()).and_then(|k| wanted.get(k));
                    let mark =
                        message.value().and_then(|v| std::str::from_utf8(v).ok()).and_then(Mark::parse);
                    if let (Some(slot), Some(mark)) = (place.and_then(|i| found.get_mut(*i)), mark) {
                        *slot = Some(mark);
                    }
                    message.offset() + 1
                }
                Code::RD_KAFKA_RESP_ERR__PARTITION_EOF => message.offset(),
                code => {
                    let fault = Fault::new(code, message.error_text());
                    if matches!(kind(code), ErrorKind::Denied | ErrorKind::NotFound) {
                        return Err(doing(fault));
                    }
                    tracing::debug!("{TOPIC}: {}", fault.text);
                    from
                }
            };
            fetched.skip(1);
            if at >= high {
                return Ok(());
            }
        }
        if Instant::now() >= until {
            return Err(Error::new(ErrorKind::Unavailable, format!("the end of {TOPIC} can't be read yet")));
        }
    }
}
