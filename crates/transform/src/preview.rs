//! What each step makes of a sample: the same code as for a record, stopped after each stage.
//!
//! Of an array with `BatchAnalyse` the first element is looked at, as in the vendor's console; the outputs are those of
//! the whole.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::chain::{Chain, Context, Failure, Outcome, Output, Record, again, array, text_of_record};
use crate::json::{Tape, View};
use crate::row::{Row, text_of};
use crate::step::{Input, Scratch, Step, Upto};

/// What became of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Preview {
    /// What each step made. Steps after one that failed are missing.
    pub steps: Vec<StepPreview>,
    /// The values.
    pub outputs: Vec<String>,
    /// `emitted`, `filtered` or `failed`.
    pub outcome: &'static str,
    /// Where and why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What one step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct StepPreview {
    /// What the analysis found.
    pub analysis: Found,
    /// What the second analysis made of it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary: Option<Found>,
    /// The object that the step built, as JSON. None where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// Names and values that an analysis found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Found {
    /// All as one JSON object.
    pub json: String,
    /// One by one; a value as its text.
    pub fields: Vec<(String, String)>,
}

impl Chain {
    /// Shows what each step makes of a sample.
    pub fn preview(&self, sample: impl AsRef<[u8]>, now_ms: i64) -> Preview {
        let record = Record {
            value: sample.as_ref(),
            key: None,
            topic: "preview",
            partition: 0,
            offset: 0,
            timestamp_ms: now_ms,
        };
        let mut steps = Vec::new();
        // What fails here fails in the same way below, where it is told.
        let _ = self.look(&record, now_ms, &mut steps);
        let mut out = Output::new();
        let (outcome, failure) = match self.apply(&record, now_ms, &mut out) {
            Outcome::Emitted => ("emitted", None),
            Outcome::Filtered => ("filtered", None),
            Outcome::Failed(failure) => ("failed", Some(failure.to_string())),
        };
        let outputs = out.values().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        Preview { steps, outputs, outcome, failure }
    }

    fn look(&self, record: &Record<'_>, now_ms: i64, seen: &mut Vec<StepPreview>) -> Result<(), Failure> {
        let text = text_of_record(record.value)?;
        let (mut batch, mut before, mut scratch) = (Tape::default(), Tape::default(), Scratch::default());
        let (mut row, mut last) = (Row::default(), Row::default());
        let first = if self.is_batch() && array(text, &mut batch) {
            let view = View::whole(text, &batch);
            match view.elements().next() {
                Some(element) => Input::Json(view.at(element)),
                None => return Ok(()),
            }
        } else {
            Input::Text(text)
        };
        for (i, step) in self.steps().iter().enumerate() {
            let context = Context { record, now_ms, step: i };
            let input = if i == 0 { first } else { Input::Json(again(&last, &mut before, i)?) };
            let done = look_at(step, input, &context, (&mut scratch, &mut row), seen);
            done?;
            std::mem::swap(&mut row, &mut last);
        }
        Ok(())
    }
}

fn look_at(
    step: &Step,
    input: Input<'_>,
    context: &Context<'_>,
    (scratch, row): (&mut Scratch, &mut Row),
    seen: &mut Vec<StepPreview>,
) -> Result<(), Failure> {
    step.run(input, context, (scratch, row), Upto::Analysis)?;
    let analysis = found(row);
    let mut secondary = None;
    if step.has_secondary() {
        step.run(input, context, (scratch, row), Upto::Secondary)?;
        secondary = Some(found(row));
    }
    let done = step.run(input, context, (scratch, row), Upto::Result);
    let result = done.is_ok().then(|| row.json().to_owned());
    seen.push(StepPreview { analysis, secondary, result });
    done
}

fn found(row: &Row) -> Found {
    let fields = row
        .cells()
        .map(|(key, value)| (crate::json::text::decoded(key).into_owned(), text_of(value).into_owned()));
    Found { fields: fields.collect(), json: row.json().to_owned() }
}

impl Found {
    /// The fields as the vendor's list of `SMTParam`: each mapped to itself, with its value of the sample.
    pub fn as_smt(&self) -> Value {
        let smt = |(key, value): &(String, String)| json!({"Key": key, "Operate": "MAPPING", "SchemeType": "ORIGINAL", "Value": key, "OriginalValue": value});
        self.fields.iter().map(smt).collect()
    }

    /// The fields as the older list of `MapParam`.
    pub fn as_map(&self) -> Value {
        let map = |(key, value): &(String, String)| json!({"Key": key, "Type": "DEFAULT", "Value": value});
        self.fields.iter().map(map).collect()
    }
}

impl Preview {
    /// `Result` of the whole: the outputs, one a line; the failure where there is one.
    pub fn result(&self) -> String {
        self.failure.clone().unwrap_or_else(|| self.outputs.join("\n"))
    }

    /// Puts what was found into the answer's fields of a `TransformsParam`.
    pub fn fill_transforms_param(&self, param: &mut Value) {
        let Some(param) = param.as_object_mut() else { return };
        param.insert("Result".to_owned(), self.result().into());
        let chain = param.get_mut("FieldChain").and_then(Value::as_array_mut);
        for (step, seen) in chain.into_iter().flatten().zip(&self.steps) {
            if let Some(step) = step.as_object_mut() {
                seen.fill(step);
            }
        }
    }

    /// Puts what was found into the answer's fields of a `TransformParam`.
    pub fn fill_transform_param(&self, param: &mut Value) {
        let Some(param) = param.as_object_mut() else { return };
        param.insert("Result".to_owned(), self.result().into());
        if let Some(step) = self.steps.first() {
            param.insert("AnalyseResult".to_owned(), step.analysis.as_map());
        }
    }
}

impl StepPreview {
    fn fill(&self, step: &mut Map<String, Value>) {
        step.insert("AnalyseResult".to_owned(), self.analysis.as_smt());
        step.insert("AnalyseJsonResult".to_owned(), self.analysis.json.clone().into());
        if let Some(secondary) = &self.secondary {
            step.insert("SecondaryAnalyseResult".to_owned(), secondary.as_smt());
            step.insert("SecondaryAnalyseJsonResult".to_owned(), secondary.json.clone().into());
        }
        if let Some(result) = &self.result {
            step.insert("Result".to_owned(), result.clone().into());
        }
    }
}
