//! The vendor's JSON objects, field by field. Null and an empty text count as absent.

use serde_json::{Map, Value};

use super::read_step::{field_param, smt_of_map, step_of_transform};
use super::{Analyse, Batch, DeadLetterTopic, Filter, Form, Format, MatchMode, OnFailure, Spec, Step};
use crate::problem::Problems;

/// Elements of a list at most.
const MAX_LIST: usize = 256;
/// Steps of a chain at most.
const MAX_STEPS: usize = 16;
/// Retries at most.
const MAX_RETRIES: u64 = 100;
/// Milliseconds between retries at most: an hour.
const MAX_INTERVAL_MS: u64 = 3_600_000;

/// Reads a `TransformsParam`.
pub fn transforms_param(param: &Value, problems: &mut Problems) -> Spec {
    let mut fields = Fields::new("TransformsParam", param, problems);
    fields.known(&[
        "Content",
        "FieldChain",
        "FilterParam",
        "FailureParam",
        "Result",
        "SourceType",
        "OutputFormat",
        "RowParam",
        "KeepMetadata",
        "BatchAnalyse",
    ]);
    source_type(&mut fields);
    let sample = fields.text("Content").map(str::to_owned);
    let batch = batch(&mut fields);
    let keep_metadata = fields.flag("KeepMetadata");
    let output = output(&mut fields);
    let mut steps = Vec::new();
    for (i, step) in fields.list("FieldChain", MAX_STEPS).iter().enumerate() {
        steps.push(field_param(&mut fields.inner(&format!("FieldChain.{i}"), step)));
    }
    let none = fields.absent("FieldChain")
        || fields.value("FieldChain").is_some_and(|v| v.as_array().is_some_and(Vec::is_empty));
    if steps.is_empty() && !none {
        // It could not be read and has its problem; compiling says when there is really none.
        steps.push(Step { analyse: Analyse::Json, input: None, secondary: None, fields: Vec::new() });
    }
    let filters = filters(&mut fields);
    let on_failure = failure(&mut fields);
    Spec { form: Form::TransformsParam, sample, batch, steps, filters, output, keep_metadata, on_failure }
}

/// Reads a `TransformParam`.
pub fn transform_param(param: &Value, problems: &mut Problems) -> Spec {
    let mut fields = Fields::new("TransformParam", param, problems);
    fields.known(&[
        "AnalysisFormat",
        "OutputFormat",
        "FailureParam",
        "Content",
        "SourceType",
        "Regex",
        "MapParam",
        "FilterParam",
        "Result",
        "AnalyseResult",
        "UseEventBus",
    ]);
    source_type(&mut fields);
    fields.flag("UseEventBus");
    let sample = fields.text("Content").map(str::to_owned);
    if let Some(format) = fields.text("OutputFormat").filter(|f| *f != "JSON") {
        fields.problem("OutputFormat", &format!("{format:?} isn't JSON, the only format of this object"));
    }
    let mut step = step_of_transform(&mut fields);
    for (i, map) in fields.list("MapParam", MAX_LIST).iter().enumerate() {
        step.fields.push(smt_of_map(&mut fields.inner(&format!("MapParam.{i}"), map)));
    }
    let filters = filters(&mut fields);
    if fields.absent("FailureParam") {
        fields.problem("FailureParam", "it is required");
    }
    let on_failure = failure(&mut fields);
    Spec {
        form: Form::TransformParam,
        sample,
        batch: None,
        steps: vec![step],
        filters,
        output: Format::Json,
        keep_metadata: false,
        on_failure,
    }
}

/// Says where the sample came from; there is nothing to do about it.
fn source_type(fields: &mut Fields<'_, '_>) {
    fields.one_of("SourceType", &[("TOPIC", ()), ("CUSTOMIZE", ()), ("CKAFKA", ())]);
}

fn batch(fields: &mut Fields<'_, '_>) -> Option<Batch> {
    let mut inner = fields.object("BatchAnalyse")?;
    inner.known(&["Format"]);
    inner.required("Format")?;
    inner.one_of("Format", &[("ONE_BY_ONE", Batch::OneByOne), ("MERGE", Batch::Merge)])
}

fn output(fields: &mut Fields<'_, '_>) -> Format {
    let row = fields.one_of("OutputFormat", &[("JSON", false), ("ROW", true)]).unwrap_or(false);
    let Some(mut inner) = fields.object("RowParam") else {
        if row {
            fields.problem("RowParam", "it is required for ROW");
        }
        return Format::Json;
    };
    inner.known(&["RowContent", "KeyValueDelimiter", "EntryDelimiter"]);
    let content = inner.one_of("RowContent", &[("KEY_VALUE", true), ("VALUE", false)]);
    let inside = inner.verbatim("KeyValueDelimiter").map(super::read_step::separator).unwrap_or_default();
    let between = inner.verbatim("EntryDelimiter").map(super::read_step::separator).unwrap_or_default();
    if !row {
        return Format::Json;
    }
    inner.required("RowContent");
    match content {
        Some(true) => {
            if inside.is_empty() {
                inner.problem("KeyValueDelimiter", "it is required for KEY_VALUE");
            }
            Format::KeyValueRow { inside, between }
        }
        _ => Format::ValueRow { between },
    }
}

fn filters(fields: &mut Fields<'_, '_>) -> Vec<Filter> {
    let mut filters = Vec::new();
    for (i, filter) in fields.list("FilterParam", MAX_LIST).iter().enumerate() {
        let mut inner = fields.inner(&format!("FilterParam.{i}"), filter);
        inner.known(&["Key", "MatchMode", "Value", "Type"]);
        inner.one_of("Type", &[("REGULAR", ())]);
        inner.required("MatchMode");
        let mode = inner.one_of(
            "MatchMode",
            &[
                ("PREFIX", MatchMode::Prefix),
                ("SUFFIX", MatchMode::Suffix),
                ("CONTAINS", MatchMode::Contains),
                ("EXCEPT", MatchMode::Except),
                ("NUMBER", MatchMode::Number),
                ("IP", MatchMode::Ip),
            ],
        );
        let key = inner.required("Key").unwrap_or_default().to_owned();
        let value = inner.verbatim("Value").unwrap_or_default().to_owned();
        if value.is_empty() && !matches!(mode, Some(MatchMode::Except)) {
            inner.problem("Value", "it is required");
        }
        if let Some(mode) = mode
            && !key.is_empty()
            && (!value.is_empty() || mode == MatchMode::Except)
        {
            filters.push(Filter { key, mode, value });
        } else {
            // Keeps the numbers of the others right; it never runs.
            filters.push(Filter { key: String::new(), mode: MatchMode::Except, value: String::new() });
        }
    }
    filters
}

fn failure(fields: &mut Fields<'_, '_>) -> OnFailure {
    #[derive(Clone, Copy)]
    enum Kind {
        Drop,
        Keep,
        Letter,
    }
    let Some(mut inner) = fields.object("FailureParam") else { return OnFailure::Desk };
    inner.known(&["Type", "KafkaParam", "RetryInterval", "MaxRetryAttempts", "TopicParam", "DlqType"]);
    let retries = inner.count("MaxRetryAttempts", MAX_RETRIES).unwrap_or(0) as u32;
    let interval_ms = inner.count("RetryInterval", MAX_INTERVAL_MS).unwrap_or(0);
    let kafka = inner.one_of("DlqType", &[("CKAFKA", true), ("TOPIC", false)]);
    inner.required("Type");
    let kind =
        inner.one_of("Type", &[("DROP", Kind::Drop), ("IGNORE_ERROR", Kind::Keep), ("DLQ", Kind::Letter)]);
    match kind {
        Some(Kind::Drop) => OnFailure::Drop,
        Some(Kind::Keep) => OnFailure::Keep,
        None => OnFailure::Desk,
        Some(Kind::Letter) => match letter_topic(&mut inner, kafka) {
            Some(to) => OnFailure::DeadLetter { to, retries, interval_ms },
            None => OnFailure::Desk,
        },
    }
}

/// Without `DlqType` the parameter that is there says which.
fn letter_topic(fields: &mut Fields<'_, '_>, kafka: Option<bool>) -> Option<DeadLetterTopic> {
    if kafka.unwrap_or_else(|| !fields.absent("KafkaParam")) {
        let raw = fields.value("KafkaParam").cloned();
        let Some(inner) = fields.object("KafkaParam").as_mut().map(|inner| {
            let resource = inner.required("Resource").is_some();
            let topic = inner.required("Topic").is_some();
            resource && topic
        }) else {
            fields.problem("KafkaParam", "it is required for DLQ with DlqType CKAFKA");
            return None;
        };
        return raw.filter(|_| inner).map(DeadLetterTopic::Kafka);
    }
    let Some(mut inner) = fields.object("TopicParam") else {
        fields.problem("TopicParam", "it is required for DLQ with DlqType TOPIC");
        return None;
    };
    inner.required("Resource").map(|resource| DeadLetterTopic::Topic(resource.to_owned()))
}

/// The fields of one object, and where it stands.
pub struct Fields<'v, 'p> {
    at: String,
    map: Option<&'v Map<String, Value>>,
    problems: &'p mut Problems,
}

impl<'v, 'p> Fields<'v, 'p> {
    /// An object at a place. Another kind is a problem and has no fields.
    pub fn new(at: &str, value: &'v Value, problems: &'p mut Problems) -> Self {
        let map = value.as_object();
        if map.is_none() {
            problems.add(at, "an object is expected");
        }
        Self { at: at.to_owned(), map, problems }
    }

    /// An object inside this one.
    pub fn inner<'s>(&'s mut self, place: &str, value: &'v Value) -> Fields<'v, 's> {
        Fields::new(&format!("{}.{place}", self.at), value, self.problems)
    }

    /// The object in a field, if there is one.
    pub fn object<'s>(&'s mut self, name: &str) -> Option<Fields<'v, 's>> {
        let value = self.value(name)?;
        Some(self.inner(name, value))
    }

    /// Says which fields the vendor's object has.
    pub fn known(&mut self, names: &[&str]) {
        for name in self.map.into_iter().flat_map(|map| map.keys()) {
            if !names.contains(&name.as_str()) {
                self.problems.add(format!("{}.{name}", self.at), "there is no such field");
            }
        }
    }

    /// One more problem of a field.
    pub fn problem(&mut self, name: &str, reason: &str) {
        self.problems.add(format!("{}.{name}", self.at), reason);
    }

    /// A field that is there and not null.
    pub fn value(&self, name: &str) -> Option<&'v Value> {
        self.map.and_then(|map| map.get(name)).filter(|value| !value.is_null())
    }

    /// Is a field missing? An object that isn't one has its own problem already.
    pub fn absent(&self, name: &str) -> bool {
        self.map.is_some() && self.value(name).is_none()
    }

    /// A text; an empty one counts as absent.
    pub fn text(&mut self, name: &str) -> Option<&'v str> {
        self.verbatim(name).filter(|text| !text.is_empty())
    }

    /// A text, as it is.
    pub fn verbatim(&mut self, name: &str) -> Option<&'v str> {
        let text = self.value(name)?.as_str();
        if text.is_none() {
            self.problem(name, "a text is expected");
        }
        text
    }

    /// A text that must be there.
    pub fn required(&mut self, name: &str) -> Option<&'v str> {
        let there = self.value(name).is_some_and(|value| value.as_str() != Some(""));
        if !there && self.map.is_some() {
            self.problem(name, "it is required");
            return None;
        }
        self.text(name)
    }

    /// One of the vendor's words.
    pub fn one_of<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.problem(name, &format!("{text:?} is none of {}", all.join(", ")));
        }
        found
    }

    /// A boolean; false if absent.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.value(name) {
            None => false,
            Some(Value::Bool(yes)) => *yes,
            Some(_) => {
                self.problem(name, "true or false is expected");
                false
            }
        }
    }

    /// A whole number from 0.
    pub fn count(&mut self, name: &str, most: u64) -> Option<u64> {
        let value = self.value(name)?;
        let number = value.as_u64().filter(|n| *n <= most);
        if number.is_none() {
            self.problem(name, &format!("a whole number from 0 to {most} is expected"));
        }
        number
    }

    /// A list.
    pub fn list(&mut self, name: &str, most: usize) -> &'v [Value] {
        match self.value(name) {
            None => &[],
            Some(Value::Array(list)) if list.len() <= most => list,
            Some(Value::Array(_)) => {
                self.problem(name, &format!("there are more than {most}"));
                &[]
            }
            Some(_) => {
                self.problem(name, "a list is expected");
                &[]
            }
        }
    }
}
