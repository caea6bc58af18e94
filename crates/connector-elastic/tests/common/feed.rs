//! Feeding the sink.
#![allow(dead_code)]

use std::collections::HashMap;
use std::rc::Rc;

use connector::Result;
use connector::records::{Mark, RecordSink, Split, Unit};

use crate::sinks::{Desk, context, endpoint, host, run};

/// A sink with `t-0` and `t-1` opened.
pub async fn open(url: &str, options: &str, desk: &Rc<Desk>) -> Result<Box<dyn RecordSink>> {
    let mut sink = connector_elastic::sink(&endpoint(url, options), &context(), host(desk))?;
    let splits = [(Split::new("t", 0), Mark::default()), (Split::new("t", 1), Mark::default())];
    sink.open(&splits).await?;
    Ok(sink)
}

/// Opens a sink, writes units, flushes; the marks.
pub async fn feed(
    url: &str,
    options: &str,
    desk: &Rc<Desk>,
    make: impl FnOnce(&mut Vec<Unit>),
) -> Result<HashMap<Split, Mark>> {
    let mut units = Vec::new();
    make(&mut units);
    let whole = async {
        let mut sink = open(url, options, desk).await?;
        run(sink.as_mut(), units).await
    };
    tokio::task::LocalSet::new().run_until(whole).await
}
