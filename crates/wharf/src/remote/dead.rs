//! `wharf dead`

use api_admin::wire::{DeadLetters, DeadView, Touched};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{Answer, call};
use crate::cli::{DeadCommand, DeadWhich};
use crate::client::Client;
use crate::words;

pub async fn run(client: &Client, command: DeadCommand) -> Result<Answer, String> {
    match command {
        DeadCommand::List { pipeline, reason, stage, status, limit, .. } => {
            let params = json!({
                "pipeline": pipeline, "reason": reason, "stage": stage, "status": status, "limit": limit,
            });
            let all: DeadLetters = call(client, "ListDead", params).await?;
            let more = all.total.saturating_sub(all.letters.len() as u64);
            let mut text = table(&all.letters);
            if more > 0 {
                text.push_str(&format!("\n{} more", words::count(more)));
            }
            Ok(Answer::new(text, &all))
        }
        DeadCommand::Show { pipeline, id, .. } => {
            let params = json!({ "pipeline": pipeline, "id": id });
            let one: DeadView = call(client, "GetDead", params).await?;
            Ok(Answer::new(shown(&one), &one))
        }
        DeadCommand::Replay(which) => touch(client, "ReplayDead", which, "on the way again").await,
        DeadCommand::Drop(which) => touch(client, "DropDead", which, "dropped").await,
    }
}

async fn touch(client: &Client, action: &str, which: DeadWhich, done: &str) -> Result<Answer, String> {
    let params = json!({
        "pipeline": which.pipeline, "ids": which.ids, "reason": which.reason, "all": which.all,
    });
    let touched: Touched = call(client, action, params).await?;
    let verb = if touched.letters == 1 { "letter is" } else { "letters are" };
    Ok(Answer::new(format!("{} {verb} {done}", words::count(touched.letters)), &touched))
}

fn table(letters: &[DeadView]) -> String {
    let rows = letters.iter().map(|d| {
        vec![
            d.pipeline.clone(),
            d.id.clone(),
            d.status.clone(),
            d.stage.clone(),
            d.kind.clone(),
            words::size(d.bytes),
            d.reason.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect(),
        ]
    });
    words::table(&["PIPELINE", "LETTER", "STATUS", "STAGE", "KIND", "SIZE", "REASON"], rows.collect())
}

fn shown(d: &DeadView) -> String {
    let mut text = format!(
        "{} {} {}\nstage: {}\nkind: {}\nreason: {}\ntopic: {}\npartition: {}\noffset: {}\nsub: {}\ntimestamp: {} ms",
        d.pipeline,
        d.id,
        d.status,
        d.stage,
        d.kind,
        printable(d.reason.as_bytes()),
        d.topic,
        d.partition,
        d.offset,
        d.sub,
        d.timestamp_ms
    );
    let mut piece = |name: &str, value: Option<&String>| {
        let (shown, is_text) = match value.map(|v| STANDARD.decode(v)) {
            None => ("(none)".to_owned(), true),
            Some(Ok(bytes)) => (printable(&bytes), is_printable(&bytes)),
            Some(Err(_)) => ("(the server's answer can't be read)".to_owned(), true),
        };
        // A dump begins a line of its own, also a short one: `xxd -r` reads it from there.
        let gap = if shown.contains('\n') || !is_text { "\n" } else { " " };
        text.push_str(&format!("\n{name}:{gap}{shown}"));
    };
    piece("key", d.key.as_ref());
    for (name, value) in &d.headers {
        let name = STANDARD.decode(name).unwrap_or_default();
        piece(&format!("header {}", printable(&name)), value.as_ref());
    }
    piece("value", d.value.as_ref());
    text
}

/// Text as it is, where a terminal can show it exactly; else the bytes, as `xxd` has them.
fn printable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if is_printable(bytes) => text.to_owned(),
        _ => dump(bytes),
    }
}

fn is_printable(bytes: &[u8]) -> bool {
    let shows = |text: &str| !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    std::str::from_utf8(bytes).is_ok_and(shows)
}

fn dump(bytes: &[u8]) -> String {
    let row = |(i, row): (usize, &[u8])| {
        let hex: Vec<String> =
            row.chunks(2).map(|pair| pair.iter().map(|b| format!("{b:02x}")).collect()).collect();
        let plain: String = row
            .iter()
            .map(|b| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '.' })
            .collect();
        format!("{:08x}: {:<39}  {plain}", i * 16, hex.join(" "))
    };
    bytes.chunks(16).enumerate().map(row).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_exactly() {
        assert_eq!(printable("{\"a\": \"ü\"}\n".as_bytes()), "{\"a\": \"ü\"}\n");
        assert_eq!(printable(b"\xff"), "00000000: ff                                       .");
        assert_eq!(
            printable(b"\x1b[31mred 0123456789"),
            "00000000: 1b5b 3331 6d72 6564 2030 3132 3334 3536  .[31mred 0123456\n\
             00000010: 3738 39                                  789"
        );
        assert_eq!(printable(b""), "");
    }

    #[test]
    fn a_dump_begins_its_own_line() {
        let shown_as = |bytes: &[u8]| {
            let one = json!({
                "id": "t/0/1/0", "pipeline": "task-1", "topic": "t", "partition": 0, "offset": 1, "sub": 0,
                "stage": "sink", "kind": "other", "reason": "r", "status": "waiting", "timestamp_ms": 0,
                "kept": 0, "bytes": 0, "value": STANDARD.encode(bytes),
            });
            let one: DeadView = serde_json::from_value(one).unwrap();
            let text = shown(&one);
            text[text.find("value:").unwrap()..].to_owned()
        };
        assert_eq!(shown_as(b"\xff\x00"), format!("value:\n{}", dump(b"\xff\x00")));
        assert_eq!(shown_as(b"text"), "value: text");
        assert_eq!(shown_as(b""), "value: ");
    }
}
