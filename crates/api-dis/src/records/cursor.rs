//! A reader's place as the client keeps it: opaque, signed, and good for five minutes.

use api::Fault;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::Control;
use serde::{Deserialize, Serialize};

use crate::fault::refuse;

/// Milliseconds that a cursor is good for.
const GOOD_MS: i64 = 5 * 60 * 1000;
/// Characters of a cursor at most.
const MAX: usize = 512;
/// What the tag is for.
const USAGE: &str = "dis-cursor";

/// A place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Stream, by id.
    pub stream: String,
    /// Partition.
    pub partition: u32,
    /// The next record's sequence number.
    pub offset: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "s")]
    stream: String,
    #[serde(rename = "p")]
    partition: u32,
    #[serde(rename = "o")]
    offset: i64,
    #[serde(rename = "t")]
    made_ms: i64,
    #[serde(rename = "m")]
    tag: String,
}

impl Cursor {
    /// The text, made now.
    pub fn write(&self, control: &Control) -> String {
        let made_ms = control.clock().now().millis();
        let tag = STANDARD.encode(control.tag(USAGE, self.signed(made_ms).as_bytes()));
        let written = Written {
            stream: self.stream.clone(),
            partition: self.partition,
            offset: self.offset,
            made_ms,
            tag,
        };
        STANDARD.encode(serde_json::to_vec(&written).unwrap_or_default())
    }

    /// The place in a text.
    ///
    /// # Errors
    /// `DIS.4217` it is none of ours, `DIS.4225` it is too old.
    pub fn read(text: &str, control: &Control) -> Result<Self, Fault> {
        let invalid = || refuse("DIS.4217", "Invalid partition cursor.");
        if text.is_empty() || text.len() > MAX {
            return Err(invalid());
        }
        let json = STANDARD.decode(text).map_err(|_| invalid())?;
        let w: Written = serde_json::from_slice(&json).map_err(|_| invalid())?;
        let cursor = Self { stream: w.stream, partition: w.partition, offset: w.offset };
        let tag = STANDARD.decode(&w.tag).map_err(|_| invalid())?;
        if !control.check_tag(USAGE, cursor.signed(w.made_ms).as_bytes(), &tag) {
            return Err(invalid());
        }
        if control.clock().now().millis().saturating_sub(w.made_ms) > GOOD_MS {
            return Err(refuse("DIS.4225", "Expired partition cursor. A cursor is good for five minutes."));
        }
        Ok(cursor)
    }

    fn signed(&self, made_ms: i64) -> String {
        format!("{}/{}/{}/{made_ms}", self.stream, self.partition, self.offset)
    }
}
