//! The ways of observing behind one door, and whose record is whose.

use std::time::Duration;

use flow_capture::{Capture, DeviceState, Method, State};
use flow_collector::Collector;
use flow_record::fields;
use flow_record::{Delivery, Record, Window};
use runtime::Clock;

use super::networks::{DevicePlan, ExporterPlan, Plan, Prefix, Refusal, refusal};
use super::render::{self, Who};

/// An observer that runs.
pub(super) enum Observer {
    Devices(Box<Devices>),
    Exporters(Box<Exporters>),
}

/// Devices of a namespace, or its connections.
pub(super) struct Devices {
    capture: Capture,
    plan: DevicePlan,
    /// By the numbers in records. Some are found while it runs.
    sources: Vec<Source>,
}

struct Source {
    device: String,
    interface: String,
    there: bool,
}

/// Exporters that send to a port.
pub(super) struct Exporters {
    collector: Collector,
    plan: ExporterPlan,
    /// Their addresses by the numbers in records.
    sources: Vec<String>,
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
            Plan::Devices(plan) => {
                let capture = Capture::start(plan.options.clone(), clock.clone());
                let capture = capture.map_err(|e| refusal(&e))?;
                let mut devices = Box::new(Devices { capture, plan: *plan, sources: Vec::new() });
                devices.meet();
                Ok(Self::Devices(devices))
            }
            Plan::Exporters(plan) => {
                let collector = Collector::start(plan.options.clone(), clock.clone());
                let collector = collector.map_err(|e| Refusal::Unsupported(e.to_string()))?;
                Ok(Self::Exporters(Box::new(Exporters { collector, plan: *plan, sources: Vec::new() })))
            }
        }
    }

    pub(super) fn next(&mut self, wait: Duration) -> Next {
        let delivery = match self {
            Self::Devices(d) => match d.capture.next(wait) {
                flow_capture::Next::Delivery(delivery) => delivery,
                flow_capture::Next::Nothing => return Next::Nothing,
                flow_capture::Next::Ended => return Next::Ended,
            },
            Self::Exporters(e) => match e.collector.next(wait) {
                flow_collector::Next::Delivery(delivery) => delivery,
                flow_collector::Next::Nothing => return Next::Nothing,
                flow_collector::Next::Ended => return Next::Ended,
            },
        };
        match delivery {
            Delivery::Records(records) => {
                let most = records.iter().map(|r| r.source.0 as usize).max().unwrap_or(0);
                self.meet(most);
                Next::Records(records)
            }
            Delivery::WindowEnd(window) => {
                if let Self::Devices(d) = self {
                    d.meet();
                }
                Next::WindowEnd(window)
            }
        }
    }

    /// Gets to know the sources up to a number.
    fn meet(&mut self, number: usize) {
        match self {
            Self::Devices(d) if number >= d.sources.len() => d.meet(),
            Self::Exporters(e) if number >= e.sources.len() => {
                let status = e.collector.status();
                e.sources = status.exporters.iter().map(|e| e.address.to_string()).collect();
            }
            _ => {}
        }
    }

    pub(super) fn stop(&self) {
        match self {
            Self::Devices(d) => d.capture.stop(),
            Self::Exporters(e) => e.collector.stop(),
        }
    }

    /// Method, what it can't tell, and what is in the way.
    pub(super) fn status(&self) -> (String, Vec<String>, Option<String>) {
        match self {
            Self::Devices(d) => d.status(),
            Self::Exporters(e) => ("exporter".to_owned(), Vec::new(), e.collector.status().failure),
        }
    }

    /// Is a record one of this resource's?
    pub(super) fn wants(&self, record: &Record) -> bool {
        match self {
            Self::Devices(d) => d.wants(record),
            Self::Exporters(_) => true,
        }
    }

    /// The interface of a record: the key of its message.
    pub(super) fn interface(&self, record: &Record) -> &str {
        match self {
            Self::Devices(d) => {
                let source = d.sources.get(record.source.0 as usize);
                source.map_or(&d.plan.id, |s| &s.interface)
            }
            Self::Exporters(e) => &e.plan.network.id,
        }
    }

    /// Every interface that is there, once.
    pub(super) fn interfaces(&self) -> Vec<String> {
        let mut all: Vec<String> = match self {
            Self::Devices(d) => {
                let there = d.sources.iter().enumerate().filter(|(n, s)| s.there || *n < d.named());
                there.map(|(_, s)| s.interface.clone()).collect()
            }
            Self::Exporters(e) => vec![e.plan.network.id.clone()],
        };
        if let (true, Self::Devices(d)) = (all.is_empty(), self) {
            all.push(d.plan.id.clone());
        }
        all.sort();
        all.dedup();
        all
    }

    /// A record as JSON.
    pub(super) fn render(&self, record: &Record, app_id: &str, interface: &str) -> Vec<u8> {
        let who = Who { app_id, interface };
        let number = record.source.0 as usize;
        match self {
            Self::Devices(d) => {
                let device = d.sources.get(number).map_or("-", |s| &s.device);
                render::of_device(record, who, &fields::beyond(record, device, &d.plan.extras))
            }
            Self::Exporters(e) => {
                let exporter = e.sources.get(number).map_or("-", String::as_str);
                let beyond = fields::beyond(record, exporter, &e.plan.extras);
                let network = &e.plan.network;
                if network.id.starts_with("ccn-") {
                    render::of_regions(record, who, (&network.region, &network.regions), &beyond)
                } else {
                    render::of_device(record, who, &beyond)
                }
            }
        }
    }
}

impl Devices {
    fn named(&self) -> usize {
        self.plan.options.devices.len()
    }

    fn meet(&mut self) {
        let (plan, status) = (&self.plan, self.capture.status());
        let source = |d: flow_capture::DeviceStatus| Source {
            interface: plan
                .enis
                .iter()
                .find(|(device, _)| *device == d.name)
                .map_or(&plan.id, |(_, id)| id)
                .clone(),
            there: matches!(d.state, DeviceState::Attached(_)),
            device: d.name,
        };
        self.sources = status.devices.into_iter().map(source).collect();
    }

    fn status(&self) -> (String, Vec<String>, Option<String>) {
        let s = self.capture.status();
        let method = match s.method {
            Method::Packets => "packets",
            Method::Connections => "conntrack",
            Method::Best | Method::Bpf => "bpf",
        };
        let mut limits: Vec<String> = s.limits.iter().map(|l| (*l).to_owned()).collect();
        limits.extend(s.fallback.map(|why| format!("BPF can't be used: {why}")));
        let away = |(n, d): (usize, &flow_capture::DeviceStatus)| match &d.state {
            DeviceState::Failed(why) => Some(format!("device {}: {why}", d.name)),
            DeviceState::Missing if n < self.named() => Some(format!("there is no device {}", d.name)),
            DeviceState::Attached(_) | DeviceState::Missing => None,
        };
        let away: Vec<_> = s.devices.iter().enumerate().filter_map(away).collect();
        let error = match s.state {
            State::NoNamespace(why) | State::Denied(why) | State::Failing(why) => Some(why),
            State::Running | State::Stopped => (!away.is_empty()).then(|| away.join("; ")),
        };
        (method.to_owned(), limits, error)
    }

    fn wants(&self, record: &Record) -> bool {
        let Some(flow) = &record.flow else { return true };
        let (one, other) = (flow.tuple, flow.extras.translated.unwrap_or(flow.tuple));
        let ends = [one.src, one.dst, other.src, other.dst];
        let inside = |prefixes: &[Prefix]| {
            prefixes.is_empty() || prefixes.iter().any(|p| ends.iter().any(|e| p.holds(*e)))
        };
        let parts = &self.plan.parts;
        inside(&self.plan.prefixes)
            && match parts.get(record.source.0 as usize) {
                Some(part) => inside(part),
                // A port of one of the bridges.
                None => parts.is_empty() || parts.iter().any(|part| inside(part)),
            }
    }
}
