//! The Tencent CFS 2019-07-19 door.
