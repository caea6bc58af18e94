//! Records into log topics of the server itself: what Tencent's CKafka calls the destination CLS.
//!
//! **Form.** With `decode_json` the members of a JSON object are the fields of the log. Anything else is kept whole under one field: without
//! `decode_json` under `content_key` (`__CONTENT__` where none is named), and with it, for what is no object, under `LogParseFailure`. A value that is no
//! UTF-8 is kept in base64, with `__ENCODING__` beside it. The log's stream is `topic/partition` of what was read.
//!
//! **Time.** `time_field` names a field with seconds since the epoch (a number, also in quotes; from 10¹¹ on milliseconds, from 10¹⁴ on microseconds). Without
//! it, or where it can't be read, the record's own time counts, and then the time of writing.
//!
//! **Delivery: exactly once.** A batch goes to the log with the position after it and the account up to there, in one frame. What comes again is dropped
//! by its position; [`RecordSink::committed`] reads the mark back.
//!
//! **Refusals.** A record that would be longer than 1 MiB.
//!
//! **Order.** Records of a partition become visible in order. Each unit is written and durable before `write` returns.

use async_trait::async_trait;
use base64::Engine as _;
use connector::records::{
    Books, Context, Endpoint, Mark, Problem, RecordRef, RecordSink, Refused, Ruling, Settled, SharedHost,
    Split, Unit,
};
use connector::{Error, ErrorKind, Result};
use json_text::{Kind, check, members, push_string, text};
use log_store::{Batch, Logs, MAX_RECORD, NewRecord};
use runtime::Clock;
use serde::Deserialize;

/// Where text is kept that is no JSON object, and no key is named.
const CONTENT: &str = "__CONTENT__";
/// Where what should be JSON and is not is kept.
const FAILURE: &str = "LogParseFailure";
/// Says how a value is written that is no text.
const ENCODING: &str = "__ENCODING__";

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    topic: String,
    #[serde(default)]
    decode_json: bool,
    #[serde(default)]
    content_key: Option<String>,
    #[serde(default)]
    time_field: Option<String>,
}

/// What is wrong with the options of a sink.
#[must_use]
pub fn check_sink(options: &str) -> Vec<Problem> {
    let problem = |field: &str, reason: &str| Problem { field: field.to_owned(), reason: reason.to_owned() };
    let read: Options = match serde_json::from_str(options) {
        Ok(read) => read,
        Err(e) => return vec![problem("options", &e.to_string())],
    };
    let mut problems = Vec::new();
    if read.topic.is_empty() {
        problems.push(problem("topic", "is missing"));
    }
    for (field, name) in [("content_key", &read.content_key), ("time_field", &read.time_field)] {
        if name.as_ref().is_some_and(|n| n.is_empty() || n.len() > 256) {
            problems.push(problem(field, "must have 1 to 256 bytes"));
        }
    }
    problems
}

fn options(endpoint: &Endpoint) -> Result<Options> {
    let problems = check_sink(&endpoint.options);
    let words: Vec<_> = problems.iter().map(|p| format!("{} {}", p.field, p.reason)).collect();
    if !words.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, words.join("; ")));
    }
    serde_json::from_str(&endpoint.options).map_err(|e| Error::new(ErrorKind::Unsupported, e.to_string()))
}

/// Is the topic there?
///
/// # Errors
/// `NotFound`, and what is wrong with the options.
pub async fn probe(logs: &Logs, endpoint: &Endpoint) -> Result<()> {
    let (logs, options) = (logs.clone(), options(endpoint)?);
    let tried = runtime::blocking(move || logs.topic(&options.topic).map(drop)).await;
    tried.map_err(|e| Error::new(ErrorKind::Other, e))?.map_err(failed)
}

/// A sink.
///
/// # Errors
/// `Unsupported` with all problems of the options.
pub fn sink(
    logs: &Logs,
    endpoint: &Endpoint,
    context: &Context,
    host: SharedHost,
) -> Result<Box<dyn RecordSink>> {
    Ok(Box::new(LogSink {
        logs: logs.clone(),
        form: Form { options: options(endpoint)?, clock: context.clock.clone() },
        pipeline: context.pipeline.clone(),
        host,
        books: Books::default(),
        moved: Vec::new(),
    }))
}

#[allow(clippy::needless_pass_by_value, reason = "it is the form that map_err takes")]
fn failed(e: log_store::Error) -> Error {
    use log_store::Error as E;
    let kind = match e {
        E::NotFound(_) => ErrorKind::NotFound,
        E::Invalid(_) => ErrorKind::Unacceptable,
        E::Full(_) => ErrorKind::Full,
        E::Io(_) => ErrorKind::Unavailable,
    };
    Error::new(kind, e.to_string())
}

struct LogSink {
    logs: Logs,
    form: Form,
    pipeline: String,
    host: SharedHost,
    books: Books,
    moved: Vec<Settled>,
}

/// A record as it goes to the log.
struct Ready {
    position: i64,
    time: i64,
    text: Vec<u8>,
}

impl LogSink {
    fn writer(&self, split: &Split) -> String {
        format!("{}/{split}", self.pipeline)
    }

    /// Makes the logs of a unit. What is too long is refused.
    fn ready(&self, unit: &Unit) -> (Vec<Ready>, Vec<Refused>) {
        let (mut ready, mut refused) = (Vec::with_capacity(unit.batch.len()), Vec::new());
        for (index, r) in unit.batch.iter().enumerate() {
            let (text, time) = self.form.apply(&r);
            if text.len() > MAX_RECORD {
                let reason = format!("a log has {MAX_RECORD} bytes at most, this one has {}", text.len());
                refused.push(Refused { index, kind: ErrorKind::Unacceptable, reason });
            } else {
                ready.push(Ready { position: r.offset, time, text });
            }
        }
        (ready, refused)
    }

    async fn append(&self, split: &Split, records: Vec<Ready>, mark: Mark) -> Result<()> {
        let (logs, id, writer) = (self.logs.clone(), self.form.options.topic.clone(), self.writer(split));
        let stream = format!("{}/{}", split.source_topic(), split.partition);
        let done = runtime::blocking(move || {
            let records: Vec<_> = records
                .iter()
                .map(|r| NewRecord { position: r.position, time: r.time, stream: &stream, text: &r.text })
                .collect();
            let note = mark.to_text();
            logs.topic(&id)?.append(&Batch {
                writer: &writer,
                next: mark.next,
                note: &note,
                records: &records,
            })
        });
        done.await.map_err(|e| Error::new(ErrorKind::Other, e))?.map(drop).map_err(failed)
    }
}

#[async_trait(?Send)]
impl RecordSink for LogSink {
    fn describe(&self) -> String {
        format!("log topic {}", self.form.options.topic)
    }

    async fn committed(&mut self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        let (logs, id) = (self.logs.clone(), self.form.options.topic.clone());
        let writers: Vec<_> = known.iter().map(|(split, _)| self.writer(split)).collect();
        let read = runtime::blocking(move || {
            let topic = logs.topic(&id)?;
            Ok(writers.iter().map(|w| Mark::parse(&topic.progress(w)?.note)).collect())
        });
        read.await.map_err(|e| Error::new(ErrorKind::Other, e))?.map_err(failed)
    }

    async fn open(&mut self, splits: &[(Split, Mark)]) -> Result<()> {
        for (split, mark) in splits {
            self.books.open(split.clone(), *mark);
        }
        Ok(())
    }

    async fn close(&mut self, splits: &[Split]) {
        for split in splits {
            self.books.close(split);
            self.moved.retain(|s| s.split != *split);
        }
    }

    async fn write(&mut self, unit: Unit) -> Result<()> {
        let split = unit.batch.split().clone();
        let (ready, refused) = self.ready(&unit);
        let indexes: Vec<usize> = refused.iter().map(|r| r.index).collect();
        let ruling = match refused.is_empty() {
            true => Ruling::Kept,
            false => self.host.refuse(&unit, refused).await?,
        };
        let mark = self.books.after(&unit, &unit.written_but(&indexes, ruling));
        self.append(&split, ready, mark).await?;
        self.books.settle(&split, mark);
        self.moved.retain(|s| s.split != split);
        self.moved.push(Settled { split, mark });
        Ok(())
    }

    async fn tick(&mut self) -> Result<()> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    fn settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.moved)
    }
}

/// How a record becomes a log.
struct Form {
    options: Options,
    clock: Clock,
}

impl Form {
    /// The log's text, and its time.
    fn apply(&self, r: &RecordRef<'_>) -> (Vec<u8>, i64) {
        let value = r.value.unwrap_or_default();
        let object = match check(value) {
            Ok(c) if c.kind == Kind::Object => value.get(c.start..c.end),
            _ => None,
        };
        let own = if r.timestamp_ms >= 0 { r.timestamp_ms.saturating_mul(1000) } else { self.clock.now().0 };
        let time = object.and_then(|o| self.time_of(o)).unwrap_or(own);
        let text = match object {
            Some(object) if self.options.decode_json => object.to_vec(),
            _ => self.wrap(value),
        };
        (text, time)
    }

    fn wrap(&self, value: &[u8]) -> Vec<u8> {
        let named = self.options.content_key.as_deref().unwrap_or(CONTENT);
        let key = if self.options.decode_json { FAILURE } else { named };
        let mut out = Vec::with_capacity(value.len() + key.len() + 8);
        out.push(b'{');
        push_string(&mut out, key);
        out.push(b':');
        match std::str::from_utf8(value) {
            Ok(text) => push_string(&mut out, text),
            Err(_) => {
                push_string(&mut out, &base64::engine::general_purpose::STANDARD.encode(value));
                out.push(b',');
                push_string(&mut out, ENCODING);
                out.extend_from_slice(b":\"base64\"");
            }
        }
        out.push(b'}');
        out
    }

    fn time_of(&self, object: &[u8]) -> Option<i64> {
        let name = self.options.time_field.as_deref()?;
        let is = |key: &[u8]| key == name.as_bytes();
        let (_, value) = members(object).find(|(key, _)| is(key))?;
        micros(&text(value)?)
    }
}

/// Seconds, milliseconds or microseconds as µs: which, their size says.
#[allow(clippy::cast_possible_truncation, reason = "the bounds are checked")]
fn micros(text: &str) -> Option<i64> {
    let n: f64 = text.trim().parse().ok().filter(|n: &f64| (0.0..1e17).contains(n))?;
    let factor = if n < 1e11 {
        1_000_000
    } else if n < 1e14 {
        1000
    } else {
        1
    };
    match text.trim().parse::<i64>() {
        Ok(whole) => whole.checked_mul(factor),
        Err(_) => Some((n * factor as f64) as i64),
    }
}

#[cfg(test)]
mod tests;
