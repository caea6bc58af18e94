-- Pipelines, what they lead to, where they stand, and what could not go on.

CREATE TABLE connections (
  id {KEY} PRIMARY KEY,
  -- NULL = declared, everybody's.
  account {KEY},
  name {KEY} NOT NULL,
  created BIGINT NOT NULL,
  record TEXT NOT NULL,
  UNIQUE (account, name)
);

CREATE TABLE dip_topics (
  name {KEY} PRIMARY KEY,
  id {KEY} NOT NULL UNIQUE,
  account {KEY} NOT NULL,
  created BIGINT NOT NULL,
  record TEXT NOT NULL
);

-- The hot row of a pipeline: who runs it. The account, which every journal write changes, is in pipeline_state.
CREATE TABLE pipelines (
  id {KEY} PRIMARY KEY,
  account {KEY} NOT NULL,
  -- NULL from the moment that its end was asked for: the name is free again.
  name {KEY},
  status {KEY} NOT NULL,
  -- 1 = a worker moves its records; 0 = nobody has to be asked when its state changes.
  worked BIGINT NOT NULL,
  -- 1 = the present run is to come to rest, to be started anew.
  restart BIGINT NOT NULL,
  error TEXT,
  created BIGINT NOT NULL,
  deleted BIGINT,
  -- The fencing token.
  attempt BIGINT NOT NULL,
  worker {KEY},
  lease_us BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  record TEXT NOT NULL,
  UNIQUE (account, name)
);
CREATE INDEX pipelines_by_lease ON pipelines (lease_until, created);

-- What a pipeline needs: connections and topics that may not be removed meanwhile.
CREATE TABLE pipeline_uses (
  pipeline {KEY} NOT NULL,
  kind {KEY} NOT NULL,
  name {KEY} NOT NULL,
  PRIMARY KEY (pipeline, kind, name)
);
CREATE INDEX pipeline_uses_by_name ON pipeline_uses (kind, name);

CREATE TABLE pipeline_state (
  pipeline {KEY} PRIMARY KEY,
  account TEXT NOT NULL,
  -- The last turn that a replay was given.
  turn BIGINT NOT NULL,
  -- Letters that wait or are being replayed, and their bytes.
  letters BIGINT NOT NULL,
  bytes BIGINT NOT NULL
);

CREATE TABLE pipeline_marks (
  pipeline {KEY} NOT NULL,
  topic {KEY} NOT NULL,
  part BIGINT NOT NULL,
  next BIGINT NOT NULL,
  mark TEXT NOT NULL,
  PRIMARY KEY (pipeline, topic, part)
);

CREATE TABLE dead_letters (
  pipeline {KEY} NOT NULL,
  topic {KEY} NOT NULL,
  part BIGINT NOT NULL,
  at_offset BIGINT NOT NULL,
  sub BIGINT NOT NULL,
  stage {KEY} NOT NULL,
  kind {KEY} NOT NULL,
  reason TEXT NOT NULL,
  -- Content: gone when the letter is done with.
  key {BYTES},
  value {BYTES},
  headers {BYTES},
  weight BIGINT NOT NULL,
  timestamp_ms BIGINT NOT NULL,
  kept BIGINT NOT NULL,
  status {KEY} NOT NULL,
  -- Place in the line of replays; 0 = none.
  turn BIGINT NOT NULL,
  -- When it was done with.
  done BIGINT,
  PRIMARY KEY (pipeline, topic, part, at_offset, sub)
);
CREATE INDEX dead_letters_by_turn ON dead_letters (pipeline, turn);
CREATE INDEX dead_letters_by_end ON dead_letters (done);
