//! What is wrong with a specification, with the field's place in the vendor's words.

use std::fmt;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Problem {
    /// The field, such as `TransformsParam.FieldChain.0.SMT.2.Operate`.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

/// All problems of one specification.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// One more.
    pub fn add(&mut self, field: impl Into<String>, reason: impl Into<String>) {
        self.0.push(Problem { field: field.into(), reason: reason.into() });
    }

    /// Puts those of another step behind.
    pub fn extend(&mut self, others: Vec<Problem>) {
        self.0.extend(others);
    }

    /// What was made, if nothing is wrong.
    ///
    /// # Errors
    /// All problems.
    pub fn or<T>(self, made: T) -> Result<T, Vec<Problem>> {
        if self.0.is_empty() { Ok(made) } else { Err(self.0) }
    }
}
