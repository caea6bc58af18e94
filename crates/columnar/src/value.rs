//! One value into one type: what fits, what would need more room, and what is refused.

use arrow_array::types::Date32Type;
use arrow_cast::parse::{Parser as _, string_to_datetime, string_to_time_nanoseconds};
use arrow_schema::{DataType, TimeUnit};
use base64::Engine as _;
use chrono::Utc;
use simd_json::{Node, StaticNode};

use crate::drift::Reject;

pub(crate) type Taken<T> = Result<T, Box<Reject>>;

/// Most digits of a decimal.
const MAX_PRECISION: u8 = 38;
/// A double tells so many digits exactly.
const EXACT_DIGITS: u32 = 15;
/// Characters of a value that a reason quotes.
const QUOTED: usize = 32;
/// Whole numbers beyond this are not exact in a double.
const EXACT_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A value that has no parts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond `i64`.
    Large(u64),
    Float(f64),
    Text(&'a str),
    /// Text of a CSV field: it may be a number as well.
    Field(&'a str),
    Object,
    Array,
}

impl<'a> Scalar<'a> {
    pub(crate) fn of(node: &Node<'a>) -> Self {
        match node {
            Node::String(s) => Self::Text(s),
            Node::Object { .. } => Self::Object,
            Node::Array { .. } => Self::Array,
            Node::Static(StaticNode::Null) => Self::Null,
            Node::Static(StaticNode::Bool(b)) => Self::Bool(*b),
            Node::Static(StaticNode::I64(n)) => Self::Int(*n),
            Node::Static(StaticNode::U64(n)) => i64::try_from(*n).map_or(Self::Large(*n), Self::Int),
            Node::Static(StaticNode::F64(n)) => Self::Float(*n),
        }
    }

    fn is(self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(b) => b.to_string(),
            Self::Int(n) => n.to_string(),
            Self::Large(n) => n.to_string(),
            Self::Float(n) => n.to_string(),
            Self::Text(s) | Self::Field(s) => {
                let short: String = s.chars().take(QUOTED).collect();
                format!("{short:?}")
            }
            Self::Object => "an object".to_owned(),
            Self::Array => "an array".to_owned(),
        }
    }

    pub(crate) fn is_no(self, what: &str) -> Box<Reject> {
        Reject::bad(format!("{} is no {what}", self.is()))
    }

    pub(crate) fn bool(self) -> Taken<bool> {
        match self {
            Self::Bool(b) => Ok(b),
            Self::Field(s) if s.eq_ignore_ascii_case("true") => Ok(true),
            Self::Field(s) if s.eq_ignore_ascii_case("false") => Ok(false),
            other => Err(other.is_no("boolean")),
        }
    }

    /// A whole number of 64 bits.
    pub(crate) fn long(self) -> Taken<i64> {
        match self {
            Self::Int(n) => Ok(n),
            Self::Float(n) if n.fract() == 0.0 && n.abs() <= EXACT_WHOLE => Ok(n as i64),
            Self::Field(s) => s.trim().parse().map_err(|_| self.is_no("whole number of 64 bits")),
            other => Err(other.is_no("whole number of 64 bits")),
        }
    }

    /// A whole number of 32 bits.
    pub(crate) fn int(self, widens: bool) -> Taken<i32> {
        let n = self.long()?;
        i32::try_from(n).map_err(|_| match widens {
            true => Reject::widen(DataType::Int64),
            false => self.is_no("whole number of 32 bits"),
        })
    }

    pub(crate) fn double(self) -> Taken<f64> {
        match self {
            Self::Int(n) => Ok(n as f64),
            Self::Large(n) => Ok(n as f64),
            Self::Float(n) => Ok(n),
            Self::Field(s) => s.trim().parse().map_err(|_| self.is_no("number")),
            // JSON has no other words for them.
            Self::Text("NaN") => Ok(f64::NAN),
            Self::Text("Infinity") => Ok(f64::INFINITY),
            Self::Text("-Infinity") => Ok(f64::NEG_INFINITY),
            other => Err(other.is_no("number")),
        }
    }

    pub(crate) fn float(self, widens: bool) -> Taken<f32> {
        let n = self.double()?;
        let short = n as f32;
        match short.is_infinite() && n.is_finite() {
            true if widens => Err(Reject::widen(DataType::Float64)),
            true => Err(self.is_no("number of single precision")),
            false => Ok(short),
        }
    }

    /// A decimal, exactly.
    pub(crate) fn decimal(self, precision: u8, scale: i8, widens: bool) -> Taken<i128> {
        let what = || self.is_no(&format!("decimal({precision},{scale})"));
        let exact = match self {
            Self::Int(n) => Some((i128::from(n), 0)),
            Self::Large(n) => Some((i128::from(n), 0)),
            Self::Float(n) if n.is_finite() => {
                let parts = decimal_parts(&format!("{n:e}")).ok_or_else(what)?;
                if digits(parts.0) > EXACT_DIGITS {
                    let reason = "a number of more than 15 digits is not exact in JSON, send it as a string";
                    return Err(Reject::bad(reason));
                }
                Some(parts)
            }
            Self::Text(s) | Self::Field(s) => decimal_parts(s.trim()),
            _ => None,
        };
        let (mantissa, power) = exact.ok_or_else(what)?;
        let unscaled = rescale(mantissa, power + i32::from(scale)).ok_or_else(what)?;
        let needed = digits(unscaled);
        if needed <= u32::from(precision) {
            return Ok(unscaled);
        }
        match u8::try_from(needed) {
            Ok(n) if widens && n <= MAX_PRECISION => Err(Reject::widen(DataType::Decimal128(n, scale))),
            _ => Err(what()),
        }
    }

    /// Days since 1970.
    pub(crate) fn date(self) -> Taken<i32> {
        let what = || self.is_no("date");
        match self {
            Self::Int(n) => i32::try_from(n).map_err(|_| what()),
            Self::Text(s) | Self::Field(s) => {
                let days = Date32Type::parse(s).or_else(|| s.parse().ok());
                days.ok_or_else(what)
            }
            _ => Err(what()),
        }
    }

    /// Time of day in this unit.
    pub(crate) fn time(self, unit: TimeUnit) -> Taken<i64> {
        let what = || self.is_no("time of day");
        let each = per_second(unit);
        let n = match self {
            Self::Int(n) => n,
            Self::Text(s) | Self::Field(s) => {
                let nanos = string_to_time_nanoseconds(s).map_err(|_| what())?;
                nanos / (1_000_000_000 / each)
            }
            _ => return Err(what()),
        };
        if (0..86_400 * each).contains(&n) { Ok(n) } else { Err(what()) }
    }

    /// Units since 1970.
    pub(crate) fn timestamp(self, unit: TimeUnit) -> Taken<i64> {
        let what = || self.is_no("timestamp");
        match self {
            Self::Int(n) => epoch(n, unit).ok_or_else(what),
            Self::Float(n) if n.fract() == 0.0 && n.abs() <= EXACT_WHOLE => {
                epoch(n as i64, unit).ok_or_else(what)
            }
            Self::Text(s) | Self::Field(s) => {
                if let (Self::Field(_), Ok(n)) = (self, s.trim().parse()) {
                    return epoch(n, unit).ok_or_else(what);
                }
                let at = string_to_datetime(&Utc, s).map_err(|_| what())?;
                let nanos =
                    i128::from(at.timestamp()) * 1_000_000_000 + i128::from(at.timestamp_subsec_nanos());
                let per = i128::from(1_000_000_000 / per_second(unit));
                i64::try_from(nanos.div_euclid(per)).map_err(|_| what())
            }
            _ => Err(what()),
        }
    }

    /// Bytes: base64, or the field as it is for CSV.
    pub(crate) fn binary(self) -> Taken<Vec<u8>> {
        match self {
            Self::Text(s) => {
                base64::engine::general_purpose::STANDARD.decode(s).map_err(|_| self.is_no("base64 text"))
            }
            Self::Field(s) => Ok(s.as_bytes().to_vec()),
            other => Err(other.is_no("base64 text")),
        }
    }

    /// Bytes of a fixed number: a UUID as text where they are 16, else base64.
    pub(crate) fn fixed(self, width: usize) -> Taken<Vec<u8>> {
        if let (Self::Text(s) | Self::Field(s), 16) = (self, width)
            && let Some(id) = uuid(s)
        {
            return Ok(id.to_vec());
        }
        let bytes = match self {
            Self::Field(s) => Self::Text(s).binary()?,
            other => other.binary()?,
        };
        if bytes.len() == width { Ok(bytes) } else { Err(self.is_no(&format!("value of {width} bytes"))) }
    }
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    let dashes = text.len() == 36 && [8, 13, 18, 23].iter().all(|i| text.as_bytes().get(*i) == Some(&b'-'));
    if !dashes {
        return None;
    }
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    let plain = hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u128::from_str_radix(&hex, 16).ok().map(u128::to_be_bytes)).flatten()
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// A time since 1970 in another unit; the one it comes in shows in its size (seconds until the year 5138, then milli-, micro- and nanoseconds).
fn epoch(n: i64, unit: TimeUnit) -> Option<i64> {
    let from: i64 = match n.unsigned_abs() {
        0..100_000_000_000 => 1,
        100_000_000_000..100_000_000_000_000 => 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000_000,
        _ => 1_000_000_000,
    };
    let to = per_second(unit);
    if to >= from { n.checked_mul(to / from) } else { Some(n.div_euclid(from / to)) }
}

/// Mantissa and power of ten of a number's text.
fn decimal_parts(text: &str) -> Option<(i128, i32)> {
    let (number, power) = match text.split_once(['e', 'E']) {
        Some((number, power)) => (number, power.parse::<i16>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !plain(unsigned) || !plain(fraction) || (unsigned.is_empty() && fraction.is_empty()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mantissa: i128 = format!("0{unsigned}{fraction}").parse().ok()?;
    let mantissa = if whole.starts_with('-') { -mantissa } else { mantissa };
    Some((mantissa, i32::from(power) - i32::try_from(fraction.len()).ok()?))
}

/// `n` times a power of ten, if that is exact.
fn rescale(mut n: i128, power: i32) -> Option<i128> {
    if n == 0 {
        return Some(0);
    }
    for _ in 0..power.unsigned_abs().min(100) {
        n = if power > 0 {
            n.checked_mul(10)?
        } else if n % 10 == 0 {
            n / 10
        } else {
            return None;
        };
    }
    Some(n)
}

fn digits(n: i128) -> u32 {
    n.unsigned_abs().checked_ilog10().map_or(1, |d| d + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad<T: std::fmt::Debug>(t: Taken<T>) -> String {
        match *t.unwrap_err() {
            Reject::Bad(e) => e.reason,
            Reject::Drift(d) => format!("{d:?}"),
        }
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, precision, scale, want) in [
            ("12.50", 4, 2, Some(1250)),
            ("-0.5", 3, 1, Some(-5)),
            ("1e3", 6, 2, Some(100_000)),
            ("12.505", 9, 2, None),
            ("12.500", 9, 2, Some(1250)),
            ("100", 4, 2, None),
            ("", 4, 2, None),
            ("1.2.3", 4, 2, None),
            ("+7", 1, 0, Some(7)),
            ("99999999999999999999999999999999999999", 38, 0, Some(10i128.pow(38) - 1)),
            ("999999999999999999999999999999999999999", 38, 0, None),
        ] {
            assert_eq!(Scalar::Text(text).decimal(precision, scale, false).ok(), want, "{text}");
        }
        assert_eq!(Scalar::Float(0.1).decimal(9, 1, false).ok(), Some(1));
        assert!(bad(Scalar::Float(1_234_567_890.123_456_7).decimal(38, 7, false)).contains("15 digits"));
        assert!(bad(Scalar::Int(1000).decimal(4, 2, true)).contains("Decimal128(6, 2)"));
    }

    #[test]
    fn times_are_told_by_their_size_or_text() {
        for n in [1_790_000_000, 1_790_000_000_000, 1_790_000_000_000_000, 1_790_000_000_000_000_000] {
            let got = Scalar::Int(n).timestamp(TimeUnit::Microsecond).unwrap();
            assert_eq!(got, 1_790_000_000_000_000);
        }
        let of = |s| Scalar::Text(s).timestamp(TimeUnit::Microsecond).unwrap();
        assert_eq!(of("1970-01-01T01:00:00.25+01:00"), 250_000);
        assert_eq!(of("1969-12-31 23:59:59.9999999"), -1);
        assert_eq!(of("9999-12-31T23:59:59Z"), 253_402_300_799_000_000);
        assert_eq!(Scalar::Text("2026-11-30").date().unwrap(), 20_787);
        assert_eq!(Scalar::Text("00:00:01.5").time(TimeUnit::Millisecond).unwrap(), 1500);
        assert!(Scalar::Int(86_400_000).time(TimeUnit::Millisecond).is_err());
        assert!(Scalar::Text("yesterday").timestamp(TimeUnit::Second).is_err());
    }

    #[test]
    fn numbers_fit_or_say_so() {
        assert_eq!(Scalar::Float(2.0).int(false).unwrap(), 2);
        assert!(bad(Scalar::Float(2.5).long()).contains("2.5"));
        assert!(bad(Scalar::Int(1 << 40).int(true)).contains("Int64"));
        assert!(bad(Scalar::Float(1e300).float(true)).contains("Float64"));
        assert!(Scalar::Text("5").long().is_err() && Scalar::Field("5").long().is_ok());
        let id = Scalar::Text("00000000-0000-0000-0000-0000000000ff").fixed(16).unwrap();
        assert_eq!(id[15], 255);
    }
}
