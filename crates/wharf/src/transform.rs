//! `wharf transform try`: what a transform makes of some text, step by step, by the code that runs in a pipeline.
//!
//! It needs no server. A specification is the JSON of the API's `TransformsParam` or `TransformParam`, alone or inside the
//! request that has it, and every problem of it is said at once. Each line of the input is a record of its own.

use std::io::{BufRead, IsTerminal as _, Read as _};
use std::path::Path;
use std::process::ExitCode;

use runtime::Clock;
use serde_json::Value;
use transform::{Chain, Found, Preview, Spec};

use crate::cli::TryArgs;

/// Bytes of a specification at most.
const MAX_SPEC: u64 = 4 << 20;
/// Bytes of one line at most.
const MAX_LINE: u64 = 64 << 20;

/// Runs the command. It fails when the specification is wrong (code 2) or a record fails (1).
pub fn run(args: &TryArgs) -> ExitCode {
    let (spec, chain) = match load(&args.spec) {
        Ok(made) => made,
        Err(problems) => {
            problems.iter().for_each(|problem| complain!("{problem}"));
            return ExitCode::from(2);
        }
    };
    let now_ms = Clock::system().now().millis();
    let mut good = true;
    let mut show = |text: &[u8]| {
        let preview = chain.preview(text, now_ms);
        good &= preview.failure.is_none();
        if args.json {
            say!("{}", serde_json::to_string(&preview).unwrap_or_default());
        } else {
            tell(text, &preview);
        }
    };
    let stdin = std::io::stdin();
    let done = match (&args.value, &spec.sample) {
        (Some(value), _) => {
            show(value.as_bytes());
            Ok(())
        }
        // Nobody types records: without input the specification's own sample is shown.
        (None, Some(sample)) if stdin.is_terminal() => {
            show(sample.as_bytes());
            Ok(())
        }
        _ => lines(stdin.lock(), &mut show),
    };
    if let Err(error) = done {
        complain!("wharf transform try: {error}");
        return ExitCode::FAILURE;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads and compiles a specification, or says all that is wrong with it.
fn load(file: &Path) -> Result<(Spec, Chain), Vec<String>> {
    let wrong = |reason: String| vec![format!("{}: {reason}", file.display())];
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|e| wrong(e.to_string()))?;
    opened.take(MAX_SPEC).read_to_string(&mut text).map_err(|e| wrong(e.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let read = if let Some(param) = value.get("TransformsParam").filter(|v| !v.is_null()) {
        Spec::from_transforms_param(param)
    } else if let Some(param) = value.get("TransformParam").filter(|v| !v.is_null()) {
        Spec::from_transform_param(param)
    } else if value.get("AnalysisFormat").is_some() {
        Spec::from_transform_param(&value)
    } else {
        Spec::from_transforms_param(&value)
    };
    let compiled = read.and_then(|spec| Chain::compile(&spec).map(|chain| (spec, chain)));
    compiled.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// Shows every line of the input.
fn lines(mut input: impl BufRead, show: &mut impl FnMut(&[u8])) -> Result<(), String> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(|e| e.to_string())?;
        if read == 0 {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read as u64 == MAX_LINE {
            return Err("a line is longer than 64 MiB".to_owned());
        }
        show(&line);
    }
}

/// Tells one record's way in words.
fn tell(text: &[u8], preview: &Preview) {
    say!("< {}", String::from_utf8_lossy(text));
    for (i, step) in preview.steps.iter().enumerate() {
        tell_found(i, "Analyse", &step.analysis);
        if let Some(secondary) = &step.secondary {
            tell_found(i, "SecondaryAnalyse", secondary);
        }
        if let Some(result) = &step.result {
            say!("  FieldChain.{i}.SMT               {result}");
        }
    }
    for output in &preview.outputs {
        say!("> {output}");
    }
    match &preview.failure {
        Some(failure) => say!("! failed: {failure}"),
        None if preview.outputs.is_empty() => say!("! filtered"),
        None => {}
    }
}

fn tell_found(step: usize, stage: &str, found: &Found) {
    say!("  FieldChain.{step}.{stage:<17} {}", found.json);
}

#[cfg(test)]
mod tests {
    use super::{lines, load};

    #[test]
    fn a_specification_is_found_in_each_of_its_forms() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("spec.json");
        let step = r#"{"FieldChain":[{"Analyse":{"Format":"JSON"}}],"Content":"{}"}"#;
        let old = r#"{"AnalysisFormat":"JSON","OutputFormat":"JSON","FailureParam":{"Type":"DROP"}}"#;
        for text in [
            step.to_owned(),
            format!(r#"{{"TaskName":"t","TransformsParam":{step}}}"#),
            old.to_owned(),
            format!(r#"{{"TransformParam":{old},"TransformsParam":null}}"#),
        ] {
            std::fs::write(&file, &text).unwrap();
            assert!(load(&file).is_ok(), "{text}");
        }
        std::fs::write(&file, r#"{"FieldChain":[{"Analyse":{"Format":"XML"}}],"OutputFormat":"CSV"}"#)
            .unwrap();
        let problems = load(&file).err().unwrap();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(load(&dir.path().join("none")).is_err());
    }

    #[test]
    fn each_line_is_a_record() {
        let mut seen = Vec::new();
        lines(&b"a\n\nb\xff\r\nc"[..], &mut |line: &[u8]| seen.push(line.to_vec())).unwrap();
        assert_eq!(seen, [b"a".to_vec(), b"".to_vec(), b"b\xff\r".to_vec(), b"c".to_vec()]);
    }
}
