//! SPDX licence expressions: may we use something that comes under this?

/// Is the expression met by what `allowed` accepts? `A/B`, an old spelling, means `A OR B`.
///
/// # Errors
/// When it can't be read.
pub fn allows(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any(&words, &mut at, allowed)?;
    if at == words.len() { Ok(met) } else { Err(format!("can't read the licence \"{expression}\"")) }
}

/// `AND` binds closer than `OR`.
fn any(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut met = all(words, at, allowed)?;
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(words, at, allowed)?;
    }
    Ok(met)
}

fn all(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let mut met = one(words, at, allowed)?;
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed)?;
    }
    Ok(met)
}

fn one(words: &[&str], at: &mut usize, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let word = *words.get(*at).ok_or("a licence expression ends too early")?;
    *at += 1;
    match word {
        "(" => {
            let met = any(words, at, allowed)?;
            if words.get(*at) != Some(&")") {
                return Err("a bracket of a licence expression isn't closed".to_owned());
            }
            *at += 1;
            Ok(met)
        }
        ")" | "AND" | "OR" | "WITH" => Err(format!("a licence expression has \"{word}\" in the wrong place")),
        name if words.get(*at) == Some(&"WITH") => {
            let exception = *words.get(*at + 1).ok_or("a licence expression ends with WITH")?;
            *at += 2;
            // An exception only gives more rights.
            Ok(allowed(name) || allowed(&format!("{name} WITH {exception}")))
        }
        name => Ok(allowed(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::allows;

    #[test]
    fn expressions_are_weighed() {
        let ok = |e: &str| allows(e, &|l| ["MIT", "Apache-2.0", "ISC"].contains(&l));
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "MIT AND ISC",
            "(GPL-3.0 OR MIT) AND Apache-2.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
            "GPL-3.0 AND GPL-2.0 OR MIT",
        ] {
            assert_eq!(ok(good), Ok(true), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR ISC) AND LGPL-3.0",
            "GPL-2.0 WITH Classpath-exception-2.0",
        ] {
            assert_eq!(ok(bad), Ok(false), "{bad}");
        }
        for unreadable in ["", "MIT OR", "(MIT", "MIT ISC", "AND MIT", ")"] {
            assert!(ok(unreadable).is_err(), "{unreadable}");
        }
    }
}
