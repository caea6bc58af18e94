//! Use cases, one file per verb: authorise, make idempotent, validate, plan, act.
