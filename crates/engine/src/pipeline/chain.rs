//! The transform chain of a pipeline as a step of a lane.

use connector::records::{Batch, RecordRef};
use connector::{Error, ErrorKind, Result};
use transform::{Chain, Outcome, Output, Record, Spec};

use super::{Emit, Step};

/// A compiled chain with its buffers. A record without a value (a tombstone) has nothing to be transformed and goes through as it is.
pub struct ChainStep {
    chain: Chain,
    output: Output,
}

impl From<Chain> for ChainStep {
    fn from(chain: Chain) -> Self {
        Self { chain, output: Output::new() }
    }
}

impl ChainStep {
    /// Compiles what a pipeline says in `transform` ([`Spec`] as JSON).
    ///
    /// # Errors
    /// `Unacceptable`, with every problem.
    pub fn compile(json: &str) -> Result<Self> {
        let bad = |why: String| Error::new(ErrorKind::Unacceptable, format!("the transform is wrong: {why}"));
        let spec: Spec = serde_json::from_str(json).map_err(|e| bad(e.to_string()))?;
        let chain = Chain::compile(&spec).map_err(|problems| {
            let all: Vec<_> = problems.iter().map(|p| format!("{}: {}", p.field, p.reason)).collect();
            bad(all.join("; "))
        })?;
        Ok(chain.into())
    }
}

impl Step for ChainStep {
    fn apply(&mut self, batch: &Batch, now_ms: i64, out: &mut dyn Emit) {
        let split = batch.split();
        for (i, r) in batch.iter().enumerate() {
            let Some(value) = r.value else {
                out.put(i, &r);
                continue;
            };
            let record = Record {
                value,
                key: r.key,
                topic: split.source_topic(),
                partition: split.partition,
                offset: r.offset,
                timestamp_ms: r.timestamp_ms,
            };
            match self.chain.apply(&record, now_ms, &mut self.output) {
                Outcome::Emitted => {
                    for value in self.output.values() {
                        out.put(i, &RecordRef { value: Some(value), ..r });
                    }
                }
                Outcome::Filtered => out.filtered(i),
                Outcome::Failed(f) => out.failed(i, "transform", format_args!("{f}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connector::records::{BatchBuilder, Headers, Split};

    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Emit for Seen {
        fn put(&mut self, from: usize, record: &RecordRef<'_>) {
            self.0.push(format!("{from} {}", String::from_utf8_lossy(record.value.unwrap_or(b"-"))));
        }
        fn filtered(&mut self, from: usize) {
            self.0.push(format!("{from} filtered"));
        }
        fn failed(&mut self, from: usize, kind: &'static str, reason: std::fmt::Arguments<'_>) {
            assert!(!reason.to_string().is_empty());
            self.0.push(format!("{from} {kind}"));
        }
    }

    #[test]
    fn a_chain_runs_as_a_step() {
        let spec = r#"{"form":"TransformsParam","batch":"ONE_BY_ONE","output":"Json","on_failure":"Drop",
            "steps":[{"analyse":"Json"}]}"#;
        let mut step = ChainStep::compile(spec).unwrap();
        let mut b = BatchBuilder::new(Split::new("t", 0), 0);
        for (i, v) in
            [Some(r#"{"a":1}"#), Some("no json"), None, Some(r#"[{"b":1},{"b":2}]"#)].iter().enumerate()
        {
            let r = RecordRef {
                offset: i as i64,
                sub: 0,
                timestamp_ms: 0,
                key: None,
                value: v.map(str::as_bytes),
                headers: Headers::none(),
            };
            assert!(b.push(&r));
        }
        let mut seen = Seen::default();
        step.apply(&b.finish(0), 0, &mut seen);
        assert_eq!(seen.0, [r#"0 {"a":1}"#, "1 transform", "2 -", r#"3 {"b":1}"#, r#"3 {"b":2}"#]);
        assert!(ChainStep::compile("{}").is_err());
    }
}
