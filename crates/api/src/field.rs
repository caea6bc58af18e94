//! Field tables: one declaration per action that decodes, refuses and documents.
//!
//! A door writes one [`Operation`] per action, with every field of the vendor's model. [`decode`]
//! holds a request against it; the coverage page of the docs is written from it ([`coverage`]). So a
//! field can't be forgotten silently: it is honoured, stored with a note, or refused with a reason.
//!
//! Only shape is judged here (known, present, right type). Ranges, enums and dependencies between
//! fields are the product's rules and belong to the door.

pub mod coverage;
mod decode;
mod params;

pub use coverage::{coverage_json, coverage_markdown};
pub use decode::decode;
pub use params::Params;

use crate::call::{Cloud, Fault};

/// Type of a field.
#[derive(Debug, Clone, Copy)]
pub enum Ty {
    /// Text.
    Str,
    /// Signed 64-bit integer.
    Int,
    /// Unsigned 64-bit integer.
    Uint,
    /// True or false.
    Bool,
    /// A number.
    Float,
    /// Any JSON value, undecoded.
    Any,
    /// A list of one type.
    List(&'static Ty),
    /// A nested object.
    Object(&'static [Field]),
}

impl Ty {
    /// The type in words, for messages and docs.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Str => "string",
            Self::Int => "integer",
            Self::Uint => "unsigned integer",
            Self::Bool => "boolean",
            Self::Float => "number",
            Self::Any => "any value",
            Self::List(_) => "list",
            Self::Object(_) => "object",
        }
    }
}

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// It does what the vendor says.
    Honoured,
    /// A request that has it is refused, for this reason.
    Refused(&'static str),
    /// It is kept and shown again, with this note on what it does not do.
    Stored(&'static str),
}

/// One field of a request or response.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Name on the wire.
    pub name: &'static str,
    /// Its type.
    pub ty: Ty,
    /// Must a request have it? Of no meaning in responses.
    pub required: bool,
    /// What becomes of it.
    pub how: How,
}

impl Field {
    /// An optional, honoured field.
    #[must_use]
    pub const fn new(name: &'static str, ty: Ty) -> Self {
        Self { name, ty, required: false, how: How::Honoured }
    }

    /// The same, required.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same, refused for a reason.
    #[must_use]
    pub const fn refused(mut self, reason: &'static str) -> Self {
        self.how = How::Refused(reason);
        self
    }

    /// The same, only stored.
    #[must_use]
    pub const fn stored(mut self, note: &'static str) -> Self {
        self.how = How::Stored(note);
        self
    }
}

/// One action: its fields both ways.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Action name.
    pub action: &'static str,
    /// Request fields.
    pub request: &'static [Field],
    /// Response fields, without `RequestId`.
    pub response: &'static [Field],
    /// What a reader of the docs should know about it; may be empty.
    pub note: &'static str,
}

/// What is wrong with one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The operation has no such field.
    Unknown,
    /// It is required and absent.
    Missing,
    /// It has another type; the text is the wanted one.
    WrongType(&'static str),
    /// It is known and refused, for this reason.
    Refused(&'static str),
}

/// Which field is wrong, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// Path of the field (`Filters.0.Name`), indices counted from 0.
    pub field: String,
    /// What is wrong.
    pub problem: Problem,
}

impl FieldProblem {
    /// The last name in the path.
    #[must_use]
    pub fn leaf(&self) -> &str {
        self.field.rsplit('.').find(|p| !p.bytes().all(|b| b.is_ascii_digit())).unwrap_or(&self.field)
    }

    /// The cloud's usual words for it. A door whose product says otherwise maps it itself.
    #[must_use]
    pub fn fault(&self, cloud: Cloud) -> Fault {
        match cloud {
            Cloud::Tencent | Cloud::Operator => self.tencent(),
            Cloud::Alibaba => self.alibaba(),
            Cloud::Huawei => Fault::new(400, "DIS.4200", format!("Invalid request. {}", self.words())),
        }
    }

    fn tencent(&self) -> Fault {
        let code = match self.problem {
            Problem::Unknown => "UnknownParameter",
            Problem::Missing => "MissingParameter",
            Problem::WrongType(_) => "InvalidParameter",
            Problem::Refused(_) => "UnsupportedOperation",
        };
        Fault::tencent(code, self.words())
    }

    fn alibaba(&self) -> Fault {
        let leaf = self.leaf();
        let from_one =
            |part: &str| part.parse::<usize>().map_or_else(|_| part.to_owned(), |i| (i + 1).to_string());
        let field = self.field.split('.').map(from_one).collect::<Vec<_>>().join(".");
        let shown = Self { field, problem: self.problem };
        match self.problem {
            Problem::Missing => {
                Fault::new(400, format!("Missing{leaf}"), format!("{leaf} is mandatory for this action."))
            }
            Problem::Unknown => Fault::new(400, "InvalidParameter", shown.words()),
            Problem::WrongType(_) => Fault::new(400, "InvalidParameter.Format", shown.words()),
            Problem::Refused(_) => Fault::new(400, "InvalidParameter.NotSupported", shown.words()),
        }
    }

    fn words(&self) -> String {
        let field = &self.field;
        match self.problem {
            Problem::Unknown => format!("The parameter `{field}` is not known to this action."),
            Problem::Missing => format!("The request does not have the required parameter `{field}`."),
            Problem::WrongType(want) => {
                format!("The parameter `{field}` has the wrong type; it must be: {want}.")
            }
            Problem::Refused(reason) => format!("The parameter `{field}` is not supported here: {reason}."),
        }
    }
}
