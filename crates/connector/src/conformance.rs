//! The suite that every implementation of the contract runs. See the connectors' `tests/conformance.rs`.
