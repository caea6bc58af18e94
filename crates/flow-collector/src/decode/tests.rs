//! Datagrams written by hand from the specifications, and damaged ones.

use super::*;
use flow_record::Action;

const EXPORTER: &str = "192.0.2.1";

fn decoder() -> (Decoder, SourceId) {
    let mut decoder = Decoder::new(4);
    let source = decoder.source(EXPORTER.parse().unwrap()).unwrap();
    (decoder, source)
}

fn run(decoder: &mut Decoder, source: SourceId, datagram: &[u8]) -> (Vec<Observation>, Outcome) {
    let mut seen = Vec::new();
    let outcome = decoder.decode(source, datagram, 1_700_000_000, |o| seen.push(*o));
    (seen, outcome)
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

fn halves(halves: &[u16]) -> Vec<u8> {
    halves.iter().flat_map(|w| w.to_be_bytes()).collect()
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let mut set = halves(&[id, 4 + body.len() as u16]);
    set.extend(body);
    set
}

fn ipfix(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let mut all = halves(&[10, 16 + body.len() as u16]);
    all.extend(words(&[1_700_000_000, sequence, 7]));
    all.extend(body);
    all
}

fn v9(sequence: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut all = halves(&[9, sets.len() as u16]);
    all.extend(words(&[100_000, 1_700_000_000, sequence, 7]));
    all.extend(sets.concat());
    all
}

fn v5() -> Vec<u8> {
    let mut all = halves(&[5, 2]);
    all.extend(words(&[100_000, 1_700_000_000, 0, 40]));
    all.extend(halves(&[0, 0x4000 | 10]));
    for (port, protocol) in [(80u16, 6u8), (0x0800, 1)] {
        all.extend(words(&[0x0a00_0001, 0x0a00_0002, 0, 0, 3, 180, 90_000, 99_000]));
        all.extend(halves(&[4_000, port]));
        all.extend([0, 0x1b, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    all
}

const TEMPLATE: [u16; 18] = [8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 6, 1, 2, 4, 1, 8, 22, 4];

fn template(id: u16) -> Vec<u8> {
    let mut body = halves(&[id, 9]);
    body.extend(halves(&TEMPLATE));
    body
}

fn record(packets: u32) -> Vec<u8> {
    let mut all = words(&[0x0a00_0001, 0x0a00_0002]);
    all.extend(halves(&[4_000, 80]));
    all.extend([6, 0x12]);
    all.extend(words(&[packets, 0, packets * 60, 90_000]));
    all
}

#[test]
fn netflow_5_with_its_sampling_rate() {
    let (mut decoder, source) = decoder();
    let (seen, outcome) = run(&mut decoder, source, &v5());
    assert_eq!(outcome, Outcome { records: 2, gaps: 0, malformed: 0 });
    let o = seen[0];
    assert_eq!((o.packets, o.bytes, o.tcp_flags, o.tuple.dst_port), (30, 1_800, 0x1b, 80));
    assert_eq!((o.first, o.last), (1_699_999_990, 1_699_999_999));
    // The type and code of ICMP are no port.
    assert_eq!((seen[1].tuple.protocol, seen[1].tuple.dst_port), (1, 0));
    // The next is number 42: 5 are missing before 47.
    let mut later = v5();
    later[19] = 47;
    assert_eq!(run(&mut decoder, source, &later).1.gaps, 5);
}

#[test]
fn netflow_9_with_templates_and_a_sampler() {
    let (mut decoder, source) = decoder();
    let data = set(256, &[record(3), record(4), vec![0; 2]].concat());
    // Data before its template can't be read, and that is counted.
    let (seen, outcome) = run(&mut decoder, source, &v9(1, std::slice::from_ref(&data)));
    assert_eq!((seen.len(), outcome.malformed), (0, 1));
    let (seen, outcome) = run(&mut decoder, source, &v9(2, &[set(0, &template(256)), data.clone()]));
    assert_eq!((seen.len(), outcome.malformed, outcome.gaps), (2, 0, 0));
    assert_eq!((seen[1].packets, seen[1].bytes, seen[1].first), (4, 240, 1_699_999_990));
    // An options template: scope "system", sampling interval.
    let options = set(1, &halves(&[257, 4, 4, 1, 4, 34, 4]));
    let rate = set(257, &words(&[0, 100]));
    let (seen, outcome) = run(&mut decoder, source, &v9(5, &[options, rate, data]));
    assert_eq!((seen[0].packets, seen[0].bytes, outcome.gaps), (300, 18_000, 2));
    assert!(decoder.take_changed());
}

#[test]
fn ipfix_with_fields_of_varying_length_and_of_enterprises() {
    let (mut decoder, source) = decoder();
    let mut body = halves(&[300, 6, 27, 16, 28, 16, 0x8000 | 95, u16::MAX]);
    body.extend(words(&[9]));
    body.extend(halves(&[4, 1, 86, 8, 89, 1]));
    let row = |name: &[u8], status: u8| {
        let mut all = [[1u8; 16], [2; 16]].concat();
        if name.len() < 255 {
            all.push(name.len() as u8);
        } else {
            all.push(255);
            all.extend((name.len() as u16).to_be_bytes());
        }
        all.extend(name);
        all.push(17);
        all.extend(5u64.to_be_bytes());
        all.push(status);
        all
    };
    let data = set(300, &[row(b"http", 0x40), row(&[7; 300], 0x80)].concat());
    let (seen, outcome) = run(&mut decoder, source, &ipfix(10, &[set(2, &body), data]));
    assert_eq!((outcome.records, outcome.malformed), (2, 0));
    assert_eq!((seen[0].packets, seen[0].action, seen[1].action), (5, Action::Accept, Action::Reject));
    assert_eq!(seen[0].first, 1_700_000_000);
    // IPFIX numbers records: the next is 12.
    assert_eq!(run(&mut decoder, source, &ipfix(15, &[])).1.gaps, 3);
    // A withdrawn template is not used any more.
    let (_, outcome) =
        run(&mut decoder, source, &ipfix(15, &[set(2, &halves(&[300, 0])), set(300, &row(b"", 0))]));
    assert_eq!((outcome.records, outcome.malformed), (0, 1));
}

#[test]
fn sflow_samples_and_discards() {
    let (mut decoder, source) = decoder();
    let mut frame = vec![0; 12];
    frame.extend([8, 0, 0x45, 0, 0x05, 0xdc, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend([0x0f, 0xa0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
    frame.resize(64, 0);
    let mut raw = words(&[1, 16 + 64, 1, 1_518, 4, 64]);
    raw.extend(&frame);
    let part = |format: u32, body: &[u8]| [words(&[format, body.len() as u32]), body.to_vec()].concat();
    let compact = part(1, &[words(&[1, 3, 512, 1_000, 0, 1, 2, 1]), raw.clone()].concat());
    let expanded = part(3, &[words(&[2, 0, 3, 256, 1_000, 0, 0, 1, 1, 9, 1]), raw.clone()].concat());
    let plain = words(&[3, 32, 100, 17, 0x0a00_0003, 0x0a00_0004, 53, 54, 0, 0]);
    let discarded = part(5, &[words(&[3, 0, 3, 0, 1, 2, 264, 1]), plain].concat());
    let counters = part(2, &words(&[1, 2, 0]));
    let head = words(&[5, 1, 0xc000_0201, 0, 77, 1_000, 4]);
    let datagram = [head, compact, expanded, discarded, counters].concat();
    let (seen, outcome) = run(&mut decoder, source, &datagram);
    assert_eq!((outcome.records, outcome.malformed), (3, 0));
    assert_eq!((seen[0].packets, seen[0].bytes, seen[0].tuple.dst_port), (512, 512 * 1_500, 80));
    assert_eq!((seen[1].packets, seen[1].action), (256, Action::Reject));
    assert_eq!((seen[2].packets, seen[2].bytes, seen[2].action), (1, 100, Action::Reject));
    assert_eq!(seen[2].tuple.src_port, 53);
}

#[test]
fn a_restart_knows_the_templates() {
    let (mut decoder, source) = decoder();
    let options = set(1, &halves(&[257, 4, 8, 1, 4, 34, 4, 160, 8]));
    run(&mut decoder, source, &v9(1, &[set(0, &template(256)), options, set(257, &words(&[0, 100, 0, 5]))]));
    let text = decoder.to_text();
    let mut again = Decoder::new(4);
    assert_eq!(again.read_text(&text), 0);
    let source = again.source(EXPORTER.parse().unwrap()).unwrap();
    let (seen, outcome) = run(&mut again, source, &v9(2, &[set(256, &record(3))]));
    assert_eq!((seen[0].packets, outcome.malformed), (300, 0));
    // A file of another kind, or one that was damaged, breaks nothing.
    assert_ne!(Decoder::new(4).read_text("something else"), 0);
    assert_ne!(Decoder::new(4).read_text(&text.replace(':', ";")), 0);
}

#[test]
fn limits_on_what_is_kept() {
    let mut decoder = Decoder::new(2);
    for n in 1..=5u8 {
        assert_eq!(decoder.source(IpAddr::from([10, 0, 0, n])).is_some(), n <= 2);
    }
    let source = SourceId(0);
    for domain in 0..1_000u32 {
        let mut datagram = v9(1, &[set(0, &template(256))]);
        datagram[16..20].copy_from_slice(&domain.to_be_bytes());
        run(&mut decoder, source, &datagram);
    }
    assert_eq!(decoder.exporters[0].domains.len(), MAX_DOMAINS);
    for id in 256..6_000u16 {
        run(&mut decoder, source, &v9(1, &[set(0, &template(id))]));
    }
    let kept: usize = decoder.exporters[0].domains.values().map(|d| d.templates.len()).max().unwrap();
    assert_eq!(kept, 1_024);
}

/// The limits of one domain multiply: all templates together have one of their own, over a restart too.
#[test]
fn wide_templates_of_many_exporters_do_not_take_all_memory() {
    let mut decoder = Decoder::new(256);
    let wide = |id: u16, len: u16| {
        let fields: Vec<u16> = (0..200).flat_map(|_| [1, len]).collect();
        v9(1, &[set(0, &halves(&[vec![id, 200], fields].concat()))])
    };
    let sources: Vec<SourceId> =
        (0..8u8).map(|n| decoder.source(IpAddr::from([10, 0, 1, n])).unwrap()).collect();
    for source in &sources {
        for id in 256..1_256 {
            run(&mut decoder, *source, &wide(id, 4));
        }
    }
    let fields = |d: &Decoder| -> usize {
        let domains = d.exporters.iter().flat_map(|e| e.domains.values());
        domains.flat_map(|d| d.templates.values()).map(|t| t.fields.len()).sum()
    };
    let most = fields(&decoder);
    assert!((400_000..=500_000).contains(&most), "{most}");
    let mut again = Decoder::new(256);
    assert_eq!(again.read_text(&decoder.to_text()), 0);
    assert_eq!(fields(&again), most);
    // What is known can change, and what is withdrawn makes room.
    run(&mut decoder, sources[0], &wide(256, 8));
    assert_eq!(decoder.exporters[0].domains.values().next().unwrap().templates[&256].fields[0].1, 8);
    run(&mut decoder, sources[0], &v9(2, &[set(0, &halves(&[256, 0, 257, 0]))]));
    let before = decoder.templates.used();
    run(&mut decoder, sources[7], &wide(9_000, 4));
    assert_eq!(decoder.templates.used(), before + 208);
}

/// 10,000 datagrams of each kind, damaged at random: nothing panics, nothing takes long, sums stay finite.
#[test]
fn damaged_datagrams_are_counted_and_break_nothing() {
    let options = set(1, &halves(&[257, 4, 4, 1, 4, 34, 4]));
    let seeds = [
        v5(),
        v9(1, &[set(0, &template(256)), set(256, &[record(3), record(4)].concat()), options]),
        ipfix(
            1,
            &[set(2, &template(256)), set(256, &record(3)), set(3, &halves(&[258, 2, 1, 302, 2, 305, 4]))],
        ),
        [words(&[5, 1, 1, 0, 7, 1, 1, 1, 60, 1, 3, 2, 9, 0, 1, 2, 1, 1, 20, 1, 64, 4, 4]), vec![0; 4]]
            .concat(),
    ];
    let (mut decoder, source) = decoder();
    // A generator of its own, so that a failure can be repeated.
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let (mut malformed, mut records) = (0, 0);
    for round in 0..40_000 {
        let mut datagram = seeds[round % seeds.len()].clone();
        for _ in 0..=next(6) {
            let at = next(datagram.len());
            datagram[at] = match next(3) {
                0 => 0xff,
                1 => 0,
                _ => next(256) as u8,
            };
        }
        if next(3) == 0 {
            datagram.truncate(next(datagram.len()));
        }
        let outcome = decoder.decode(source, &datagram, 0, |_| {});
        malformed += outcome.malformed;
        records += outcome.records;
    }
    assert!(malformed > 10_000 && records > 1_000, "{malformed} {records}");
}
