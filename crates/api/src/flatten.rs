//! Flattened forms.
