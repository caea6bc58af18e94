//! Slots: the loops on a lane that do the work.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use connector::Lane;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::dry::LastFooting;
use super::gate::Gate;
use super::queue::Taken;
use super::run::Run;
use super::{item, large};
use crate::lanes::Local;

/// One lane of one run.
pub(super) struct LaneCx {
    pub source: Box<dyn Lane>,
    pub destination: Box<dyn Lane>,
    pub gate: Gate,
    pub footing: LastFooting,
    pub run: Arc<Run>,
}

/// Everything a lane does for a run, until the queue closes or the run is dropped.
pub(super) fn lane(run: Arc<Run>) -> Local {
    Box::pin(async move {
        let (source, destination) = (run.source.lane(), run.destination.lane());
        let gate = Gate::new(run.options.in_flight_start, run.options.in_flight_max);
        let cx =
            Rc::new(LaneCx { source, destination, gate, footing: LastFooting::default(), run: run.clone() });
        let mut slots: FuturesUnordered<Local> = FuturesUnordered::new();
        for index in 0..run.options.in_flight_max.max(1) {
            slots.push(Box::pin(slot(cx.clone(), index)));
        }
        tokio::select! {
            () = run.gone.stopped() => {}
            () = async { while slots.next().await.is_some() {} } => {}
        }
    })
}

async fn slot(cx: Rc<LaneCx>, index: usize) {
    let queue = &cx.run.queue;
    while !queue.is_closed() {
        if index >= cx.gate.limit() {
            tokio::select! {
                () = cx.gate.opened.notified() => {}
                () = queue.closed() => {}
            }
            continue;
        }
        let Some(taken) = queue.take().await else { return };
        cx.run.live.in_flight.fetch_add(1, Relaxed);
        match taken {
            Taken::Item(item) => item::work(&cx, item).await,
            Taken::Part(large, n) => large::work(&cx, &large, n).await,
        }
        cx.run.live.in_flight.fetch_sub(1, Relaxed);
    }
}
