//! The nouns of the data flow server and their state machines: pure values, no I/O, no clock, no serialisation.
