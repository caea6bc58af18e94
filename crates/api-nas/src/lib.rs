//! The Alibaba NAS/CPFS 2017-06-26 door.
