//! Arrays out of columns.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, LargeBinaryArray, LargeListArray, LargeStringArray, ListArray,
    MapArray, StringArray, StructArray, Time32MillisecondArray, Time32SecondArray, Time64MicrosecondArray,
    Time64NanosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, TimeUnit};

use super::{Column, Kind};

/// The values of a column as an array of its type; they are gone from the column then.
pub(super) fn array(
    kind: &mut Kind,
    field: &Field,
    nulls: Option<NullBuffer>,
    rows: usize,
) -> Result<ArrayRef, ArrowError> {
    let is_large =
        matches!(field.data_type(), DataType::LargeUtf8 | DataType::LargeBinary | DataType::LargeList(_));
    Ok(match kind {
        Kind::Bool(v) => Arc::new(BooleanArray::new(v.finish(), nulls)),
        Kind::Int(v) => Arc::new(Int32Array::try_new(out(v), nulls)?),
        Kind::Long(v) => Arc::new(Int64Array::try_new(out(v), nulls)?),
        Kind::Float(v) => Arc::new(Float32Array::try_new(out(v), nulls)?),
        Kind::Double(v) => Arc::new(Float64Array::try_new(out(v), nulls)?),
        Kind::Date(v) => Arc::new(Date32Array::try_new(out(v), nulls)?),
        Kind::Time(unit, v) => time(*unit, out(v), nulls)?,
        Kind::Timestamp(unit, zone, v) => timestamp(*unit, zone.clone(), out(v), nulls)?,
        Kind::Decimal(precision, scale, v) => {
            let plain = Decimal128Array::try_new(out(v), nulls)?;
            Arc::new(plain.with_precision_and_scale(*precision, *scale)?)
        }
        Kind::Text(p) => match p.take() {
            (ends, bytes) if is_large => Arc::new(LargeStringArray::try_new(large(ends), bytes, nulls)?),
            (ends, bytes) => Arc::new(StringArray::try_new(small(ends), bytes, nulls)?),
        },
        Kind::Binary(p) => match p.take() {
            (ends, bytes) if is_large => Arc::new(LargeBinaryArray::try_new(large(ends), bytes, nulls)?),
            (ends, bytes) => Arc::new(BinaryArray::try_new(small(ends), bytes, nulls)?),
        },
        Kind::Fixed(n, v) => {
            let width = i32::try_from(*n).unwrap_or_default();
            Arc::new(FixedSizeBinaryArray::try_new(width, Buffer::from_vec(std::mem::take(v)), nulls)?)
        }
        Kind::Struct(g) => {
            let DataType::Struct(fields) = field.data_type() else { return Err(not_its_type(field)) };
            let arrays = g.columns.iter_mut().map(Column::take).collect::<Result<_, _>>()?;
            Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls, rows)?)
        }
        Kind::List(ends, child) => {
            let (ends, values) = (std::mem::replace(ends, vec![0]), child.take()?);
            let inner = child.field.clone();
            match is_large {
                true => Arc::new(LargeListArray::try_new(inner, large(ends), values, nulls)?),
                false => Arc::new(ListArray::try_new(inner, small(ends), values, nulls)?),
            }
        }
        Kind::Map(ends, pair) => {
            let DataType::Map(entries, sorted) = field.data_type() else { return Err(not_its_type(field)) };
            let DataType::Struct(fields) = entries.data_type() else { return Err(not_its_type(field)) };
            let arrays = pair.columns.iter_mut().map(Column::take).collect::<Result<_, _>>()?;
            let pairs = StructArray::try_new(fields.clone(), arrays, None)?;
            let ends = small(std::mem::replace(ends, vec![0]));
            Arc::new(MapArray::try_new(entries.clone(), ends, pairs, nulls, *sorted)?)
        }
    })
}

fn large(ends: Vec<i32>) -> OffsetBuffer<i64> {
    OffsetBuffer::new(ScalarBuffer::from(ends.into_iter().map(i64::from).collect::<Vec<_>>()))
}

fn small(ends: Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(ends))
}

/// Takes the values out, and leaves room for as many.
fn out<T>(values: &mut Vec<T>) -> ScalarBuffer<T>
where
    T: arrow_buffer::ArrowNativeType,
{
    let fresh = Vec::with_capacity(values.len());
    ScalarBuffer::from(std::mem::replace(values, fresh))
}

fn not_its_type(field: &Field) -> ArrowError {
    ArrowError::SchemaError(format!("{} is not what its type says", field.name()))
}

fn time(unit: TimeUnit, v: ScalarBuffer<i64>, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
    let short = |v: &ScalarBuffer<i64>| -> ScalarBuffer<i32> {
        v.iter().map(|n| i32::try_from(*n).unwrap_or_default()).collect::<Vec<_>>().into()
    };
    Ok(match unit {
        TimeUnit::Second => Arc::new(Time32SecondArray::try_new(short(&v), nulls)?),
        TimeUnit::Millisecond => Arc::new(Time32MillisecondArray::try_new(short(&v), nulls)?),
        TimeUnit::Microsecond => Arc::new(Time64MicrosecondArray::try_new(v, nulls)?),
        TimeUnit::Nanosecond => Arc::new(Time64NanosecondArray::try_new(v, nulls)?),
    })
}

fn timestamp(
    unit: TimeUnit,
    zone: Option<Arc<str>>,
    v: ScalarBuffer<i64>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    Ok(match unit {
        TimeUnit::Second => Arc::new(TimestampSecondArray::try_new(v, nulls)?.with_timezone_opt(zone)),
        TimeUnit::Millisecond => {
            Arc::new(TimestampMillisecondArray::try_new(v, nulls)?.with_timezone_opt(zone))
        }
        TimeUnit::Microsecond => {
            Arc::new(TimestampMicrosecondArray::try_new(v, nulls)?.with_timezone_opt(zone))
        }
        TimeUnit::Nanosecond => {
            Arc::new(TimestampNanosecondArray::try_new(v, nulls)?.with_timezone_opt(zone))
        }
    })
}
