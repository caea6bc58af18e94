//! The shapes of the requests that are served: which fields each version has, and how long they are.
//!
//! Taken from Kafka 4.1's message definitions (`common/message/*.json` in `kafka-clients`), down to what
//! `shape` needs: names and meanings are left out, tagged fields are skipped by their sizes.

use super::shape::Field::{Blob, Fixed, Many, Rows, Text};
use super::shape::Request;

/// Every request that is served, by its key: versions, the first flexible one, fields.
#[rustfmt::skip]
pub const REQUESTS: &[Request] = &[
    // Produce
    Request { key: 0, versions: (3, 9), flexible: 9, fields: &[
        (3, 9, Text), (3, 9, Fixed(2)), (3, 9, Fixed(4)),
        (3, 9, Rows(&[(3, 9, Text), (3, 9, Rows(&[(3, 9, Fixed(4)), (3, 9, Blob)]))])),
    ] },
    // Fetch
    Request { key: 1, versions: (4, 12), flexible: 12, fields: &[
        (4, 12, Fixed(4)), (4, 12, Fixed(4)), (4, 12, Fixed(4)), (4, 12, Fixed(4)),
        (4, 12, Fixed(1)), (7, 12, Fixed(4)), (7, 12, Fixed(4)),
        (4, 12, Rows(&[
            (4, 12, Text),
            (4, 12, Rows(&[
                (4, 12, Fixed(4)), (9, 12, Fixed(4)), (4, 12, Fixed(8)), (12, 12, Fixed(4)),
                (5, 12, Fixed(8)), (4, 12, Fixed(4)),
            ])),
        ])),
        (7, 12, Rows(&[(7, 12, Text), (7, 12, Many(&Fixed(4)))])), (11, 12, Text),
    ] },
    // ListOffsets
    Request { key: 2, versions: (1, 7), flexible: 6, fields: &[
        (1, 7, Fixed(4)), (2, 7, Fixed(1)),
        (1, 7, Rows(&[(1, 7, Text), (1, 7, Rows(&[(1, 7, Fixed(4)), (4, 7, Fixed(4)), (1, 7, Fixed(8))]))])),
    ] },
    // Metadata
    Request { key: 3, versions: (0, 12), flexible: 9, fields: &[
        (0, 12, Rows(&[(10, 12, Fixed(16)), (0, 12, Text)])), (4, 12, Fixed(1)),
        (8, 10, Fixed(1)), (8, 12, Fixed(1)),
    ] },
    // OffsetCommit
    Request { key: 8, versions: (2, 9), flexible: 8, fields: &[
        (2, 9, Text), (2, 9, Fixed(4)), (2, 9, Text), (7, 9, Text), (2, 4, Fixed(8)),
        (2, 9, Rows(&[
            (2, 9, Text),
            (2, 9, Rows(&[(2, 9, Fixed(4)), (2, 9, Fixed(8)), (6, 9, Fixed(4)), (2, 9, Text)])),
        ])),
    ] },
    // OffsetFetch
    Request { key: 9, versions: (1, 9), flexible: 6, fields: &[
        (1, 7, Text), (1, 7, Rows(&[(1, 7, Text), (1, 7, Many(&Fixed(4)))])),
        (8, 9, Rows(&[
            (8, 9, Text), (9, 9, Text), (9, 9, Fixed(4)),
            (8, 9, Rows(&[(8, 9, Text), (8, 9, Many(&Fixed(4)))])),
        ])),
        (7, 9, Fixed(1)),
    ] },
    // FindCoordinator
    Request { key: 10, versions: (0, 4), flexible: 3, fields: &[(0, 3, Text), (1, 4, Fixed(1)), (4, 4, Many(&Text))] },
    // JoinGroup
    Request { key: 11, versions: (0, 9), flexible: 6, fields: &[
        (0, 9, Text), (0, 9, Fixed(4)), (1, 9, Fixed(4)), (0, 9, Text), (5, 9, Text),
        (0, 9, Text), (0, 9, Rows(&[(0, 9, Text), (0, 9, Blob)])), (8, 9, Text),
    ] },
    // Heartbeat
    Request { key: 12, versions: (0, 4), flexible: 4, fields: &[(0, 4, Text), (0, 4, Fixed(4)), (0, 4, Text), (3, 4, Text)] },
    // LeaveGroup
    Request { key: 13, versions: (0, 5), flexible: 4, fields: &[(0, 5, Text), (0, 2, Text), (3, 5, Rows(&[(3, 5, Text), (3, 5, Text), (5, 5, Text)]))] },
    // SyncGroup
    Request { key: 14, versions: (0, 5), flexible: 4, fields: &[
        (0, 5, Text), (0, 5, Fixed(4)), (0, 5, Text), (3, 5, Text), (5, 5, Text),
        (5, 5, Text), (0, 5, Rows(&[(0, 5, Text), (0, 5, Blob)])),
    ] },
    // DescribeGroups
    Request { key: 15, versions: (0, 5), flexible: 5, fields: &[(0, 5, Many(&Text)), (3, 5, Fixed(1))] },
    // ListGroups
    Request { key: 16, versions: (0, 5), flexible: 3, fields: &[(4, 5, Many(&Text)), (5, 5, Many(&Text))] },
    // SaslHandshake
    Request { key: 17, versions: (0, 1), flexible: 99, fields: &[(0, 1, Text)] },
    // ApiVersions
    Request { key: 18, versions: (0, 3), flexible: 3, fields: &[(3, 3, Text), (3, 3, Text)] },
    // CreateTopics
    Request { key: 19, versions: (2, 7), flexible: 5, fields: &[
        (2, 7, Rows(&[
            (2, 7, Text), (2, 7, Fixed(4)), (2, 7, Fixed(2)),
            (2, 7, Rows(&[(2, 7, Fixed(4)), (2, 7, Many(&Fixed(4)))])),
            (2, 7, Rows(&[(2, 7, Text), (2, 7, Text)])),
        ])),
        (2, 7, Fixed(4)), (2, 7, Fixed(1)),
    ] },
    // DeleteTopics
    Request { key: 20, versions: (1, 6), flexible: 4, fields: &[(6, 6, Rows(&[(6, 6, Text), (6, 6, Fixed(16))])), (1, 5, Many(&Text)), (1, 6, Fixed(4))] },
    // DeleteRecords
    Request { key: 21, versions: (0, 2), flexible: 2, fields: &[
        (0, 2, Rows(&[(0, 2, Text), (0, 2, Rows(&[(0, 2, Fixed(4)), (0, 2, Fixed(8))]))])),
        (0, 2, Fixed(4)),
    ] },
    // InitProducerId
    Request { key: 22, versions: (0, 4), flexible: 2, fields: &[(0, 4, Text), (0, 4, Fixed(4)), (3, 4, Fixed(8)), (3, 4, Fixed(2))] },
    // OffsetForLeaderEpoch
    Request { key: 23, versions: (2, 4), flexible: 4, fields: &[
        (3, 4, Fixed(4)),
        (2, 4, Rows(&[(2, 4, Text), (2, 4, Rows(&[(2, 4, Fixed(4)), (2, 4, Fixed(4)), (2, 4, Fixed(4))]))])),
    ] },
    // AddPartitionsToTxn
    Request { key: 24, versions: (0, 3), flexible: 3, fields: &[
        (0, 3, Text), (0, 3, Fixed(8)), (0, 3, Fixed(2)),
        (0, 3, Rows(&[(0, 3, Text), (0, 3, Many(&Fixed(4)))])),
    ] },
    // AddOffsetsToTxn
    Request { key: 25, versions: (0, 3), flexible: 3, fields: &[(0, 3, Text), (0, 3, Fixed(8)), (0, 3, Fixed(2)), (0, 3, Text)] },
    // EndTxn
    Request { key: 26, versions: (0, 3), flexible: 3, fields: &[(0, 3, Text), (0, 3, Fixed(8)), (0, 3, Fixed(2)), (0, 3, Fixed(1))] },
    // TxnOffsetCommit
    Request { key: 28, versions: (0, 3), flexible: 3, fields: &[
        (0, 3, Text), (0, 3, Text), (0, 3, Fixed(8)), (0, 3, Fixed(2)), (3, 3, Fixed(4)),
        (3, 3, Text), (3, 3, Text),
        (0, 3, Rows(&[
            (0, 3, Text),
            (0, 3, Rows(&[(0, 3, Fixed(4)), (0, 3, Fixed(8)), (2, 3, Fixed(4)), (0, 3, Text)])),
        ])),
    ] },
    // DescribeConfigs
    Request { key: 32, versions: (1, 4), flexible: 4, fields: &[
        (1, 4, Rows(&[(1, 4, Fixed(1)), (1, 4, Text), (1, 4, Many(&Text))])),
        (1, 4, Fixed(1)), (3, 4, Fixed(1)),
    ] },
    // AlterConfigs
    Request { key: 33, versions: (0, 2), flexible: 2, fields: &[
        (0, 2, Rows(&[(0, 2, Fixed(1)), (0, 2, Text), (0, 2, Rows(&[(0, 2, Text), (0, 2, Text)]))])),
        (0, 2, Fixed(1)),
    ] },
    // DescribeLogDirs
    Request { key: 35, versions: (1, 4), flexible: 2, fields: &[(1, 4, Rows(&[(1, 4, Text), (1, 4, Many(&Fixed(4)))]))] },
    // SaslAuthenticate
    Request { key: 36, versions: (0, 2), flexible: 2, fields: &[(0, 2, Blob)] },
    // CreatePartitions
    Request { key: 37, versions: (0, 3), flexible: 2, fields: &[
        (0, 3, Rows(&[(0, 3, Text), (0, 3, Fixed(4)), (0, 3, Rows(&[(0, 3, Many(&Fixed(4)))]))])),
        (0, 3, Fixed(4)), (0, 3, Fixed(1)),
    ] },
    // DeleteGroups
    Request { key: 42, versions: (0, 2), flexible: 2, fields: &[(0, 2, Many(&Text))] },
    // IncrementalAlterConfigs
    Request { key: 44, versions: (0, 1), flexible: 1, fields: &[
        (0, 1, Rows(&[
            (0, 1, Fixed(1)), (0, 1, Text),
            (0, 1, Rows(&[(0, 1, Text), (0, 1, Fixed(1)), (0, 1, Text)])),
        ])),
        (0, 1, Fixed(1)),
    ] },
    // OffsetDelete
    Request { key: 47, versions: (0, 0), flexible: 99, fields: &[(0, 0, Text), (0, 0, Rows(&[(0, 0, Text), (0, 0, Rows(&[(0, 0, Fixed(4))]))]))] },
    // DescribeCluster
    Request { key: 60, versions: (0, 1), flexible: 0, fields: &[(0, 1, Fixed(1)), (1, 1, Fixed(1))] },
    // DescribeProducers
    Request { key: 61, versions: (0, 0), flexible: 0, fields: &[(0, 0, Rows(&[(0, 0, Text), (0, 0, Many(&Fixed(4)))]))] },
    // DescribeTransactions
    Request { key: 65, versions: (0, 0), flexible: 0, fields: &[(0, 0, Many(&Text))] },
    // ListTransactions
    Request { key: 66, versions: (0, 1), flexible: 0, fields: &[(0, 1, Many(&Text)), (0, 1, Many(&Fixed(8))), (1, 1, Fixed(8))] },
    // ConsumerGroupHeartbeat
    Request { key: 68, versions: (0, 1), flexible: 0, fields: &[
        (0, 1, Text), (0, 1, Text), (0, 1, Fixed(4)), (0, 1, Text), (0, 1, Text),
        (0, 1, Fixed(4)), (0, 1, Many(&Text)), (1, 1, Text), (0, 1, Text),
        (0, 1, Rows(&[(0, 1, Fixed(16)), (0, 1, Many(&Fixed(4)))])),
    ] },
    // ConsumerGroupDescribe
    Request { key: 69, versions: (0, 1), flexible: 0, fields: &[(0, 1, Many(&Text)), (0, 1, Fixed(1))] },
];
