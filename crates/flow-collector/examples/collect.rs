//! Prints what exporters send: `collect ADDRESS:PORT SECONDS [quiet]`, windows of 60 seconds.

use flow_collector::{Collector, Next, Options};
use flow_record::Delivery;
use flow_record::fields::{Identity, line, of_device};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().collect();
    let word = |n: usize| words.get(n).map(String::as_str).unwrap_or_default();
    let mut collector = Collector::start(Options::new(word(1).parse()?), runtime::Clock::system())?;
    let end = Instant::now() + Duration::from_secs(word(2).parse()?);
    let mut stopped = false;
    loop {
        if !stopped && Instant::now() >= end {
            collector.stop();
            stopped = true;
        }
        match collector.next(Duration::from_millis(200)) {
            Next::Delivery(Delivery::Records(records)) if word(3) != "quiet" => {
                for record in &records {
                    let exporter = collector.exporter(record.source).map_or("-".into(), |a| a.to_string());
                    let identity = Identity { version: "1", account: "0", interface: &exporter };
                    println!("{}", line(&of_device(record, &identity)));
                }
            }
            Next::Delivery(Delivery::WindowEnd(window)) => eprintln!("{window:?}"),
            Next::Delivery(_) | Next::Nothing => {}
            Next::Ended => break,
        }
    }
    eprintln!("{:?}", collector.status());
    Ok(())
}
