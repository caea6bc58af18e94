//! Test doubles and attackers: fault proxy, scripted faults, starters of real peers, tree comparison.
