//! NetFlow v9 and IPFIX: data whose form templates tell.
//!
//! A template is turned into a plan once: the places of the fields that count. Rows of a fixed length are read by it without
//! looking at the other fields.

use super::bytes::Bytes;
use super::fields::{Row, What};
use super::{Call, Exporter, Moment, gap};
use flow_record::Observation;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const MAX_TEMPLATES: usize = 1_024;
const MAX_FIELDS: usize = 256;
const MAX_RATES: usize = 64;
const VARIABLE: u16 = u16::MAX;
/// Fields of all templates of all exporters: the limits of one domain multiply, and anybody can send a datagram.
const ALL_FIELDS: usize = 500_000;
/// What a template, or a rate, counts beside its fields.
const EACH: usize = 8;

/// What all domains may keep together. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

impl Room {
    /// Takes `more` in place of `less`, if there is room.
    fn exchange(&self, less: usize, more: usize) -> bool {
        let change =
            |used: usize| Some(used.saturating_sub(less) + more).filter(|n| *n <= ALL_FIELDS || more <= less);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }

    /// How much is taken.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is known of one observation domain of an exporter.
#[derive(Debug, Clone, Default)]
pub(super) struct Domain {
    pub(super) templates: HashMap<u16, Template>,
    /// Sampling rates by selector; selector 0 is also that of records that name none.
    pub(super) rates: HashMap<u64, u64>,
    /// When the exporter started, in milliseconds since the epoch.
    pub(super) started: Option<i64>,
    /// The next number to come.
    pub(super) next: Option<u32>,
    pub(super) room: Room,
}

/// How to read the records of one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    /// Does it tell of the exporter instead of flows?
    pub(super) options: bool,
    /// As it came: number (0 where it doesn't count) and length.
    pub(super) fields: Vec<(u16, u16)>,
    /// Bytes of a record; 0 when that varies.
    length: usize,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    at: u16,
    len: u16,
    what: What,
}

impl Template {
    fn cost(&self) -> usize {
        EACH + self.fields.len()
    }

    /// From numbers and lengths; `None` when no record could be read by it.
    pub(super) fn new(fields: Vec<(u16, u16)>, options: bool) -> Option<Self> {
        if fields.is_empty() || fields.len() > MAX_FIELDS {
            return None;
        }
        let varies = fields.iter().any(|(_, len)| *len == VARIABLE);
        let (mut at, mut slots) = (0usize, Vec::new());
        for (number, len) in &fields {
            let what = What::of(*number);
            if what != What::Nothing && !varies {
                slots.push(Slot { at: u16::try_from(at).ok()?, len: *len, what });
            }
            at += usize::from(*len);
        }
        let length = if varies { 0 } else { at };
        // A record must have bytes, or there would be no end of them.
        (varies || (length != 0 && length <= 65_535)).then_some(Self { options, fields, length, slots })
    }

    /// Reads one record off the front of a set; `None` when there is none any more.
    #[inline]
    fn row<'a>(&self, bytes: &'a [u8], moment: Moment) -> Option<(Row, &'a [u8])> {
        let mut row = Row::default();
        if self.length != 0 {
            let (record, rest) = bytes.split_at_checked(self.length)?;
            for slot in &self.slots {
                let at = usize::from(slot.at);
                row.set(slot.what, record.get(at..at + usize::from(slot.len))?, moment);
            }
            return Some((row, rest));
        }
        let mut rest = Bytes(bytes);
        for (number, len) in &self.fields {
            let mut len = *len;
            if len == VARIABLE {
                let (short, after) = rest.u8()?;
                (len, rest) = if short == u8::MAX { after.u16()? } else { (u16::from(short), after) };
            }
            let (value, after) = rest.take(usize::from(len))?;
            row.set(What::of(*number), value, moment);
            rest = after;
        }
        Some((row, rest.0))
    }
}

/// Reads what follows the version.
pub(super) fn read<F: FnMut(&Observation)>(
    exporter: &mut Exporter,
    version: u16,
    bytes: Bytes<'_>,
    changed: &mut bool,
    call: &mut Call<F>,
) -> Option<()> {
    let (_, bytes) = bytes.u16()?; // v9: records; IPFIX: bytes. The datagram's own length is what counts
    let (uptime, bytes) = if version == 9 { bytes.u32().map(|(u, b)| (Some(u), b))? } else { (None, bytes) };
    let (seconds, bytes) = bytes.u32()?;
    let (sequence, bytes) = bytes.u32()?;
    let (number, mut bytes) = bytes.u32()?;
    let domain = exporter.domain(version, number)?;
    call.outcome.gaps += gap(domain.next, sequence);
    let mut moment = Moment { sent: i64::from(seconds) * 1_000, uptime };
    let (mut records, mut all_read) = (0u32, true);
    while bytes.0.len() >= 4 {
        let (set, body) = bytes.u16()?;
        let (len, body) = body.u16()?;
        let (body, rest) = body.take(usize::from(len).checked_sub(4)?)?;
        bytes = rest;
        // IPFIX tells the exporter's start in a record; it may stand in the datagram that needs it.
        if let (None, Some(started)) = (uptime, domain.started) {
            moment.uptime = Some(moment.sent.wrapping_sub(started) as u32);
        }
        match (version, set) {
            (9, 0) | (10, 2) => *changed |= templates(domain, version, body)?,
            (9, 1) | (10, 3) => *changed |= option_templates(domain, version, body)?,
            (_, 256..) => match data(domain, set, body, moment, changed, call) {
                Some(count) => records = records.wrapping_add(count),
                None => all_read = false,
            },
            _ => {}
        }
    }
    call.outcome.malformed += u64::from(!all_read);
    // v9 numbers datagrams, IPFIX records: those of an unknown form can't be counted.
    domain.next = match version {
        9 => Some(sequence.wrapping_add(1)),
        _ => all_read.then(|| sequence.wrapping_add(records)),
    };
    Some(())
}

/// Takes in the templates of a set; says whether any is new.
fn templates(domain: &mut Domain, version: u16, body: &[u8]) -> Option<bool> {
    let (mut bytes, mut new) = (Bytes(body), false);
    while bytes.0.len() >= 4 {
        let (id, rest) = bytes.u16()?;
        let (count, rest) = rest.u16()?;
        if id < 256 || count == 0 {
            // Padding, or a withdrawal: of one, or of all.
            new |= withdraw(domain, id, count);
            bytes = rest;
            continue;
        }
        let (fields, rest) = read_fields(rest, usize::from(count), version)?;
        new |= keep(domain, id, Template::new(fields, false)?);
        bytes = rest;
    }
    Some(new)
}

fn withdraw(domain: &mut Domain, id: u16, count: u16) -> bool {
    match (id, count) {
        (2 | 3, 0) => {
            let had = !domain.templates.is_empty();
            let room = &domain.room;
            domain.templates.retain(|_, t| t.options != (id == 3) || !room.exchange(t.cost(), 0));
            had
        }
        (256.., 0) => {
            let gone = domain.templates.remove(&id);
            gone.is_some_and(|t| domain.room.exchange(t.cost(), 0))
        }
        _ => false,
    }
}

fn option_templates(domain: &mut Domain, version: u16, body: &[u8]) -> Option<bool> {
    let (mut bytes, mut new) = (Bytes(body), false);
    while bytes.0.len() >= 6 {
        let (id, rest) = bytes.u16()?;
        let (first, rest) = rest.u16()?;
        if version == 10 && first == 0 {
            new |= withdraw(domain, id, 0);
            bytes = rest;
            continue;
        }
        let (second, rest) = rest.u16()?;
        // v9 gives the bytes of scopes and of fields, IPFIX the number of all fields and, among them, of scopes.
        let (scopes, count) = match version {
            9 => (usize::from(first) / 4, (usize::from(first) + usize::from(second)) / 4),
            _ => (usize::from(second), usize::from(first)),
        };
        if id < 256 || count == 0 {
            return Some(new); // padding
        }
        let (mut fields, rest) = read_fields(rest, count, version)?;
        if version == 9 {
            // Its scopes have numbers of their own.
            fields.iter_mut().take(scopes).for_each(|f| f.0 = 0);
        }
        new |= keep(domain, id, Template::new(fields, true)?);
        bytes = rest;
    }
    Some(new)
}

fn read_fields(mut bytes: Bytes<'_>, count: usize, version: u16) -> Option<(Vec<(u16, u16)>, Bytes<'_>)> {
    const ENTERPRISE: u16 = 0x8000;
    if count > MAX_FIELDS {
        return None;
    }
    let mut fields = Vec::with_capacity(count);
    for _ in 0..count {
        let (number, rest) = bytes.u16()?;
        let (len, rest) = rest.u16()?;
        let own = version == 10 && number & ENTERPRISE != 0;
        bytes = if own { rest.u32()?.1 } else { rest };
        fields.push((if own { 0 } else { number }, len));
    }
    Some((fields, bytes))
}

/// Keeps a template, if it is new and there is room for it.
pub(super) fn keep(domain: &mut Domain, id: u16, template: Template) -> bool {
    let known = domain.templates.get(&id);
    if known == Some(&template) || (known.is_none() && domain.templates.len() >= MAX_TEMPLATES) {
        return false;
    }
    if !domain.room.exchange(known.map_or(0, Template::cost), template.cost()) {
        return false;
    }
    domain.templates.insert(id, template);
    true
}

/// Reads a set of data; `None` when its template isn't known.
fn data<F: FnMut(&Observation)>(
    domain: &mut Domain,
    id: u16,
    body: &[u8],
    moment: Moment,
    changed: &mut bool,
    call: &mut Call<F>,
) -> Option<u32> {
    let template = domain.templates.get(&id)?;
    let (mut rest, mut count) = (body, 0);
    let mut told = Vec::new();
    // A record of a varying length has at least a byte per such field; less than that is padding.
    while let Some((row, after)) = template.row(rest, moment).filter(|(_, after)| after.len() < rest.len()) {
        if template.length == 0 && rest.len() < 4 && rest.iter().all(|b| *b == 0) {
            break;
        }
        count += 1;
        rest = after;
        if template.options {
            told.push(row);
            continue;
        }
        let selector = row.selector.unwrap_or(0);
        let rate = row.rate().or_else(|| domain.rates.get(&selector).copied()).unwrap_or(1);
        if let Some(seen) = row.observation(call.source, moment, rate) {
            call.tell(&seen);
        }
    }
    for row in told {
        *changed |= learn(domain, &row);
    }
    Some(count)
}

/// What an exporter says of itself.
fn learn(domain: &mut Domain, row: &Row) -> bool {
    let mut new = false;
    if row.started.is_some() && row.started != domain.started {
        domain.started = row.started;
        new = true;
    }
    if let Some(rate) = row.rate() {
        let selector = row.selector.unwrap_or(0);
        let known = domain.rates.contains_key(&selector);
        if known || (domain.rates.len() < MAX_RATES && domain.room.exchange(0, EACH)) {
            new |= domain.rates.insert(selector, rate) != Some(rate);
            // Where there is one sampler only, its rate is that of records that name none.
            if selector != 0 && domain.rates.keys().filter(|k| **k != 0).count() == 1 {
                domain.rates.insert(0, rate);
            }
        }
    }
    new
}
