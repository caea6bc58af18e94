//! The whole way of one record: array or not, step after step, filters, output.

use std::fmt;

use crate::compile::{self, METADATA, add_metadata};
use crate::filter::Filter;
use crate::json::{Kind, Tape, View};
use crate::problem::{Problem, Problems};
use crate::row::{Row, text_of};
use crate::spec::{Batch, Form, Format, OnFailure, Spec};
use crate::step::{Input, Scratch, Step, Upto};
use crate::value::{MAX_VALUE, Reason};

/// Buffers up to here are kept for the next record.
const KEPT: usize = 4 << 20;

/// Values that one record may become.
const MAX_VALUES: usize = 100_000;

/// One record of a source.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The value.
    pub value: &'a [u8],
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The source topic.
    pub topic: &'a str,
    /// The source partition.
    pub partition: i32,
    /// The source offset.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There are values in the output.
    Emitted,
    /// A filter left it out, or it was an array of nothing.
    Filtered,
    /// It can't be transformed.
    Failed(Failure),
}

/// Why a record can't be transformed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where it failed.
    pub stage: Stage,
    /// Why.
    pub reason: Reason,
}

/// A place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Before anything: it is no text.
    Text,
    /// While a step took it apart.
    Analyse {
        /// The number of the step, from 0.
        step: usize,
    },
    /// While a step made a field.
    Field {
        /// The number of the step, from 0.
        step: usize,
        /// The number of the field, from 0.
        field: usize,
        /// Its name.
        name: String,
    },
    /// While the result was written.
    Output,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Analyse { step } => write!(f, "FieldChain.{step}.Analyse"),
            Self::Field { step, field, name } => write!(f, "FieldChain.{step}.SMT.{field} ({name})"),
            Self::Output => f.write_str("output"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage, self.reason)
    }
}

/// The values that a record became, and the buffers of the way there. A thread keeps one for all its records.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    work: Buffers,
    /// Did the last record make the buffers large?
    grown: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Buffers {
    batch: Tape,
    before: Tape,
    scratch: Scratch,
    rows: (Row, Row),
}

impl Output {
    /// With empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The values of the last record, in order.
    pub fn values(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let value = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            value
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn clear(&mut self) {
        // A giant record doesn't keep its memory for the small ones after it.
        if self.grown {
            *self = Self::default();
        }
        self.bytes.clear();
        self.ends.clear();
    }
}

/// What steps need to know beside their input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub record: &'a Record<'a>,
    pub now_ms: i64,
    /// The number of the step.
    pub step: usize,
}

/// A compiled transform. It can be shared by threads; each has its own [`Output`].
#[derive(Debug)]
pub struct Chain {
    steps: Vec<Step>,
    filters: Vec<Filter>,
    batch: Option<Batch>,
    output: Format,
    keep_metadata: bool,
    on_failure: OnFailure,
}

impl Chain {
    /// Compiles a specification.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn compile(spec: &Spec) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let steps = compile::steps(spec, &mut problems);
        let form = match spec.form {
            Form::TransformsParam => "TransformsParam",
            Form::TransformParam => "TransformParam",
        };
        let mut filters = Vec::new();
        for (i, filter) in spec.filters.iter().enumerate() {
            match Filter::new(filter) {
                Ok(made) => filters.push(made),
                Err(reason) => problems.add(format!("{form}.FilterParam.{i}.Value"), reason),
            }
            if !filter.key.is_empty() && !may_have(spec, &steps, &filter.key) {
                problems.add(
                    format!("{form}.FilterParam.{i}.Key"),
                    format!("{:?} is no field of the result: nothing could pass", filter.key),
                );
            }
        }
        let chain = Self {
            steps,
            filters,
            batch: spec.batch,
            output: spec.output.clone(),
            keep_metadata: spec.keep_metadata,
            on_failure: spec.on_failure.clone(),
        };
        problems.or(chain)
    }

    /// What becomes of a record that fails.
    pub fn on_failure(&self) -> &OnFailure {
        &self.on_failure
    }

    /// Transforms one record. Its values replace those in `out`.
    pub fn apply(&self, record: &Record<'_>, now_ms: i64, out: &mut Output) -> Outcome {
        out.clear();
        let done = self.record(record, now_ms, out);
        let rows = &out.work.rows;
        let largest = out.bytes.capacity().max(rows.0.capacity()).max(rows.1.capacity());
        out.grown = largest.max(record.value.len()) > KEPT;
        match done {
            Ok(()) if out.is_empty() => Outcome::Filtered,
            Ok(()) => Outcome::Emitted,
            Err(failure) => {
                out.bytes.clear();
                out.ends.clear();
                Outcome::Failed(failure)
            }
        }
    }

    pub(crate) fn is_batch(&self) -> bool {
        self.batch.is_some()
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn record(&self, record: &Record<'_>, now_ms: i64, out: &mut Output) -> Result<(), Failure> {
        let text = text_of_record(record.value)?;
        let context = Context { record, now_ms, step: 0 };
        let Output { bytes, ends, work, .. } = out;
        let Buffers { batch, before, scratch, rows } = work;
        let mut tools = (before, scratch, rows);
        let Some(format) = self.batch.filter(|_| array(text, batch)) else {
            if self.one(Input::Text(text), &context, &mut tools)? {
                self.write(&tools.2.0, bytes);
                ends.push(bytes.len());
            }
            return Ok(());
        };
        let view = View::whole(text, batch);
        let mut rows = 0;
        for element in view.elements() {
            if !self.one(Input::Json(view.at(element)), &context, &mut tools)? {
                continue;
            }
            rows += 1;
            if format == Batch::Merge {
                bytes.extend_from_slice(match (&self.output, rows) {
                    (Format::Json, 1) => b"[",
                    (Format::Json, _) => b",",
                    (_, 1) => b"",
                    _ => b"\n",
                });
            }
            self.write(&tools.2.0, bytes);
            if format == Batch::OneByOne {
                ends.push(bytes.len());
            }
            if rows > MAX_VALUES || bytes.len() > MAX_VALUE {
                let reason = "the result is longer than 64 MiB or has more than 100000 values";
                return Err(Failure { stage: Stage::Output, reason: Reason::Borrowed(reason) });
            }
        }
        if format == Batch::Merge && rows > 0 {
            if self.output == Format::Json {
                bytes.push(b']');
            }
            ends.push(bytes.len());
        }
        Ok(())
    }

    /// Takes one input through all steps; the result is in the first row. False when a filter leaves it out.
    fn one(
        &self,
        input: Input<'_>,
        context: &Context<'_>,
        (before, scratch, rows): &mut (&mut Tape, &mut Scratch, &mut (Row, Row)),
    ) -> Result<bool, Failure> {
        let (result, other) = &mut **rows;
        for (i, step) in self.steps.iter().enumerate() {
            let context = Context { step: i, ..*context };
            if i == 0 {
                step.run(input, &context, (scratch, result), Upto::Result)?;
            } else {
                std::mem::swap(result, other);
                let view = again(other, before, i)?;
                step.run(Input::Json(view), &context, (scratch, result), Upto::Result)?;
            }
        }
        if self.keep_metadata {
            result.reopen();
            add_metadata(result, context.record)
                .map_err(|reason| Failure { stage: Stage::Output, reason })?;
            result.end();
        }
        Ok(self.filters.iter().all(|filter| filter.passes(result)))
    }
}

/// Reads the result of a step for the next one.
pub(crate) fn again<'a>(row: &'a Row, tape: &'a mut Tape, step: usize) -> Result<View<'a>, Failure> {
    tape.parse(row.json()).map_err(|flaw| Failure {
        stage: Stage::Analyse { step },
        reason: Reason::Owned(flaw.to_string()),
    })?;
    Ok(View::whole(row.json(), tape))
}

/// The text of a record, without a byte order mark.
pub(crate) fn text_of_record(value: &[u8]) -> Result<&str, Failure> {
    match std::str::from_utf8(value) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => Err(Failure {
            stage: Stage::Text,
            reason: Reason::Owned(format!("not UTF-8 at byte {}", error.valid_up_to())),
        }),
    }
}

/// Is a text a JSON array? It is then in the tape.
pub(crate) fn array(text: &str, tape: &mut Tape) -> bool {
    text.trim_start().starts_with('[') && tape.parse(text).is_ok() && tape.node(0).kind == Kind::Array
}

/// Can the result have a field of that name?
fn may_have(spec: &Spec, steps: &[Step], key: &str) -> bool {
    let open = |step: &Step| step.fields.is_empty() || step.fields.iter().any(|field| field.spread.is_some());
    (spec.keep_metadata && METADATA.contains(&key))
        || steps.last().is_none_or(|last| open(last) || last.fields.iter().any(|field| field.name == key))
}

impl Chain {
    /// Writes a row in the output's format.
    fn write(&self, row: &Row, out: &mut Vec<u8>) {
        let (inside, between) = match &self.output {
            Format::Json => return out.extend_from_slice(row.json().as_bytes()),
            Format::KeyValueRow { inside, between } => (Some(inside), between),
            Format::ValueRow { between } => (None, between),
        };
        for (i, (key, value)) in row.cells().enumerate() {
            if i > 0 {
                out.extend_from_slice(between.as_bytes());
            }
            if let Some(inside) = inside {
                out.extend_from_slice(crate::json::text::decoded(key).as_bytes());
                out.extend_from_slice(inside.as_bytes());
            }
            out.extend_from_slice(text_of(value).as_bytes());
        }
    }
}
