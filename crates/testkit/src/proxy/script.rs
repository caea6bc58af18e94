//! Rules: which requests are harmed, and how.

/// What happens to one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Action {
    /// Nothing.
    #[default]
    Pass,
    /// Wait so many milliseconds, then forward.
    Delay(u64),
    /// Answer with this status without forwarding.
    Status(u16),
    /// Forward, let the upstream do its work, and close without its answer.
    DropResponse,
    /// Forward so many bytes of the request's body, then close both sides.
    CutRequest(u64),
    /// Give so many bytes of the answer's body, then close.
    CutResponse(u64),
    /// Add this to the answer's `Content-Length`, then send the body as it is and close.
    Length(i64),
    /// Flip the lowest bit of this byte of the answer's body.
    Flip(u64),
    /// Take the request and never answer.
    BlackHole,
    /// Both bodies at so many bytes a second.
    Rate(u64),
    /// Close with a reset at once.
    Reset,
}

/// A rule, and how often it was met.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// As it was written.
    pub text: String,
    /// Requests that it matched.
    pub seen: u64,
    /// Requests that it harmed.
    pub fired: u64,
    wanted: Vec<String>,
    after: u64,
    every: u64,
    times: Option<u64>,
    permille: Option<u64>,
    action: Action,
}

impl Rule {
    /// Reads `[match=TEXT]… [after=N] [every=K] [times=N] [permille=P] do=ACTION`.
    ///
    /// A rule is met by requests whose `METHOD path` contains every `match`. It leaves the first
    /// `after` of them alone, then harms every `every`-th (the first of each group), at most `times`,
    /// each with the chance `permille`/1000. Actions: `pass`, `delay:MS`, `status:CODE`,
    /// `drop-response`, `cut-request:BYTES`, `cut-response:BYTES`, `length:±BYTES`, `flip:OFFSET`,
    /// `black-hole`, `rate:BYTES_PER_S`, `reset`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rule = Self { text: text.trim().to_owned(), every: 1, ..Self::default() };
        let mut done = false;
        for word in text.split_whitespace() {
            let (key, value) = word.split_once('=').ok_or_else(|| format!("{word:?} is not key=value"))?;
            match key {
                "match" => rule.wanted.push(value.to_owned()),
                "after" => rule.after = number(value)?,
                "every" => rule.every = number(value)?.max(1),
                "times" => rule.times = Some(number(value)?),
                "permille" => rule.permille = Some(number(value)?),
                "do" => (rule.action, done) = (action(value)?, true),
                _ => return Err(format!("unknown key {key:?}")),
            }
        }
        if done { Ok(rule) } else { Err("a rule needs do=ACTION".to_owned()) }
    }

    fn meets(&mut self, request: &str, chance: &mut Chance) -> bool {
        if !self.wanted.iter().all(|w| request.contains(w.as_str())) {
            return false;
        }
        self.seen += 1;
        let Some(n) = (self.seen - 1).checked_sub(self.after) else { return false };
        let fires = n % self.every == 0
            && self.times.is_none_or(|t| self.fired < t)
            && self.permille.is_none_or(|p| chance.next() % 1000 < p);
        self.fired += u64::from(fires);
        fires
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn action(text: &str) -> Result<Action, String> {
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    Ok(match name {
        "pass" => Action::Pass,
        "delay" => Action::Delay(number(value)?),
        "status" => Action::Status(value.parse().map_err(|_| format!("{value:?} is no status"))?),
        "drop-response" => Action::DropResponse,
        "cut-request" => Action::CutRequest(number(value)?),
        "cut-response" => Action::CutResponse(number(value)?),
        "length" => Action::Length(value.parse().map_err(|_| format!("{value:?} is no number"))?),
        "flip" => Action::Flip(number(value)?),
        "black-hole" => Action::BlackHole,
        "rate" => Action::Rate(number(value)?.max(1)),
        "reset" => Action::Reset,
        _ => return Err(format!("unknown action {name:?}")),
    })
}

/// SplitMix64: the same seed gives the same chances.
#[derive(Debug, Default)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// All rules of a proxy.
#[derive(Debug, Default)]
pub struct Script {
    /// Requests so far.
    pub requests: u64,
    rules: Vec<Rule>,
    chance: Chance,
}

impl Script {
    /// Adds a rule; returns its place.
    pub fn add(&mut self, rule: Rule) -> usize {
        self.rules.push(rule);
        self.rules.len() - 1
    }

    /// Removes all rules.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// Restarts the chances.
    pub fn seed(&mut self, seed: u64) {
        self.chance = Chance(seed);
    }

    /// The rules in their order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What the first rule that is met does to a request.
    pub fn decide(&mut self, request: &str) -> Action {
        self.requests += 1;
        for rule in &mut self.rules {
            if rule.meets(request, &mut self.chance) {
                return rule.action.clone();
            }
        }
        Action::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count_as_they_say() {
        let mut script = Script::default();
        script.add(Rule::parse("match=PUT match=/b after=1 every=2 times=2 do=status:503").unwrap());
        script.add(Rule::parse("match=GET do=drop-response").unwrap());
        let all: Vec<_> = (0..8).map(|_| script.decide("PUT /b/k") == Action::Status(503)).collect();
        assert_eq!(all, [false, true, false, true, false, false, false, false]);
        assert_eq!(script.decide("PUT /c"), Action::Pass);
        assert_eq!(script.decide("GET /c"), Action::DropResponse);
        assert_eq!((script.rules()[0].seen, script.rules()[0].fired, script.requests), (8, 2, 10));
    }

    #[test]
    fn a_seed_repeats_its_chances() {
        let run = |seed| {
            let mut script = Script::default();
            script.seed(seed);
            script.add(Rule::parse("permille=300 do=reset").unwrap());
            (0..1000).map(|_| script.decide("GET /") == Action::Reset).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let hits = run(7).iter().filter(|h| **h).count();
        assert!((230..370).contains(&hits), "{hits}");
    }

    #[test]
    fn bad_rules_are_told() {
        for bad in ["", "match=x", "do=explode", "every=x do=pass", "nonsense", "do=status:x", "do=length:x"]
        {
            assert!(Rule::parse(bad).is_err(), "{bad}");
        }
    }
}
