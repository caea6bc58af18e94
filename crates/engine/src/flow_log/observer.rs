//! The two ways of observing behind one door, and whose record is whose.

use std::time::Duration;

use flow_capture::{Capture, DeviceState, Method, State};
use flow_collector::Collector;
use flow_record::{Delivery, Record, Window};
use runtime::Clock;

use super::networks::{Network, Plan, Prefix, Refusal, refusal};
use super::render::{self, Who};

/// An observer that runs.
pub(super) enum Observer {
    Devices { capture: Capture, interfaces: Vec<String>, prefixes: Vec<Prefix> },
    Exporters { collector: Box<Collector>, network: Box<Network> },
}

/// What it hands over.
pub(super) enum Next {
    Records(Vec<Record>),
    WindowEnd(Window),
    Nothing,
    Ended,
}

impl Observer {
    pub(super) fn start(plan: Plan, clock: &Clock) -> Result<Self, Refusal> {
        match plan {
            Plan::Devices { options, interfaces, prefixes } => {
                let capture = Capture::start(options, clock.clone()).map_err(|e| refusal(&e))?;
                Ok(Self::Devices { capture, interfaces, prefixes })
            }
            Plan::Exporters { options, network } => {
                let collector = Collector::start(*options, clock.clone());
                let collector = collector.map_err(|e| Refusal::Unsupported(e.to_string()))?;
                Ok(Self::Exporters { collector: Box::new(collector), network })
            }
        }
    }

    pub(super) fn next(&mut self, wait: Duration) -> Next {
        let delivery = match self {
            Self::Devices { capture, .. } => match capture.next(wait) {
                flow_capture::Next::Delivery(d) => d,
                flow_capture::Next::Nothing => return Next::Nothing,
                flow_capture::Next::Ended => return Next::Ended,
            },
            Self::Exporters { collector, .. } => match collector.next(wait) {
                flow_collector::Next::Delivery(d) => d,
                flow_collector::Next::Nothing => return Next::Nothing,
                flow_collector::Next::Ended => return Next::Ended,
            },
        };
        match delivery {
            Delivery::Records(records) => Next::Records(records),
            Delivery::WindowEnd(window) => Next::WindowEnd(window),
        }
    }

    pub(super) fn stop(&self) {
        match self {
            Self::Devices { capture, .. } => capture.stop(),
            Self::Exporters { collector, .. } => collector.stop(),
        }
    }

    /// Method, what it can't tell, and what is in the way.
    pub(super) fn status(&self) -> (String, Vec<String>, Option<String>) {
        match self {
            Self::Devices { capture, .. } => {
                let s = capture.status();
                let method = if s.method == Method::Packets { "packets" } else { "bpf" };
                let mut limits: Vec<String> = s.limits.iter().map(|l| (*l).to_owned()).collect();
                limits.extend(s.fallback.map(|why| format!("BPF can't be used: {why}")));
                let away: Vec<_> = s
                    .devices
                    .iter()
                    .filter_map(|d| match &d.state {
                        DeviceState::Attached(_) => None,
                        DeviceState::Missing => Some(format!("there is no device {}", d.name)),
                        DeviceState::Failed(why) => Some(format!("device {}: {why}", d.name)),
                    })
                    .collect();
                let error = match s.state {
                    State::NoNamespace(why) | State::Failing(why) => Some(why),
                    State::Running | State::Stopped => (!away.is_empty()).then(|| away.join("; ")),
                };
                (method.to_owned(), limits, error)
            }
            Self::Exporters { collector, .. } => {
                ("exporter".to_owned(), Vec::new(), collector.status().failure)
            }
        }
    }

    /// Is a record one of this resource's?
    pub(super) fn wants(&self, record: &Record) -> bool {
        match (self, &record.flow) {
            (Self::Devices { prefixes, .. }, Some(flow)) => {
                let ends = [flow.tuple.src, flow.tuple.dst];
                prefixes.is_empty() || prefixes.iter().any(|p| ends.iter().any(|e| p.holds(*e)))
            }
            _ => true,
        }
    }

    /// The interface of a record: the key of its message.
    pub(super) fn interface(&self, record: &Record) -> &str {
        match self {
            Self::Devices { interfaces, .. } => {
                interfaces.get(record.source.0 as usize).map_or("-", String::as_str)
            }
            Self::Exporters { network, .. } => &network.id,
        }
    }

    /// Every interface, once.
    pub(super) fn interfaces(&self) -> Vec<String> {
        let mut all = match self {
            Self::Devices { interfaces, .. } => interfaces.clone(),
            Self::Exporters { network, .. } => vec![network.id.clone()],
        };
        all.sort();
        all.dedup();
        all
    }

    /// A record as JSON.
    pub(super) fn render(&self, record: &Record, app_id: &str, interface: &str) -> Vec<u8> {
        let who = Who { app_id, interface };
        match self {
            Self::Exporters { network, .. } if network.id.starts_with("ccn-") => {
                render::of_regions(record, who, &network.region, &network.regions)
            }
            _ => render::of_device(record, who),
        }
    }
}
