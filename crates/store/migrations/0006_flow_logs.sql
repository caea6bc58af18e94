-- Flow logs: what is asked for, who observes, and what has become of it.

CREATE TABLE flow_logs (
  id {KEY} PRIMARY KEY,
  account {KEY} NOT NULL,
  resource {KEY} NOT NULL,
  enabled BIGINT NOT NULL,
  created BIGINT NOT NULL,
  -- The fencing token.
  attempt BIGINT NOT NULL,
  worker {KEY},
  lease_us BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  record TEXT NOT NULL,
  -- What the runs change.
  state TEXT NOT NULL,
  UNIQUE (account, resource)
);
