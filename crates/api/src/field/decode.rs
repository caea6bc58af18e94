//! Holding a request against its table.

use super::params::{Params, as_bool, as_f64, as_i64, as_u64};
use super::{Field, FieldProblem, How, Operation, Problem, Ty};
use serde_json::{Map, Value};

/// Checks `params` against the operation's request table: nothing unknown, nothing required missing,
/// every type right, nothing refused. Null counts as absent.
///
/// # Errors
/// The first problem: unknown and wrong fields in the order of the request, then missing ones.
pub fn decode<'a>(
    operation: &Operation,
    params: &'a Value,
    flattened: bool,
) -> Result<Params<'a>, FieldProblem> {
    let Value::Object(fields) = params else {
        return Err(FieldProblem { field: String::new(), problem: Problem::WrongType("object") });
    };
    object(operation.request, fields, flattened, &Path::Root)?;
    Ok(Params::unchecked(params, flattened))
}

/// Where we are, as a chain on the stack: no text is built unless something is wrong.
enum Path<'p> {
    Root,
    Name(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    fn text(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Name(Self::Root, name) => (*name).to_owned(),
            Self::Name(parent, name) => format!("{}.{name}", parent.text()),
            Self::Index(parent, i) => format!("{}.{i}", parent.text()),
        }
    }

    fn problem(&self, problem: Problem) -> FieldProblem {
        FieldProblem { field: self.text(), problem }
    }
}

fn object(
    table: &[Field],
    fields: &Map<String, Value>,
    flattened: bool,
    at: &Path<'_>,
) -> Result<(), FieldProblem> {
    for (name, v) in fields {
        if v.is_null() {
            continue;
        }
        let at = Path::Name(at, name);
        let Some(field) = table.iter().find(|f| f.name == name) else {
            return Err(at.problem(Problem::Unknown));
        };
        if let How::Refused(reason) = field.how {
            return Err(at.problem(Problem::Refused(reason)));
        }
        value(&field.ty, v, flattened, &at)?;
    }
    for field in table.iter().filter(|f| f.required) {
        if fields.get(field.name).is_none_or(Value::is_null) {
            return Err(Path::Name(at, field.name).problem(Problem::Missing));
        }
    }
    Ok(())
}

fn value(ty: &Ty, v: &Value, flattened: bool, at: &Path<'_>) -> Result<(), FieldProblem> {
    let right = match ty {
        Ty::Str => v.is_string(),
        Ty::Int => as_i64(v, flattened).is_some(),
        Ty::Uint => as_u64(v, flattened).is_some(),
        Ty::Bool => as_bool(v, flattened).is_some(),
        Ty::Float => as_f64(v, flattened).is_some(),
        Ty::Any => true,
        Ty::List(of) => match v {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    value(of, item, flattened, &Path::Index(at, i))?;
                }
                true
            }
            _ => false,
        },
        Ty::Object(table) => match v {
            Value::Object(fields) => {
                object(table, fields, flattened, at)?;
                true
            }
            _ => false,
        },
    };
    if right { Ok(()) } else { Err(at.problem(Problem::WrongType(ty.words()))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Cloud;
    use serde_json::json;

    const FILTER: &[Field] =
        &[Field::new("Name", Ty::Str).required(), Field::new("Values", Ty::List(&Ty::Str)).required()];
    const OP: Operation = Operation {
        action: "Describe",
        request: &[
            Field::new("Id", Ty::Str).required(),
            Field::new("Limit", Ty::Uint),
            Field::new("Delta", Ty::Int),
            Field::new("Ratio", Ty::Float),
            Field::new("Dry", Ty::Bool),
            Field::new("Filters", Ty::List(&Ty::Object(FILTER))),
            Field::new("Old", Ty::Str).refused("it has no meaning here"),
        ],
        response: &[Field::new("Total", Ty::Uint)],
        note: "",
    };

    #[allow(clippy::needless_pass_by_value, reason = "reads better")]
    fn problem(v: Value, flattened: bool) -> (String, Problem) {
        let p = decode(&OP, &v, flattened).unwrap_err();
        (p.field, p.problem)
    }

    #[test]
    fn a_right_request_reads_back() {
        let v = json!({"Id":"x","Limit":3,"Delta":-1,"Ratio":2,"Dry":true,
            "Filters":[{"Name":"n","Values":["a","b"]}],"Old":null});
        let p = decode(&OP, &v, false).unwrap();
        assert_eq!((p.str("Id"), p.u64("Limit"), p.i64("Delta")), (Some("x"), Some(3), Some(-1)));
        assert_eq!((p.f64("Ratio"), p.bool("Dry"), p.has("Old")), (Some(2.0), Some(true), false));
        assert_eq!(p.objects("Filters")[0].strs("Values"), ["a", "b"]);
    }

    #[test]
    fn flattened_leaves_are_read_leniently() {
        let v = json!({"Id":"1","Limit":"20","Delta":"-5","Ratio":"0.5","Dry":"True"});
        let p = decode(&OP, &v, true).unwrap();
        assert_eq!((p.u64("Limit"), p.i64("Delta"), p.bool("Dry")), (Some(20), Some(-5), Some(true)));
        assert_eq!(problem(v, false), ("Delta".into(), Problem::WrongType("integer")));
        for bad in ["+1", "1.0", "0x1", "", "-1", "18446744073709551616"] {
            assert_eq!(problem(json!({"Id":"1","Limit":bad}), true).0, "Limit", "{bad}");
        }
    }

    #[test]
    fn every_problem_is_named_with_its_path() {
        assert_eq!(problem(json!({}), false), ("Id".into(), Problem::Missing));
        assert_eq!(problem(json!({"Id":"x","No":1}), false), ("No".into(), Problem::Unknown));
        assert_eq!(problem(json!({"Id":1}), false), ("Id".into(), Problem::WrongType("string")));
        assert_eq!(problem(json!({"Id":"x","Old":"y"}), false).0, "Old");
        let v = json!({"Id":"x","Filters":[{"Name":"n","Values":["a",1]}]});
        assert_eq!(problem(v, false), ("Filters.0.Values.1".into(), Problem::WrongType("string")));
        let v = json!({"Id":"x","Filters":[{"Values":[]}]});
        assert_eq!(problem(v, false), ("Filters.0.Name".into(), Problem::Missing));
        assert_eq!(problem(json!([]), false).1, Problem::WrongType("object"));
    }

    #[test]
    fn the_clouds_words() {
        let p = FieldProblem { field: "AutoRefreshs.0.RefreshPath".into(), problem: Problem::Missing };
        let f = p.fault(Cloud::Alibaba);
        assert_eq!((f.http, f.code.as_ref()), (400, "MissingRefreshPath"));
        assert_eq!(f.message, "RefreshPath is mandatory for this action.");
        assert_eq!(p.fault(Cloud::Tencent).code, "MissingParameter");
        let p = FieldProblem { problem: Problem::Unknown, ..p };
        assert!(p.fault(Cloud::Alibaba).message.contains("AutoRefreshs.1.RefreshPath"));
        assert!(p.fault(Cloud::Tencent).message.contains("AutoRefreshs.0.RefreshPath"));
    }
}
