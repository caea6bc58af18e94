//! CPU per record of decoding and summing up, on one thread and without a socket: `measure [FLOWS] [RECORDS]`.

use flow_collector::decode::Decoder;
use flow_record::FlowTable;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |n: usize, default: u32| std::env::args().nth(n).map_or(Ok(default), |w| w.parse());
    let (flows, records) = (argument(1, 200_000)?, argument(2, 5_000_000)?);
    let mut decoder = Decoder::new(1);
    let source = decoder.source("192.0.2.1".parse()?).ok_or("no room")?;
    let template: Vec<u8> =
        [2u16, 48, 256, 10, 8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 6, 1, 2, 4, 1, 4, 152, 8, 153, 8]
            .iter()
            .flat_map(|w| w.to_be_bytes())
            .collect();
    let datagrams: Vec<Vec<u8>> = (0..flows / 24)
        .map(|n| {
            let mut all = [10u16, 0].iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
            all.extend([1_700_000_000u32, n * 24, 0].iter().flat_map(|w| w.to_be_bytes()));
            all.extend(&template);
            all.extend([256u16, 4 + 24 * 38].iter().flat_map(|w| w.to_be_bytes()));
            for row in 0..24 {
                all.extend((0x0a00_0000 + n * 24 + row).to_be_bytes());
                all.extend([10, 1, 0, 1, 0x0f, 0xa0, 0, 80, 6, 0x12, 0, 0, 0, 3, 0, 0, 1, 0]);
                all.extend(1_700_000_000_000u64.to_be_bytes());
                all.extend(1_700_000_001_000u64.to_be_bytes());
            }
            all
        })
        .collect();
    let mut table = FlowTable::new(flows as usize);
    let began = std::time::Instant::now();
    let mut read = 0u64;
    'all: loop {
        for datagram in &datagrams {
            read += decoder.decode(source, datagram, 0, |seen| table.add(seen)).records;
            if read >= u64::from(records) {
                break 'all;
            }
        }
    }
    let took = began.elapsed();
    let per = took.as_nanos() as f64 / read as f64;
    println!(
        "{read} records of {} flows in {took:?}: {per:.0} ns each, {:.0} a second",
        table.len(),
        1e9 / per
    );
    Ok(())
}
