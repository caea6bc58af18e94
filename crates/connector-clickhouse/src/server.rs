//! The server's side: blocks with their tokens, positions, and what its errors mean.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use connector::records::{Context, Mark, RecordRef, Split};
use connector::{Error, ErrorKind, Result};
use http::header::CONTENT_ENCODING;
use http::{HeaderValue, Method};
use http_pool::{Announcement, Answer, Call, Carrier, Parcel, Pool, Posted, Refusal, retry};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use runtime::{Clock, Random};
use serde::Deserialize;

use crate::config::{Plan, quoted};
use crate::rows;

/// The table with the positions.
const POSITIONS: &str = "wharf_positions";
/// Of an answer not more than this is read.
const MAX_ANSWER: usize = 16 << 20;
/// Settings of every insert: one block, done when it is answered, dates as they come.
const SETTINGS: &str = "async_insert=0&insert_deduplicate=1&wait_end_of_query=1&input_format_parallel_parsing=0&date_time_input_format=best_effort";

/// A ClickHouse and a table in it.
pub(crate) struct Server {
    pool: Pool,
    plan: Plan,
    pipeline: String,
    clock: Clock,
    random: Random,
    /// Positions can be kept: their table is there.
    keeps: Cell<bool>,
    /// The version of the newest row of positions.
    version: Cell<i64>,
    cuts: RefCell<HashMap<Split, Vec<i64>>>,
    insert: String,
}

#[derive(Deserialize)]
struct PositionText {
    topic: String,
    part: i32,
    mark: String,
    cuts: Vec<i64>,
    at: i64,
}

impl Server {
    pub(crate) fn new(pool: Pool, plan: Plan, context: &Context) -> Self {
        let insert = format!("INSERT INTO {} ({}) FORMAT JSONEachRow", plan.table(), plan.column_list());
        Self {
            insert: format!("/?query={}&{SETTINGS}", escape(&insert)),
            pool,
            keeps: Cell::new(false),
            plan,
            pipeline: context.pipeline.clone(),
            clock: context.clock.clone(),
            random: context.random.clone(),
            version: Cell::new(0),
            cuts: RefCell::default(),
        }
    }

    fn positions(&self) -> String {
        format!("{}.{}", quoted(&self.plan.database), quoted(POSITIONS))
    }

    /// Makes the table of positions, and reads what it has of this pipeline.
    async fn read_positions(&self) -> Result<Vec<PositionText>> {
        let cluster =
            self.plan.cluster.as_deref().map_or(String::new(), |c| format!(" ON CLUSTER {}", quoted(c)));
        let make = format!(
            "CREATE TABLE IF NOT EXISTS {}{cluster} (pipeline String, topic String, part Int32, mark String, cuts Array(Int64), at Int64) \
             ENGINE = ReplacingMergeTree(at) ORDER BY (pipeline, topic, part)",
            self.positions()
        );
        match query(&self.pool, &make).await {
            Ok(_) => self.keeps.set(true),
            Err(e) if matches!(e.kind(), ErrorKind::Denied | ErrorKind::Unsupported) => {
                tracing::warn!(table = POSITIONS, error = %e, "no positions can be kept: a crash may write blocks twice");
                return Ok(Vec::new());
            }
            Err(e) => return Err(e),
        }
        let pipeline: String =
            self.pipeline.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let read = format!(
            "SELECT topic, part, mark, cuts, at FROM {} FINAL WHERE pipeline = '{pipeline}' FORMAT JSONEachRow \
             SETTINGS output_format_json_quote_64bit_integers = 0",
            self.positions()
        );
        let answer = query(&self.pool, &read).await?;
        let lines = answer.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        let unfit = |e| Error::new(ErrorKind::Other, format!("{POSITIONS} can't be read: {e}"));
        lines.map(|l| serde_json::from_slice(l).map_err(unfit)).collect()
    }

    /// Says what a table without tokens means.
    async fn look_at_table(&self) -> Result<()> {
        let text = |s: &str| s.replace('\\', "\\\\").replace('\'', "\\'");
        let sql = format!(
            "SELECT engine_full FROM system.tables WHERE database = '{}' AND name = '{}' FORMAT TSVRaw",
            text(&self.plan.database),
            text(&self.plan.table)
        );
        let answer = query(&self.pool, &sql).await?;
        let engine = String::from_utf8_lossy(&answer);
        let distributed = engine.starts_with("Distributed") || engine.starts_with("Buffer");
        let window = engine.split("non_replicated_deduplication_window = ").nth(1);
        let window = window.is_some_and(|w| !w.starts_with('0'));
        if !engine.trim().is_empty() && !engine.contains("Replicated") && !distributed && !window {
            tracing::warn!(
                table = self.plan.table(),
                "the table keeps no deduplication tokens (non_replicated_deduplication_window): a block that is sent again is there twice"
            );
        }
        Ok(())
    }

    /// Identity of some records of a parcel.
    fn token(&self, parcel: &Parcel, range: Range<usize>) -> String {
        let at = |n: usize| parcel.pieces().get(n).map_or((0, 0), |p| (p.offset, p.sub));
        let (first, last) = (at(range.start), at(range.end.saturating_sub(1)));
        let split = parcel.split();
        format!(
            "{}/{}/{}/{}.{}-{}.{}",
            self.pipeline, split.topic, split.partition, first.0, first.1, last.0, last.1
        )
    }
}

#[async_trait(?Send)]
impl Carrier for Server {
    fn describe(&self) -> String {
        let address = &self.pool.remote().address;
        let scheme = if address.secure { "https" } else { "http" };
        format!("clickhouse {scheme}://{}/{}.{}", address.authority, self.plan.database, self.plan.table)
    }

    fn encode(&self, _: &Split, record: &RecordRef<'_>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        rows::encode(&self.plan.columns, record, out)
    }

    async fn committed(&self, known: &[(Split, Option<Mark>)]) -> Result<Vec<Option<Mark>>> {
        if !self.plan.positions {
            return Ok(vec![None; known.len()]);
        }
        self.look_at_table().await?;
        let mut found = HashMap::new();
        for row in self.read_positions().await? {
            self.version.set(self.version.get().max(row.at));
            let Some(mark) = Mark::parse(&row.mark) else { continue };
            found.insert(Split::new(&row.topic, row.part), (mark, row.cuts));
        }
        let mark = |(split, known): &(Split, Option<Mark>)| {
            let (mark, cuts) = found.remove(split)?;
            self.cuts.borrow_mut().insert(split.clone(), cuts);
            // The row is written before a block, so the engine may know more: a block begins there as well.
            Some(known.filter(|k| k.next > mark.next).unwrap_or(mark))
        };
        Ok(known.iter().map(mark).collect())
    }

    fn repeats(&self) -> bool {
        self.keeps.get()
    }

    fn cuts(&self, split: &Split) -> Vec<i64> {
        self.cuts.borrow_mut().remove(split).unwrap_or_default()
    }

    async fn announce(&self, what: &Announcement) -> Result<()> {
        if !self.keeps.get() {
            return Ok(());
        }
        let at = self.clock.now().0.max(self.version.get() + 1);
        self.version.set(at);
        let sql = format!("INSERT INTO {} FORMAT JSONEachRow", self.positions());
        let path = format!("/?query={}&async_insert=0&wait_end_of_query=1", escape(&sql));
        let row = serde_json::json!({"pipeline": self.pipeline, "topic": &*what.split.topic, "part": what.split.partition,
            "mark": what.mark.to_text(), "cuts": what.cuts, "at": at});
        let body = Bytes::from(row.to_string());
        let mut attempt = 0;
        loop {
            let error = match send(&self.pool, &path, body.clone(), false).await? {
                Posted::Done => return Ok(()),
                Posted::Unfit(why) => {
                    return Err(Error::new(ErrorKind::Other, format!("{POSITIONS}: {why}")));
                }
                Posted::Again(error, _) => error,
            };
            attempt += 1;
            if attempt >= self.plan.limits.attempts {
                return Err(error);
            }
            tokio::time::sleep(retry::pause(attempt - 1, false, None, &self.random)).await;
        }
    }

    async fn post(&self, parcel: &Parcel, range: Range<usize>) -> Result<Posted> {
        let token = self.token(parcel, range.clone());
        let path = format!("{}&insert_deduplication_token={}", self.insert, escape(&token));
        send(&self.pool, &path, Bytes::copy_from_slice(parcel.bytes(range)), self.plan.gzip).await
    }
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Asks something.
///
/// # Errors
/// As the server says; no retries.
pub(crate) async fn query(pool: &Pool, sql: &str) -> Result<Bytes> {
    let body = Bytes::copy_from_slice(sql.as_bytes());
    let call =
        Call { method: Method::POST, path: "/?wait_end_of_query=1", headers: &[], body, limit: MAX_ANSWER };
    let answer = pool.call(call).await?;
    match judge(&answer)? {
        Posted::Done => Ok(answer.body),
        Posted::Unfit(why) => Err(Error::new(ErrorKind::Unsupported, why)),
        Posted::Again(error, _) => Err(error),
    }
}

async fn send(pool: &Pool, path: &str, body: Bytes, gzip: bool) -> Result<Posted> {
    let mut headers = Vec::new();
    let body = if gzip {
        headers.push((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(&body)?;
        Bytes::from(writer.finish()?)
    } else {
        body
    };
    match pool.call(Call { method: Method::POST, path, headers: &headers, body, limit: MAX_ANSWER }).await {
        Ok(answer) => judge(&answer),
        Err(e) if e.kind() == ErrorKind::Unavailable => Ok(Posted::Again(e, None)),
        Err(e) => Err(e),
    }
}

/// The server's code of an error, from its header or its words (`Code: 27. DB::Exception: …`).
fn code(answer: &Answer) -> Option<u32> {
    let header = answer.headers.get("x-clickhouse-exception-code").and_then(|v| v.to_str().ok());
    if let Some(code) = header.and_then(|h| h.trim().parse().ok()) {
        return Some(code);
    }
    let words = answer.words();
    let digits = words.split("Code: ").nth(1)?;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn judge(answer: &Answer) -> Result<Posted> {
    let code = code(answer);
    if answer.is_success() && code.is_none() {
        return Ok(Posted::Done);
    }
    let said = format!("the server answered {} {}", answer.status, answer.words());
    let over = |kind| Err(Error::new(kind, said.clone()));
    let again = |kind| Ok(Posted::Again(Error::new(kind, said.clone()), answer.retry_after()));
    match (code, answer.status) {
        // Unknown table, database, column, no rights, wrong password.
        (Some(60 | 81 | 16 | 47), _) => over(ErrorKind::NotFound),
        (Some(164 | 192 | 193 | 194 | 291 | 497 | 516), _) => over(ErrorKind::Denied),
        (Some(243), _) => over(ErrorKind::Full),
        // Too many parts, too many queries, quota, memory.
        (Some(201 | 202 | 241 | 252), _) => again(ErrorKind::Throttled),
        // Timeouts, network, no quorum, read-only replica, no keeper.
        (Some(159 | 209 | 210 | 225 | 242 | 285 | 319 | 425 | 999), _) => again(ErrorKind::Unavailable),
        (Some(_), 400..=599) if !matches!(answer.status, 401 | 403 | 404 | 408 | 429 | 502..=504) => {
            Ok(if unreadable(code) { Posted::Unfit(said) } else { return again(ErrorKind::Unavailable) })
        }
        (_, 401 | 403) => over(ErrorKind::Denied),
        (_, 404) => over(ErrorKind::NotFound),
        (_, 429) => again(ErrorKind::Throttled),
        (_, 400 | 413) => Ok(Posted::Unfit(said)),
        (_, 408 | 500..) => again(ErrorKind::Unavailable),
        _ => over(ErrorKind::Other),
    }
}

/// Does the code speak of the rows? Values that can't be read or converted, nulls, ranges, enums, constraints, patterns.
fn unreadable(code: Option<u32>) -> bool {
    matches!(
        code,
        Some(
            6 | 25
                | 26
                | 27
                | 32
                | 36
                | 38
                | 41
                | 43
                | 53
                | 69
                | 70
                | 72
                | 117
                | 130
                | 131
                | 190
                | 321
                | 349
                | 376
                | 407
                | 441
                | 467
                | 469
                | 481
                | 490
                | 636
                | 641
                | 675
                | 676
                | 691
        )
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn judged(status: u16, code: Option<&'static str>, body: &'static str) -> Result<Posted> {
        let mut headers = HeaderMap::new();
        if let Some(code) = code {
            headers.insert("x-clickhouse-exception-code", HeaderValue::from_static(code));
        }
        judge(&Answer { status, headers, body: Bytes::from_static(body.as_bytes()) })
    }

    #[test]
    fn codes_decide() {
        assert!(matches!(judged(200, None, ""), Ok(Posted::Done)));
        assert!(matches!(judged(400, Some("27"), "x"), Ok(Posted::Unfit(_))));
        assert!(matches!(judged(500, None, "Code: 72. DB::Exception: Unsafe"), Ok(Posted::Unfit(_))));
        // An error in the middle of an answer that had begun well.
        assert!(matches!(judged(200, Some("27"), ""), Err(e) if e.kind() == ErrorKind::Other));
        for (status, code, kind) in [
            (500, "252", ErrorKind::Throttled),
            (500, "210", ErrorKind::Unavailable),
            (500, "49", ErrorKind::Unavailable),
            (503, "none", ErrorKind::Unavailable),
        ] {
            assert!(
                matches!(judged(status, Some(code), "x"), Ok(Posted::Again(e, _)) if e.kind() == kind),
                "{code}"
            );
        }
        for (status, code, kind) in
            [(404, "60", ErrorKind::NotFound), (403, "516", ErrorKind::Denied), (500, "243", ErrorKind::Full)]
        {
            assert!(matches!(judged(status, Some(code), "x"), Err(e) if e.kind() == kind), "{code}");
        }
    }
}
