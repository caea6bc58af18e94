//! HTTP kit for all doors: cloud routing, signatures, replay and rate guards, codecs, envelopes.
