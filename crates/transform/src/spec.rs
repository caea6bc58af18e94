//! A transform as it was asked for: read from the vendor's objects, checked for form, not compiled yet.
//!
//! [`Spec::from_transforms_param`] and [`Spec::from_transform_param`] take the API's JSON as it is and name every problem
//! of it at once, those included that only compiling shows (a regular expression, a pattern, a path). A `Spec` can be
//! kept; [`crate::Chain::compile`] makes it run.

mod read;
mod read_step;

use serde::{Deserialize, Serialize};

use crate::Chain;
use crate::operate::date::Target;
use crate::problem::{Problem, Problems};
pub use crate::value::Cast;

/// A whole transform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The object that it came from.
    pub form: Form,
    /// `Content`: the sample of the preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    /// `BatchAnalyse`: what becomes of a message that is an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// `FieldChain`: what is done, in order.
    pub steps: Vec<Step>,
    /// `FilterParam`: what a result must be to go on; all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// `OutputFormat`
    pub output: Format,
    /// `KeepMetadata`: with `__topic__`, `__partition__` and `__offset__`.
    #[serde(default)]
    pub keep_metadata: bool,
    /// `FailureParam`: what becomes of a record that fails.
    pub on_failure: OnFailure,
}

/// The vendor's two objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// `TransformsParam`, with a chain.
    TransformsParam,
    /// The older `TransformParam`, with one step.
    TransformParam,
}

/// `BatchAnalyse.Format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Batch {
    /// Each element is an output of its own.
    OneByOne,
    /// The elements are one output of several rows.
    Merge,
}

/// One step: take a text apart, build an object from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// `Analyse.Format` and `Regex`
    pub analyse: Analyse,
    /// `Analyse.InputValueType` and `InputValue`: the part that is taken apart, if not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Select>,
    /// `SecondaryAnalyse.Regex`: what stands between key and value in each text of the first analysis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secondary: Option<String>,
    /// `SMT`: the fields of the result. None: all that was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// How a text is taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Analyse {
    /// It is JSON.
    Json,
    /// Fields with this between them, named `0`, `1`, …
    Delimiter(String),
    /// The groups of a regular expression.
    Regular(String),
    /// It is the result of the step before.
    Source,
}

/// A part of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Select {
    /// The field of that name.
    Key(String),
    /// What a JSONPath names.
    Path(String),
}

/// One field of the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// `Key`: its name.
    pub key: String,
    /// `Operate` and `Value`: where it comes from.
    pub from: From,
    /// `SchemeType`
    pub cast: Cast,
    /// `ValueOperates`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<Operator>,
    /// Does the list come from `ValueOperate`, the older form of one?
    #[serde(default)]
    pub single: bool,
}

/// Where a field's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum From {
    /// `MAPPING`: the source field of that name.
    Key(String),
    /// `JSONPATH`: what an expression gives.
    Path(String),
    /// `CUSTOMIZE`: this text.
    Constant(String),
    /// `DATE`: the time now, in milliseconds.
    Now,
}

/// One operator of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the vendor's")]
pub enum Operator {
    /// `REPLACE`
    Replace { old: String, new: String },
    /// `SUBSTR`
    Substr { start: u32, end: u32 },
    /// `DATE`
    Date { format: String, target: Target, zone: String },
    /// `TRIM`
    Trim,
    /// `REGEX_REPLACE`
    RegexReplace { regex: String, new: String },
    /// `SPLIT`
    Split { separator: String },
    /// `KV`
    KeyValue { pairs: String, inside: String, keep: bool },
    /// `JSON_PATH_REPLACE`
    JsonPathReplace { old: String, new: String },
    /// `URL_DECODE`
    UrlDecode { charset: String },
    /// `LOWERCASE`
    Lowercase,
}

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The field of the result.
    pub key: String,
    /// How it is compared.
    pub mode: MatchMode,
    /// With what.
    pub value: String,
}

/// `MatchMode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MatchMode {
    /// It begins with the text.
    Prefix,
    /// It ends with the text.
    Suffix,
    /// It has the text in it.
    Contains,
    /// It is another text.
    Except,
    /// It is that number, or in that range.
    Number,
    /// It is that address, or in that network.
    Ip,
}

/// How a result is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the vendor's")]
pub enum Format {
    /// A JSON object.
    Json,
    /// `k<inside>v`, joined.
    KeyValueRow { inside: String, between: String },
    /// The values, joined.
    ValueRow { between: String },
}

/// What becomes of a record that fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum OnFailure {
    /// No `FailureParam`: the server's own dead-letter desk keeps it.
    Desk,
    /// `DROP`: it is left out.
    Drop,
    /// `IGNORE_ERROR`: it goes on as it came.
    Keep,
    /// `DLQ`: it is tried again and then written elsewhere, as it came.
    DeadLetter {
        /// Where to.
        to: DeadLetterTopic,
        /// `MaxRetryAttempts`
        retries: u32,
        /// `RetryInterval`, in milliseconds.
        interval_ms: u64,
    },
}

/// Where dead letters go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum DeadLetterTopic {
    /// `DlqType` `CKAFKA`: `KafkaParam` as it was given; it has a `Resource` and a `Topic`.
    Kafka(serde_json::Value),
    /// `DlqType` `TOPIC`: the `Resource` of `TopicParam`.
    Topic(String),
}

impl Spec {
    /// Reads a `TransformsParam`.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn from_transforms_param(param: &serde_json::Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let spec = read::transforms_param(param, &mut problems);
        finish(spec, problems)
    }

    /// Reads the older `TransformParam`.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn from_transform_param(param: &serde_json::Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let spec = read::transform_param(param, &mut problems);
        finish(spec, problems)
    }
}

/// A part that could not be read stands as something harmless, so that compiling finds the problems of the others.
fn finish(spec: Spec, mut problems: Problems) -> Result<Spec, Vec<Problem>> {
    if let Err(more) = Chain::compile(&spec) {
        problems.extend(more);
    }
    problems.or(spec)
}
