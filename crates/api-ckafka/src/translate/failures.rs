//! What becomes of records that can't go on.

use super::ends;
use crate::fault;
use crate::request::{Ask, ranged};
use api::{Fault, Params};
use model::OnFailure;

/// Tries at most.
const MAX_RETRIES: u64 = 100;
/// Milliseconds between tries at most.
const MAX_INTERVAL_MS: u64 = 3_600_000;

/// `FailureParam`.
///
/// # Errors
/// In the vendor's words.
pub async fn read(ask: &Ask<'_>, p: &Params<'_>, at: &str) -> Result<OnFailure, Fault> {
    match p.text("Type") {
        "DROP" => Ok(OnFailure::Drop),
        "IGNORE_ERROR" => Ok(OnFailure::Pass),
        "DLQ" => {
            let retries = ranged(p, "MaxRetryAttempts", (0, MAX_RETRIES), fault::VALUE)?.unwrap_or_default();
            let interval_ms =
                ranged(p, "RetryInterval", (0, MAX_INTERVAL_MS), fault::VALUE)?.unwrap_or_default();
            let copy = ends::dead_letters(ask, p, at).await?;
            Ok(OnFailure::Keep {
                copy: Some(Box::new(copy)),
                retries: u32::try_from(retries).unwrap_or(u32::MAX),
                interval_ms,
            })
        }
        "" => Err(fault::empty(&format!("{at}.Type"))),
        _ => Err(fault::value(format!("The parameter `{at}.Type` must be DROP, IGNORE_ERROR or DLQ."))),
    }
}

/// `DropCls` and `DropInvalidMessage`, of which the first one goes before the second.
///
/// # Errors
/// `FailedOperation` where records are to be sent to CLS.
pub fn dropping(p: &Params<'_>, at: &str, by_default: bool) -> Result<OnFailure, Fault> {
    let to_cls = p.object("DropCls").and_then(|cls| cls.bool("DropInvalidMessageToCls")).unwrap_or_default();
    if to_cls {
        return Err(fault::not_here(
            &format!("{at}.DropCls.DropInvalidMessageToCls"),
            "CLS is not a destination of this server yet; the dead-letter desk keeps such records with DropDlq",
        ));
    }
    let dropped = p.bool("DropInvalidMessage").unwrap_or(by_default);
    Ok(if dropped { OnFailure::Drop } else { OnFailure::Block })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_dropped() {
        let read = |v: Value, by_default| {
            dropping(&Params::unchecked(&v, false), "E", by_default).map_err(|f| f.code.into_owned())
        };
        assert_eq!(read(json!({}), true).unwrap(), OnFailure::Drop);
        assert_eq!(read(json!({}), false).unwrap(), OnFailure::Block);
        assert_eq!(read(json!({"DropInvalidMessage": false}), true).unwrap(), OnFailure::Block);
        assert_eq!(
            read(json!({"DropCls": {"DropInvalidMessageToCls": false}, "DropInvalidMessage": true}), false)
                .unwrap(),
            OnFailure::Drop
        );
        assert_eq!(
            read(json!({"DropCls": {"DropInvalidMessageToCls": true}}), false).unwrap_err(),
            fault::FAILED
        );
    }
}
