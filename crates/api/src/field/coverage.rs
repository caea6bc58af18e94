//! Coverage pages, written from the field tables.

use super::{Field, How, Operation, Ty};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Deepest nesting that is written out; tables may refer to themselves.
const MAX_DEPTH: usize = 12;

/// A Markdown section per operation, with one row per request field and a line of response fields.
#[must_use]
pub fn coverage_markdown(operations: &[Operation]) -> String {
    let mut out = String::new();
    for op in operations {
        let _ = writeln!(out, "## {}\n", op.action);
        if !op.note.is_empty() {
            let _ = writeln!(out, "{}\n", op.note);
        }
        if op.request.is_empty() {
            out.push_str("No parameters.\n\n");
        } else {
            out.push_str("| parameter | type | required | what becomes of it |\n|---|---|---|---|\n");
            rows(op.request, "", 0, &mut |path, f| {
                let required = if f.required { "yes" } else { "" };
                let _ = writeln!(out, "| `{path}` | {} | {required} | {} |", type_words(&f.ty), how(f.how));
            });
            out.push('\n');
        }
        let mut names = Vec::new();
        rows(op.response, "", 0, &mut |path, f| {
            names.push(match f.how {
                How::Honoured => format!("`{path}`"),
                other => format!("`{path}` ({})", how(other)),
            });
        });
        names.push("`RequestId`".to_owned());
        let _ = writeln!(out, "Response: {}\n", names.join(", "));
    }
    out
}

/// The same as JSON: `[{"action","note","request":[{"field","type","required","how","reason"}],"response":[…]}]`.
#[must_use]
pub fn coverage_json(operations: &[Operation]) -> Value {
    let list = |table: &[Field]| {
        let mut all = Vec::new();
        rows(table, "", 0, &mut |path, f| {
            let (how, reason) = match f.how {
                How::Honoured => ("honoured", ""),
                How::Refused(reason) => ("refused", reason),
                How::Stored(note) => ("stored", note),
            };
            all.push(json!({"field": path, "type": type_words(&f.ty), "required": f.required,
                "how": how, "reason": reason}));
        });
        Value::Array(all)
    };
    operations
        .iter()
        .map(|op| {
            json!({"action": op.action, "note": op.note, "request": list(op.request),
                "response": list(op.response)})
        })
        .collect()
}

fn rows(table: &[Field], prefix: &str, depth: usize, row: &mut dyn FnMut(&str, &Field)) {
    if depth > MAX_DEPTH {
        return;
    }
    for field in table {
        let mut path = format!("{prefix}{}", field.name);
        let mut ty = field.ty;
        while let Ty::List(of) = ty {
            path.push_str("[]");
            ty = *of;
        }
        row(&path, field);
        if let Ty::Object(nested) = ty {
            rows(nested, &format!("{path}."), depth + 1, row);
        }
    }
}

fn type_words(ty: &Ty) -> String {
    match ty {
        Ty::List(of) => format!("list of {}", type_words(of)),
        plain => plain.words().to_owned(),
    }
}

fn how(how: How) -> String {
    match how {
        How::Honoured => "honoured".to_owned(),
        How::Refused(reason) => format!("refused: {reason}"),
        How::Stored(note) => format!("stored: {note}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: &[Field] =
        &[Field::new("Key", Ty::Str).required(), Field::new("Old", Ty::Int).refused("gone")];
    const OPS: &[Operation] = &[Operation {
        action: "Do",
        request: &[Field::new("Tags", Ty::List(&Ty::Object(INNER))), Field::new("Id", Ty::Str).required()],
        response: &[Field::new("TaskId", Ty::Str)],
        note: "",
    }];

    #[test]
    fn both_pages_name_every_field() {
        let page = coverage_markdown(OPS);
        assert!(page.contains("| `Tags[].Old` | integer |  | refused: gone |"), "{page}");
        assert!(page.contains("Response: `TaskId`, `RequestId`"));
        let json = coverage_json(OPS);
        assert_eq!(json[0]["request"].as_array().map(Vec::len), Some(4));
        assert_eq!(json[0]["request"][2]["how"], "refused");
    }
}
