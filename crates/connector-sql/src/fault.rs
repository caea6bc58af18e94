//! What a database's error means: for a record, for the transaction, for the connection, or for all of it.

use connector::{Error, ErrorKind};
use sqlx::mysql::MySqlDatabaseError;

/// An error with what is to be done about it.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// A record can't be taken; the words say why.
    Record(String),
    /// The transaction failed and may be run again on this connection.
    Again(Error),
    /// The catalogue is out of date.
    Schema(Error),
    /// The connection is of no more use; whether a commit happened is not known.
    Broken(Error),
    /// Nothing will help.
    Fatal(Error),
}

impl Trouble {
    pub(crate) fn fatal(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Fatal(Error::new(kind, message))
    }

    /// The error inside, for callers that don't try again.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Record(why) => Error::new(ErrorKind::Unacceptable, why),
            Self::Again(e) | Self::Schema(e) | Self::Broken(e) | Self::Fatal(e) => e,
        }
    }
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Self {
        Self::Fatal(e)
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(e: sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = &e else {
            // Configuration errors may quote what they can't read; none of the others holds more than names.
            let broken = matches!(e, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_));
            let kind = if broken { ErrorKind::Unavailable } else { ErrorKind::Other };
            let error = Error::new(kind, clip(&e.to_string()));
            return if broken { Self::Broken(error) } else { Self::Fatal(error) };
        };
        let code = database.code().unwrap_or_default().into_owned();
        let words = clip(&format!("{code}: {}", database.message()));
        match database.try_downcast_ref::<MySqlDatabaseError>() {
            Some(e) => my_sql(e.number(), &code, words),
            None => postgres(&code, words),
        }
    }
}

fn clip(s: &str) -> String {
    s.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}

fn postgres(code: &str, words: String) -> Trouble {
    let error = |kind| Error::new(kind, words.clone());
    match code {
        // The server's own trouble within the class of limits.
        "54001" => Trouble::Fatal(error(ErrorKind::Other)),
        "40001" | "40P01" => Trouble::Again(error(ErrorKind::Unavailable)),
        "42P01" | "3F000" | "3D000" => Trouble::Fatal(error(ErrorKind::NotFound)),
        // An undefined column, a type that doesn't fit any more, a plan of before.
        "42703" | "42804" | "42704" | "0A000" => Trouble::Schema(error(ErrorKind::Unacceptable)),
        "42501" => Trouble::Fatal(error(ErrorKind::Denied)),
        "42P10" => Trouble::Fatal(error(ErrorKind::Unacceptable)),
        "53100" => Trouble::Fatal(error(ErrorKind::Full)),
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Trouble::Broken(error(ErrorKind::Unavailable)),
        "57014" | "55P03" => Trouble::Again(error(ErrorKind::Unavailable)),
        "25006" => Trouble::Broken(error(ErrorKind::Unavailable)),
        _ => match code.get(..2).unwrap_or_default() {
            "21" | "22" | "23" | "44" | "54" | "P0" => Trouble::Record(words),
            "08" | "53" | "58" => Trouble::Broken(error(ErrorKind::Unavailable)),
            "28" => Trouble::Fatal(error(ErrorKind::Denied)),
            _ => Trouble::Fatal(error(ErrorKind::Other)),
        },
    }
}

fn my_sql(number: u16, state: &str, words: String) -> Trouble {
    let error = |kind| Error::new(kind, words.clone());
    match number {
        // Deadlock, lock wait, "record has changed since last read".
        1213 | 1205 | 1020 => Trouble::Again(error(ErrorKind::Unavailable)),
        1146 | 1049 => Trouble::Fatal(error(ErrorKind::NotFound)),
        1054 | 1136 | 1412 => Trouble::Schema(error(ErrorKind::Unacceptable)),
        1044 | 1045 | 1142 | 1143 | 1227 | 1698 => Trouble::Fatal(error(ErrorKind::Denied)),
        1021 | 1041 | 1114 => Trouble::Fatal(error(ErrorKind::Full)),
        1040 | 1053 | 1080 | 1152 | 1158..=1161 | 1203 | 1226 | 1290 | 1927 | 3024 | 4031 => {
            Trouble::Broken(error(ErrorKind::Unavailable))
        }
        // A value for its column, a check, a foreign key, JSON, a row or packet too large, SIGNAL in a trigger.
        1062 | 1048 | 1118 | 1153 | 1264 | 1265 | 1292 | 1300 | 1364 | 1366 | 1367 | 1406 | 1411 | 1416
        | 1451 | 1452 | 1526 | 1644 | 1690 | 3140 | 3141 | 3156 | 3819 | 4025 | 4078 => {
            Trouble::Record(words)
        }
        _ => match state.get(..2).unwrap_or_default() {
            "21" | "22" | "23" | "45" => Trouble::Record(words),
            "08" => Trouble::Broken(error(ErrorKind::Unavailable)),
            _ => Trouble::Fatal(error(ErrorKind::Other)),
        },
    }
}
