//! What has to be known after a restart: templates, sampling rates, when exporters started. Lines of text with a version.
//!
//! ```text
//! flow-templates 1
//! template ADDRESS VERSION DOMAIN ID flows|options NUMBER:LENGTH …
//! rate ADDRESS VERSION DOMAIN SELECTOR RATE
//! started ADDRESS VERSION DOMAIN MILLISECONDS
//! ```

use super::Decoder;
use super::templates::{Domain, Template, keep};
use std::fmt::Write;

const HEAD: &str = "flow-templates 1";
const MAX_TEXT: usize = 16 << 20;

impl Decoder {
    /// What a restart has to know.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for exporter in &self.exporters {
            for ((version, number), domain) in &exporter.domains {
                let whose = format!("{} {version} {number}", exporter.address);
                // Writing to a String doesn't fail.
                let _ = write_domain(&mut text, &whose, domain);
            }
        }
        text
    }

    /// Takes in what [`Decoder::to_text`] gave. Lines that it doesn't understand are passed over; says how many.
    pub fn read_text(&mut self, text: &str) -> usize {
        let mut lines = text.lines();
        if text.len() > MAX_TEXT || lines.next() != Some(HEAD) {
            return text.lines().count().max(1);
        }
        lines.filter(|line| self.read_line(line).is_none()).count()
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let source = self.source(words.next()?.parse().ok()?)?;
        let (version, number) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let domain = self.exporters.get_mut(source.0 as usize)?.domain(version, number)?;
        match kind {
            "template" => {
                let id: u16 = words.next()?.parse().ok().filter(|id| *id >= 256)?;
                let options = words.next()? == "options";
                let field = |w: &str| {
                    let (number, len) = w.split_once(':')?;
                    Some((number.parse().ok()?, len.parse().ok()?))
                };
                let fields: Option<Vec<(u16, u16)>> = words.map(field).collect();
                keep(domain, id, Template::new(fields?, options)?);
            }
            "rate" => {
                let selector = words.next()?.parse().ok()?;
                let rate = words.next()?.parse().ok().filter(|r| *r != 0)?;
                domain.rates.insert(selector, rate);
            }
            "started" => domain.started = Some(words.next()?.parse().ok()?),
            _ => return None,
        }
        Some(())
    }
}

fn write_domain(text: &mut String, whose: &str, domain: &Domain) -> std::fmt::Result {
    for (id, template) in &domain.templates {
        write!(text, "template {whose} {id} {}", if template.options { "options" } else { "flows" })?;
        for (number, len) in &template.fields {
            write!(text, " {number}:{len}")?;
        }
        text.push('\n');
    }
    for (selector, rate) in &domain.rates {
        writeln!(text, "rate {whose} {selector} {rate}")?;
    }
    if let Some(started) = domain.started {
        writeln!(text, "started {whose} {started}")?;
    }
    Ok(())
}
