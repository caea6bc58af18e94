//! From a record to an action and its document, in the bytes of a bulk.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use connector::ErrorKind;
use connector::records::{RecordRef, Split};
use json_text::{Kind, Path, Wrong, check, kind_of, push_joined, push_string, text};

use crate::change::{self, Row};
use crate::config::{IndexRule, Plan};
use crate::names::{DateSuffix, IsoTime, index_problem, read_time};

/// The longest `_id` that the servers take.
const MAX_ID: usize = 512;

/// Why a record makes no document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: ErrorKind,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn unacceptable(reason: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Unacceptable, reason: reason.into() }
    }

    /// The sink's own options say that such a record is dropped.
    pub(crate) fn dropped(reason: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Corrupt, reason: reason.into() }
    }
}

/// Where actions go.
pub(crate) trait Out {
    /// The body for an action. Actions with the same key come from the same id and must stay in order; `None` for ids that
    /// nothing else has.
    fn begin(&mut self, key: Option<u64>) -> &mut Vec<u8>;
    /// The action that was begun is complete.
    fn end(&mut self);
}

/// A document on its way.
#[derive(Clone, Copy)]
struct Doc<'a> {
    /// An object, checked.
    json: &'a [u8],
    breaks: bool,
    /// It may have a key that begins with `@`.
    at_key: bool,
}

/// What goes into `@timestamp`.
enum Stamp<'a> {
    No,
    Raw(&'a [u8]),
    At(i64),
}

/// Makes actions by a plan.
pub(crate) struct Encoder {
    plan: Rc<Plan>,
    iso: IsoTime,
    suffix: Option<DateSuffix>,
    split: Option<Split>,
    /// `topic-partition-`, escaped.
    position: Vec<u8>,
    /// `{"index":{"_id":"` and the position, for the usual case.
    usual: Vec<u8>,
    mapped: Vec<u8>,
    own_stamp: bool,
}

impl Encoder {
    pub(crate) fn new(plan: &Rc<Plan>) -> Self {
        Self {
            iso: IsoTime::default(),
            suffix: plan.date_suffix.clone().map(|p| DateSuffix::new(p, plan.utc_offset_s)),
            split: None,
            position: Vec::new(),
            usual: Vec::new(),
            mapped: Vec::new(),
            own_stamp: plan.mapping.iter().any(|(column, _)| column == "@timestamp"),
            plan: plan.clone(),
        }
    }

    /// The records that come next are of this split.
    pub(crate) fn turn_to(&mut self, split: &Split) {
        if self.split.as_ref() == Some(split) {
            return;
        }
        self.position.clear();
        push_joined(&mut self.position, &format!("{}-{}-", split.topic, split.partition));
        self.usual = [b"{\"index\":{\"_id\":\"", &self.position[..]].concat();
        self.split = Some(split.clone());
    }

    /// Writes the actions of a record, or none and the reason.
    pub(crate) fn encode(&mut self, record: &RecordRef<'_>, out: &mut impl Out) -> Result<(), Refusal> {
        let plan = self.plan.clone();
        let Some(value) = record.value else {
            let words = "a record without a value (a tombstone) makes no document";
            return Err(if plan.change.is_some() {
                Refusal::dropped(words)
            } else {
                Refusal::unacceptable(words)
            });
        };
        let wrapped;
        let doc = match check(value) {
            Ok(c) if c.kind == Kind::Object => {
                let json = value.get(c.start..c.end).unwrap_or_default();
                Doc { json, breaks: c.breaks, at_key: c.at_key }
            }
            other => {
                wrapped = wrap(&plan, value, other.map(|c| c.kind))?;
                Doc { json: &wrapped, breaks: false, at_key: true }
            }
        };
        match &plan.change {
            None => self.document(&plan, record, doc, out),
            Some((format, keys)) => {
                let rows = change::rows(*format, keys, doc.json)?;
                self.rows(&plan, record, (&rows, doc.breaks), out)
            }
        }
    }

    /// The usual case: one record, one document.
    fn document(
        &mut self,
        plan: &Plan,
        record: &RecordRef<'_>,
        doc: Doc<'_>,
        out: &mut impl Out,
    ) -> Result<(), Refusal> {
        let (stamp, ms) = moment(plan, record, doc.json);
        let index = self.index(plan, doc.json, ms)?;
        let own = plan.id.as_ref().and_then(|p| p.find(doc.json)).and_then(text);
        let own = own.map(checked_id).transpose()?;
        let (own, index) = (own.as_deref(), index.as_deref());
        let body = out.begin(own.map(|id| key(index, id)));
        self.action(body, record, own, index);
        self.source(plan, doc, &stamp, body);
        out.end();
        Ok(())
    }

    fn action(&self, body: &mut Vec<u8>, record: &RecordRef<'_>, own: Option<&str>, index: Option<&str>) {
        match (own, index) {
            (None, None) => body.extend_from_slice(&self.usual),
            (_, index) => push_action(body, false, index),
        }
        match own {
            Some(id) => push_joined(body, id),
            None => {
                if index.is_some() {
                    body.extend_from_slice(&self.position);
                }
                push_number(body, record.offset);
                if record.sub > 0 {
                    body.push(b'-');
                    push_number(body, i64::from(record.sub));
                }
            }
        }
        body.extend_from_slice(b"\"}}\n");
    }

    fn rows(
        &mut self,
        plan: &Plan,
        record: &RecordRef<'_>,
        (rows, breaks): (&[Row<'_>], bool),
        out: &mut impl Out,
    ) -> Result<(), Refusal> {
        let mut ready = Vec::with_capacity(rows.len());
        for row in rows {
            let (stamp, ms) = moment(plan, record, row.doc);
            checked_id(Cow::Borrowed(&row.id))?;
            ready.push((row, stamp, self.index(plan, row.doc, ms)?));
        }
        for (row, stamp, index) in ready {
            let index = index.as_deref();
            let body = out.begin(Some(key(index, &row.id)));
            push_action(body, row.delete, index);
            push_joined(body, &row.id);
            body.extend_from_slice(b"\"}}\n");
            if !row.delete {
                self.source(plan, Doc { json: row.doc, breaks, at_key: true }, &stamp, body);
            }
            out.end();
        }
        Ok(())
    }

    /// The index, where it is not the one that the request names.
    fn index(&mut self, plan: &Plan, json: &[u8], ms: Option<i64>) -> Result<Option<String>, Refusal> {
        if plan.only_index().is_some() {
            return Ok(None);
        }
        let mut name = match &plan.index {
            IndexRule::Fixed(name) => name.clone(),
            IndexRule::Path(path) => path
                .find(json)
                .and_then(text)
                .ok_or_else(|| Refusal::unacceptable("there is no name of an index where index_path points"))?
                .into_owned(),
        };
        if let Some(suffix) = &mut self.suffix {
            let ms =
                ms.ok_or_else(|| Refusal::unacceptable("there is no time for the date in the index's name"))?;
            name.push('_');
            name.push_str(suffix.at(ms));
        }
        match index_problem(&name) {
            None => Ok(Some(name)),
            Some(problem) => Err(Refusal::unacceptable(format!("the name of the index {problem}"))),
        }
    }

    /// The document's line.
    fn source(&mut self, plan: &Plan, doc: Doc<'_>, stamp: &Stamp<'_>, body: &mut Vec<u8>) {
        let start = body.len();
        let mut has_stamp = doc.at_key && Path::key("@timestamp").find(doc.json).is_some();
        if plan.mapping.is_empty() {
            body.extend_from_slice(doc.json);
        } else {
            has_stamp = self.own_stamp;
            self.map(plan, doc.json);
            body.extend_from_slice(&self.mapped);
        }
        if !has_stamp && !matches!(stamp, Stamp::No) {
            body.pop();
            if body.get(start + 1..).is_some_and(|inside| !inside.trim_ascii_start().is_empty()) {
                body.push(b',');
            }
            body.extend_from_slice(b"\"@timestamp\":");
            match stamp {
                Stamp::Raw(raw) => body.extend_from_slice(raw),
                Stamp::At(ms) => {
                    body.push(b'"');
                    self.iso.push(body, *ms);
                    body.push(b'"');
                }
                Stamp::No => {}
            }
            body.push(b'}');
        }
        if doc.breaks {
            // Strings can't hold them, so they are white space, and a space is as good.
            body.iter_mut().skip(start).filter(|b| **b == b'\n').for_each(|b| *b = b' ');
        }
        body.push(b'\n');
    }

    /// The mapped fields, and only those.
    fn map(&mut self, plan: &Plan, json: &[u8]) {
        self.mapped.clear();
        self.mapped.push(b'{');
        for (column, path) in &plan.mapping {
            let Some(value) = path.find(json) else { continue };
            if self.mapped.len() > 1 {
                self.mapped.push(b',');
            }
            push_string(&mut self.mapped, column);
            self.mapped.push(b':');
            self.mapped.extend_from_slice(value);
        }
        self.mapped.push(b'}');
    }
}

/// What is no object: dropped, wrapped, or refused, as the plan says.
fn wrap(plan: &Plan, value: &[u8], found: Result<Kind, Wrong>) -> Result<Vec<u8>, Refusal> {
    let words = match found {
        Ok(_) => "JSON, but not an object".to_owned(),
        Err(wrong) => wrong.to_string(),
    };
    if plan.drop_not_json && found.is_err() {
        return Err(Refusal::dropped(words));
    }
    let Some(name) = &plan.raw_key else { return Err(Refusal::unacceptable(words)) };
    let text = std::str::from_utf8(value).map_err(|e| {
        Refusal::unacceptable(format!("neither JSON nor text: not UTF-8 at byte {}", e.valid_up_to()))
    })?;
    let mut json = Vec::with_capacity(text.len() + name.len() + 16);
    json.push(b'{');
    push_string(&mut json, name);
    json.push(b':');
    push_string(&mut json, text);
    json.push(b'}');
    Ok(json)
}

/// The time of a document: for `@timestamp`, and as a number for the index's name.
fn moment<'a>(plan: &Plan, record: &RecordRef<'_>, json: &'a [u8]) -> (Stamp<'a>, Option<i64>) {
    let told = plan.date.as_ref().and_then(|p| p.find(json));
    let own = told.and_then(text).and_then(|t| read_time(&t));
    let ms = own.or((record.timestamp_ms >= 0).then_some(record.timestamp_ms));
    let stamp = match (plan.timestamp, told.map(kind_of)) {
        (false, _) => Stamp::No,
        (true, Some(Some(Kind::String))) => told.map_or(Stamp::No, Stamp::Raw),
        (true, _) => ms.map_or(Stamp::No, Stamp::At),
    };
    (stamp, ms)
}

fn checked_id(id: Cow<'_, str>) -> Result<Cow<'_, str>, Refusal> {
    // A bulk with a longer id would be refused as a whole.
    if id.is_empty() || id.len() > MAX_ID {
        return Err(Refusal::unacceptable(format!(
            "an id must have 1 to {MAX_ID} bytes, this has {}",
            id.len()
        )));
    }
    Ok(id)
}

fn key(index: Option<&str>, id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (index, id).hash(&mut hasher);
    hasher.finish()
}

fn push_action(body: &mut Vec<u8>, delete: bool, index: Option<&str>) {
    body.extend_from_slice(if delete { b"{\"delete\":{" } else { b"{\"index\":{" });
    if let Some(index) = index {
        body.extend_from_slice(b"\"_index\":");
        push_string(body, index);
        body.push(b',');
    }
    body.extend_from_slice(b"\"_id\":\"");
}

fn push_number(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests;
