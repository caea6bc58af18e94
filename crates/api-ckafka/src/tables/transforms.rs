//! What is done to a record on its way: `TransformParam` and `TransformsParam`.

use super::SAMPLE;
use super::resources::FAILURE_PARAM;
use api::{Field, Ty};

/// `TransformParam`.
pub const TRANSFORM_PARAM: &[Field] = &[
    Field::new("AnalysisFormat", Ty::Str).required(),
    Field::new("OutputFormat", Ty::Str).required(),
    Field::new("FailureParam", Ty::Object(FAILURE_PARAM)).required(),
    Field::new("Content", Ty::Str).required().stored(SAMPLE),
    Field::new("SourceType", Ty::Str).required().stored(SAMPLE),
    Field::new("Regex", Ty::Str),
    Field::new("MapParam", Ty::List(&Ty::Object(MAP_PARAM))),
    Field::new("FilterParam", Ty::List(&Ty::Object(FILTER_MAP_PARAM))),
    Field::new("Result", Ty::Str).stored(SAMPLE),
    Field::new("AnalyseResult", Ty::List(&Ty::Object(MAP_PARAM))).stored(SAMPLE),
    Field::new("UseEventBus", Ty::Bool).stored(SAMPLE),
];

/// `MapParam`.
const MAP_PARAM: &[Field] =
    &[Field::new("Key", Ty::Str).required(), Field::new("Type", Ty::Str), Field::new("Value", Ty::Str)];

/// `FilterMapParam`.
const FILTER_MAP_PARAM: &[Field] = &[
    Field::new("Key", Ty::Str).required(),
    Field::new("MatchMode", Ty::Str).required(),
    Field::new("Value", Ty::Str).required(),
    Field::new("Type", Ty::Str),
];

/// `TransformsParam`.
pub const TRANSFORMS_PARAM: &[Field] = &[
    Field::new("Content", Ty::Str).required().stored(SAMPLE),
    Field::new("FieldChain", Ty::List(&Ty::Object(FIELD_PARAM))).required(),
    Field::new("FilterParam", Ty::List(&Ty::Object(FILTER_MAP_PARAM))),
    Field::new("FailureParam", Ty::Object(FAILURE_PARAM)),
    Field::new("Result", Ty::Str).stored(SAMPLE),
    Field::new("SourceType", Ty::Str).stored(SAMPLE),
    Field::new("OutputFormat", Ty::Str),
    Field::new("RowParam", Ty::Object(ROW_PARAM)),
    Field::new("KeepMetadata", Ty::Bool),
    Field::new("BatchAnalyse", Ty::Object(BATCH_ANALYSE_PARAM)),
];

/// `FieldParam`.
const FIELD_PARAM: &[Field] = &[
    Field::new("Analyse", Ty::Object(ANALYSE_PARAM)).required(),
    Field::new("SecondaryAnalyse", Ty::Object(SECONDARY_ANALYSE_PARAM)),
    Field::new("SMT", Ty::List(&Ty::Object(SMT_PARAM))),
    Field::new("Result", Ty::Str).stored(SAMPLE),
    Field::new("AnalyseResult", Ty::List(&Ty::Object(SMT_PARAM))).stored(SAMPLE),
    Field::new("SecondaryAnalyseResult", Ty::List(&Ty::Object(SMT_PARAM))).stored(SAMPLE),
    Field::new("AnalyseJsonResult", Ty::Str).stored(SAMPLE),
    Field::new("SecondaryAnalyseJsonResult", Ty::Str).stored(SAMPLE),
];

/// `AnalyseParam`.
const ANALYSE_PARAM: &[Field] = &[
    Field::new("Format", Ty::Str).required(),
    Field::new("Regex", Ty::Str),
    Field::new("InputValueType", Ty::Str),
    Field::new("InputValue", Ty::Str),
];

/// `SecondaryAnalyseParam`.
const SECONDARY_ANALYSE_PARAM: &[Field] = &[Field::new("Regex", Ty::Str).required()];

/// `SMTParam`.
const SMT_PARAM: &[Field] = &[
    Field::new("Key", Ty::Str).required(),
    Field::new("Operate", Ty::Str).required(),
    Field::new("SchemeType", Ty::Str).required(),
    Field::new("Value", Ty::Str),
    Field::new("ValueOperate", Ty::Object(VALUE_PARAM)),
    Field::new("OriginalValue", Ty::Str).stored(SAMPLE),
    Field::new("ValueOperates", Ty::List(&Ty::Object(VALUE_PARAM))),
];

/// `ValueParam`.
const VALUE_PARAM: &[Field] = &[
    Field::new("Type", Ty::Str).required(),
    Field::new("Replace", Ty::Object(REPLACE_PARAM)),
    Field::new("Substr", Ty::Object(SUBSTR_PARAM)),
    Field::new("Date", Ty::Object(DATE_PARAM)),
    Field::new("RegexReplace", Ty::Object(REGEX_REPLACE_PARAM)),
    Field::new("Split", Ty::Object(SPLIT_PARAM)),
    Field::new("KV", Ty::Object(KV_PARAM)),
    Field::new("Result", Ty::Str).stored(SAMPLE),
    Field::new("JsonPathReplace", Ty::Object(JSON_PATH_REPLACE_PARAM)),
    Field::new("UrlDecode", Ty::Object(URL_DECODE_PARAM)),
    Field::new("Lowercase", Ty::Object(LOWERCASE_PARAM)),
];

/// `ReplaceParam`.
const REPLACE_PARAM: &[Field] =
    &[Field::new("OldValue", Ty::Str).required(), Field::new("NewValue", Ty::Str).required()];

/// `SubstrParam`.
const SUBSTR_PARAM: &[Field] =
    &[Field::new("Start", Ty::Int).required(), Field::new("End", Ty::Int).required()];

/// `DateParam`.
const DATE_PARAM: &[Field] =
    &[Field::new("Format", Ty::Str), Field::new("TargetType", Ty::Str), Field::new("TimeZone", Ty::Str)];

/// `RegexReplaceParam`.
const REGEX_REPLACE_PARAM: &[Field] =
    &[Field::new("Regex", Ty::Str).required(), Field::new("NewValue", Ty::Str).required()];

/// `SplitParam`.
const SPLIT_PARAM: &[Field] = &[Field::new("Regex", Ty::Str).required()];

/// `KVParam`.
const KV_PARAM: &[Field] = &[
    Field::new("Delimiter", Ty::Str).required(),
    Field::new("Regex", Ty::Str).required(),
    Field::new("KeepOriginalKey", Ty::Str),
];

/// `JsonPathReplaceParam`.
const JSON_PATH_REPLACE_PARAM: &[Field] =
    &[Field::new("OldValue", Ty::Str).required(), Field::new("NewValue", Ty::Str).required()];

/// `UrlDecodeParam`.
const URL_DECODE_PARAM: &[Field] = &[Field::new("CharsetName", Ty::Str)];

/// `LowercaseParam`.
const LOWERCASE_PARAM: &[Field] = &[];

/// `RowParam`.
const ROW_PARAM: &[Field] = &[
    Field::new("RowContent", Ty::Str).required(),
    Field::new("KeyValueDelimiter", Ty::Str),
    Field::new("EntryDelimiter", Ty::Str),
];

/// `BatchAnalyseParam`.
const BATCH_ANALYSE_PARAM: &[Field] = &[Field::new("Format", Ty::Str).required()];
