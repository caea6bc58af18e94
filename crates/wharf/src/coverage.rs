//! `wharf coverage`: which fields of which API are honoured, stored or refused, from the doors' own tables.

use std::path::Path;
use std::process::ExitCode;

use api::Operation;

const BEGIN: &str = "<!-- coverage:begin (wharf coverage --write) -->";
const END: &str = "<!-- coverage:end -->";

fn doors() -> [(&'static str, &'static [Operation]); 5] {
    [
        ("cfs", api_cfs::operations()),
        ("ckafka", api_ckafka::operations()),
        ("dis", api_dis::operations()),
        ("nas", api_nas::operations()),
        ("vpc", api_vpc::operations()),
    ]
}

/// Prints the tables, or puts them into `docs/doors/<door>.md` below `folder`.
pub fn run(json: bool, folder: Option<&Path>) -> ExitCode {
    if let Some(folder) = folder {
        return match write(folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(e) => {
                complain!("wharf coverage: {e}");
                ExitCode::FAILURE
            }
        };
    }
    if json {
        let all: serde_json::Map<String, serde_json::Value> = doors()
            .into_iter()
            .map(|(door, ops)| (door.to_owned(), api::field::coverage_json(ops)))
            .collect();
        say!("{}", serde_json::Value::Object(all));
    } else {
        for (door, ops) in doors() {
            say!("# {door}\n\n{}", api::field::coverage_markdown(ops));
        }
    }
    ExitCode::SUCCESS
}

fn write(folder: &Path) -> Result<(), String> {
    for (door, ops) in doors() {
        let file = folder.join("docs/doors").join(format!("{door}.md"));
        let in_context = |e: std::io::Error| format!("{}: {e}", file.display());
        let text = std::fs::read_to_string(&file).map_err(in_context)?;
        let (head, rest) =
            text.split_once(BEGIN).ok_or_else(|| format!("{}: no line `{BEGIN}`", file.display()))?;
        let (_, tail) = rest.split_once(END).ok_or_else(|| format!("{}: no line `{END}`", file.display()))?;
        let table = api::field::coverage_markdown(ops);
        std::fs::write(&file, format!("{head}{BEGIN}\n\n{}\n{END}{tail}", table.trim_end()))
            .map_err(in_context)?;
    }
    Ok(())
}
